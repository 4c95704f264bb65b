"""An endpoint in a toy world, and a gateway that calls it."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle

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
from tests.workflows.stories import PATIENCE, Story

SLEEPS = SleepSpec(after=timedelta(seconds=1), least=timedelta())
Handle = WorkflowHandle[Any, Any]


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
    """Ask until there is a replica, as a gateway does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            request = {"waiting": 1, **request}
            given: Pass = await handle.execute_update("wake", WakeRequest(gateway=gateway, **request), result_type=Pass)
            if given.routes:
                return given


async def hang_up(handle: Handle, *, gateway: str = "g1") -> None:
    await handle.signal("idle", IdleNotice(gateway=gateway, quiet_for=timedelta()))


async def status(handle: Handle) -> EndpointStatus:
    told: EndpointStatus = await handle.query("status", result_type=EndpointStatus)
    return told


async def comes_to(handle: Handle, *phases: EndpointPhase) -> EndpointStatus:
    async with asyncio.timeout(PATIENCE):
        while (found := await status(handle)).phase not in phases:
            await asyncio.sleep(0.05)
    return found
