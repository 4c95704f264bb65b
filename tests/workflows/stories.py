"""Run workloads in a toy world and wait for what they come to."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateHandle,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.deployments import endpoint_of
from holdfast.contracts.endpoints import replica_name
from holdfast.contracts.jobs import attempt_name
from holdfast.contracts.spec import CheckpointSpec, FailoverSpec, PriceSpec, WorkloadSpec
from holdfast.contracts.workload import FailoverRequest, Phase, StopRequest, WorkloadInput, WorkloadStatus
from tests.workflows.stage import Stage
from tests.workflows.world import World, a_checkpoint

PATIENCE = 120.0
"""Seconds before a condition that never comes true fails its test; says nothing about speed."""


ATTEMPTS = 4
REPLICAS = 3
RELEASES = 5
SUGGESTS_CONTINUE_AS_NEW = 150
"""Events; see the servers in `conftest.py`."""

UNANSWERED = (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)
"""What a server says of a workload whose run has only just begun, or whose worker is away."""


@dataclass
class Story:
    client: Client
    world: World
    name: str
    worlds: dict[str, World] = field(default_factory=dict)  # also of the releases of a deployment of this name
    broke_off: str = ""  # why what should have happened in it did not

    def spec(self, **changes: Any) -> WorkloadSpec:
        return WorkloadSpec(
            **{
                "name": self.name,
                "command": "true",
                "price": PriceSpec(max_hourly=Decimal(1)),
                "checkpoint": CheckpointSpec(every=timedelta(hours=1)),
                "failover": FailoverSpec(silence=timedelta(seconds=2)),
                "stop_grace": timedelta(seconds=1),
                **changes,
            }
        )

    async def begin(self, *, workdir: bool = True, **changes: Any) -> WorkflowHandle[Any, Any]:
        zero = a_checkpoint(self.name, 0, 0, SaveReason.WORKDIR) if workdir else None
        order = WorkloadInput(spec=self.spec(**changes), workdir=zero)
        return await self.client.start_workflow(
            names.WORKLOAD, order, id=names.workload_id(self.name), task_queue=names.CONTROL_QUEUE
        )

    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(names.workload_id(self.name))

    async def running(self, handle: WorkflowHandle[Any, Any], *, epoch: int | None = None) -> WorkloadStatus:
        """Wait until the work runs, at this epoch if one is given."""
        return await self.reaches(handle, Phase.RUNNING, epoch=epoch)

    async def reaches(
        self, handle: WorkflowHandle[Any, Any], phase: Phase, *, epoch: int | None = None
    ) -> WorkloadStatus:
        async with asyncio.timeout(PATIENCE):
            while True:
                status = await self.status(handle)
                if status.phase is phase and epoch in (None, status.epoch):
                    return status
                await asyncio.sleep(0.05)

    async def status(self, handle: WorkflowHandle[Any, Any]) -> WorkloadStatus:
        while True:
            try:
                return await handle.query("status", result_type=WorkloadStatus)
            except RPCError as err:
                if err.status not in UNANSWERED:
                    raise
            await asyncio.sleep(0.02)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.02)

    async def moment(self, moment: str) -> None:
        """Wait until the story has come to this moment."""
        try:
            await self.until(lambda: self.world.moments.reached(moment))
        except TimeoutError:
            raise AssertionError(f"never came to '{moment}', but to {self.world.moments.passed}") from None

    async def comes_to(self, moment: str) -> bool:
        """Wait until the story has come to this moment, or is over without it."""
        moments = self.world.moments
        await self.until(lambda: moments.reached(moment) or moments.reached("close_workload 1 is done"))
        return moments.reached(moment)

    async def order(
        self, handle: WorkflowHandle[Any, Any], wish: str, *args: StopRequest | FailoverRequest
    ) -> WorkflowUpdateHandle[Any]:
        """Give an order and return when it was heard; its answer may come later."""
        return await handle.start_update(wish, *args, wait_for_stage=WorkflowUpdateStage.ACCEPTED)

    async def says(self, handle: WorkflowHandle[Any, Any], reason: str) -> None:
        """Wait until this is what the workload says of itself."""
        async with asyncio.timeout(PATIENCE):
            while (await self.status(handle)).reason != reason:
                await asyncio.sleep(0.02)

    async def tire(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Let so much happen to the workload that it would like to continue as new."""
        async with asyncio.timeout(2 * PATIENCE):
            while (await handle.describe()).history_length < SUGGESTS_CONTINUE_AS_NEW:
                watches = self.world.calls["watch"]
                self.world.blink(self.world.newest())
                await self.until(lambda seen=watches: self.world.calls["watch"] > seen)

    async def asked(self, saver: WorkflowHandle[Any, Any], *, times: int) -> None:
        """Wait until the saver was asked for a save so many times in its present run."""
        async with asyncio.timeout(PATIENCE):
            while await _signals(saver, "request_save") < times:
                await asyncio.sleep(0.02)

    async def save_now(self, handle: WorkflowHandle[Any, Any]) -> CheckpointRef:
        return await handle.execute_update("checkpoint", result_type=CheckpointRef)


def a_story(client: Client, stage: Stage) -> Story:
    """A workload named after nobody else's, in a world of its own; so is a pool that is called p and its name.

    Of an endpoint of this name the first replica lives in the same world.
    """
    name = f"w{uuid.uuid4().hex[:10]}"
    stage.worlds[name] = stage.worlds[f"p{name}"] = stage.worlds[names.pool_record(f"p{name}")] = World()
    for replica in range(REPLICAS):  # of an endpoint of this name: each has a market of its own, for itself
        stage.worlds[replica_name(name, replica)] = stage.worlds[name] if replica == 0 else World()
    for attempt in range(1, ATTEMPTS + 1):  # of a job of this name
        stage.worlds[attempt_name(name, attempt)] = stage.worlds[name] if attempt == 1 else World()
    for release in range(1, RELEASES + 1):  # of a deployment of this name
        endpoint = endpoint_of(name, release)
        stage.worlds[endpoint] = stage.worlds[replica_name(endpoint, 0)] = World()
    return Story(client, stage.worlds[name], name, stage.worlds)


@asynccontextmanager
async def run_stage(client: Client) -> AsyncIterator[Stage]:
    """A stage with everything that stories need."""
    stage = Stage(client, grace=timedelta(milliseconds=200))
    async with stage.activities(), stage.decisions():
        yield stage


@asynccontextmanager
async def told_on(stage: Stage, client: Client) -> AsyncIterator[Story]:
    """A story on a stage that others use before and after it."""
    story = a_story(client, stage)
    yield story
    await _end_leftovers(story)


@asynccontextmanager
async def run_story(client: Client) -> AsyncIterator[Story]:
    """A story on a stage of its own."""
    async with run_stage(client) as stage, told_on(stage, client) as story:
        yield story


async def ended(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until the workload is over, one way or another."""
    async with asyncio.timeout(PATIENCE):
        with suppress(WorkflowFailureError):
            await handle.result()


async def _signals(handle: WorkflowHandle[Any, Any], name: str) -> int:
    events = (await handle.fetch_history()).events
    return sum(event.workflow_execution_signaled_event_attributes.signal_name == name for event in events)


async def _end_leftovers(story: Story) -> None:
    """What a failed test left running would otherwise be picked up by the next test's worker."""
    running = f"ExecutionStatus = 'Running' AND HoldfastWorkload = '{story.name}'"
    mine = {names.workload_id(story.name), names.checkpoints_id(story.name), names.disk_id(story.name)}
    mine |= {each.id async for each in story.client.list_workflows(running)}
    for workflow_id in mine:
        with suppress(RPCError):  # over already, or never begun: either is what we want
            await story.client.get_workflow_handle(workflow_id).terminate("the test is over")
