"""Run workloads in a toy world and wait for what they come to."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Interceptor, Worker

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.spec import CheckpointSpec, FailoverSpec, PriceSpec, WorkloadSpec
from holdfast.contracts.workload import Phase, WorkloadInput, WorkloadStatus
from holdfast.workers.durable import SANDBOX, WORKFLOWS
from tests.workflows.world import PROVIDER, World, a_checkpoint

PATIENCE = 30.0
"""Seconds before a condition that never comes true fails its test; says nothing about speed."""


@dataclass
class Story:
    client: Client
    world: World
    name: str

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
                await asyncio.sleep(0.02)

    async def status(self, handle: WorkflowHandle[Any, Any]) -> WorkloadStatus:
        return await handle.query("status", result_type=WorkloadStatus)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.02)

    async def save_now(self, handle: WorkflowHandle[Any, Any]) -> CheckpointRef:
        return await handle.execute_update("checkpoint", result_type=CheckpointRef)


@asynccontextmanager
async def run_story(
    client: Client, *, grace: timedelta, interceptors: Sequence[Interceptor] = ()
) -> AsyncIterator[Story]:
    world = World()
    common: dict[str, Any] = {
        "workflow_runner": SANDBOX,
        "graceful_shutdown_timeout": grace,
        "interceptors": interceptors,
    }
    beats = {"max_heartbeat_throttle_interval": timedelta(milliseconds=100)}
    async with AsyncExitStack() as stack:
        for queue, activities, workflows in (
            (names.CONTROL_QUEUE, world.control_activities(), WORKFLOWS),
            (names.provider_queue(PROVIDER), world.provider_activities(), ()),
            (names.HOSTS_QUEUE, world.host_activities(), ()),
        ):
            worker = Worker(client, task_queue=queue, activities=activities, workflows=workflows, **common, **beats)
            await stack.enter_async_context(worker)
        story = Story(client, world, f"w{uuid.uuid4().hex[:10]}")
        yield story
        await _end_leftovers(story)


async def _end_leftovers(story: Story) -> None:
    """What a failed test left running would otherwise be picked up by the next test's worker."""
    running = f"ExecutionStatus = 'Running' AND HoldfastWorkload = '{story.name}'"
    mine = {names.workload_id(story.name), names.checkpoints_id(story.name)}
    mine |= {each.id async for each in story.client.list_workflows(running)}
    for workflow_id in mine:
        with suppress(RPCError):  # over already, or never begun: either is what we want
            await story.client.get_workflow_handle(workflow_id).terminate("the test is over")
