"""A deployment in a toy world: each release has a world of its own."""

import asyncio
from datetime import timedelta
from typing import Any

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.deployments import (
    DeploymentInput,
    DeploymentPhase,
    DeploymentStatus,
    Release,
    ReleaseOrder,
    ReleaseState,
    SmokeRequest,
    endpoint_of,
)
from holdfast.contracts.endpoints import EndpointPhase, ScaleSpec
from tests.workflows.callers import Handle, comes_to, endpoint_spec
from tests.workflows.stories import PATIENCE, Story
from tests.workflows.world import World, a_checkpoint


def order(story: Story, version: int = 1, *, within: timedelta = timedelta(minutes=2), **changes: Any) -> ReleaseOrder:
    return ReleaseOrder(
        spec=endpoint_spec(story, **changes),
        model="tiny",
        version=version,
        recipe="command",
        smoke=SmokeRequest(path="/answer"),
        files=a_checkpoint(f"model-v{version}", 0, 0, SaveReason.WORKDIR),
        within=within,
    )


def world_of(story: Story, number: int) -> World:
    return story.worlds[endpoint_of(story.name, number)]


def endpoint(story: Story, number: int) -> Handle:
    return story.client.get_workflow_handle(names.endpoint_id(endpoint_of(story.name, number)))


async def first(story: Story, *, handover: timedelta = timedelta(), **changes: Any) -> Handle:
    return await story.client.start_workflow(
        names.DEPLOYMENT,
        DeploymentInput(name=story.name, token_hashes=("aa",), first=order(story, **changes), handover=handover),
        id=names.deployment_id(story.name),
        task_queue=names.CONTROL_QUEUE,
        result_type=DeploymentStatus,
    )


async def another(story: Story, handle: Handle, version: int, **changes: Any) -> Release:
    taken: Release = await handle.execute_update("deploy", order(story, version, **changes), result_type=Release)
    return taken


async def told(handle: Handle) -> DeploymentStatus:
    found: DeploymentStatus = await handle.query("status", result_type=DeploymentStatus)
    return found


async def decided(handle: Handle, number: int) -> DeploymentStatus:
    """Wait until it is clear what becomes of a release."""
    async with asyncio.timeout(PATIENCE):
        while (
            (release := (found := await told(handle)).release(number)) is None
            or release.state is ReleaseState.UNDER_WAY
            or found.phase is DeploymentPhase.TESTING  # what follows from it has not been said yet
        ):
            await asyncio.sleep(0.05)
    return found


async def asleep(story: Story, number: int) -> None:
    await comes_to(endpoint(story, number), EndpointPhase.PAUSED)


ALWAYS = ScaleSpec(minimum=1, in_flight=2)
