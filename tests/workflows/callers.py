"""An endpoint in a toy world, and a gateway that calls it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.stock import StockActivities
from holdfast.contracts import names
from holdfast.contracts.endpoints import (
    EndpointInput,
    EndpointPhase,
    EndpointSpec,
    EndpointStatus,
    IdleNotice,
    Pass,
    ScaleSpec,
    SleepSpec,
    WakeRequest,
    replica_name,
)
from holdfast.contracts.spec import ServiceSpec
from holdfast.contracts.sweeping import Stock
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics
from tests.workflows.stories import PATIENCE, UNANSWERED, Story

SLEEPS = SleepSpec(after=timedelta(seconds=1), least=timedelta())
Handle = WorkflowHandle[Any, Any]
Answer = TypeVar("Answer")


def endpoint_spec(story: Story, **changes: Any) -> EndpointSpec:
    return EndpointSpec(
        **{
            "name": story.name,
            "service": ServiceSpec(port=8000),
            "workload": story.spec(name=replica_name(story.name, 0)),
            "sleep": SLEEPS,
            "scale": ScaleSpec(in_flight=2),
            **changes,
        }
    )


async def begin(story: Story, **changes: Any) -> Handle:
    return await story.client.start_workflow(
        names.ENDPOINT,
        EndpointInput(spec=endpoint_spec(story, **changes)),
        id=names.endpoint_id(story.name),
        task_queue=names.CONTROL_QUEUE,
    )


async def call(handle: Handle, *, gateway: str = "g1", **request: Any) -> Pass:
    """Ask until there is a replica, or none will come, as a gateway does."""
    request = {"waiting": 1, **request}
    await handle.signal("called", WakeRequest(gateway=gateway, **request))

    async def ask() -> Pass:
        given: Pass = await handle.query("pass_now", result_type=Pass)
        return given

    async with asyncio.timeout(PATIENCE):
        while not ((given := await insisting(ask)).routes or given.refused):
            await asyncio.sleep(0.05)
    return given


async def remove(handle: Handle) -> None:
    async def ask() -> None:
        await handle.execute_update("remove")

    await insisting(ask)


async def insisting(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask again while the worker that decides is away."""
    while True:
        try:
            return await ask()
        except RPCError as err:
            if err.status not in UNANSWERED:
                raise
        await asyncio.sleep(0.1)


async def hang_up(handle: Handle, *, gateway: str = "g1") -> None:
    await handle.signal("idle", IdleNotice(gateway=gateway, quiet_for=timedelta()))


async def status(handle: Handle) -> EndpointStatus:
    async def ask() -> EndpointStatus:
        told: EndpointStatus = await handle.query("status", result_type=EndpointStatus)
        return told

    return await insisting(ask)


async def comes_to(handle: Handle, *phases: EndpointPhase) -> EndpointStatus:
    async with asyncio.timeout(PATIENCE):
        while (found := await status(handle)).phase not in phases:
            await asyncio.sleep(0.05)
    return found


async def stock_of(story: Story, records: Records) -> Stock:
    """What the sweep of `vast` begins with."""
    bodies = StockActivities(records, story.client, metrics=Metrics())
    return await ActivityEnvironment().run(bodies.take_stock, "vast")
