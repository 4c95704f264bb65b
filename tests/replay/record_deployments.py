"""Record golden histories of deployments: `python -m tests.replay.record_deployments [STORY]`. Rules as in `record`."""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

from temporalio.client import Client, WorkflowFailureError

from holdfast.contracts import names
from holdfast.contracts.deployments import DeploymentStatus
from tests.replay.record import a_server, keep
from tests.workflows.deployers import another, decided, endpoint, first, world_of
from tests.workflows.stories import Story, run_story


async def shifted(story: Story) -> None:
    """A second version took over, a third was not fit; then back, and retired."""
    handle = await first(story)
    await decided(handle, 1)
    await another(story, handle, 2)
    await decided(handle, 2)
    story.world.unfit.add(f"{story.name}-v3-r0")
    await another(story, handle, 3)
    await decided(handle, 3)
    await handle.execute_update("rollback", result_type=DeploymentStatus)
    await handle.execute_update("set_tokens", ["bb"], result_type=DeploymentStatus)
    await handle.execute_update("retire", result_type=DeploymentStatus)
    await handle.result()
    await keep(story.client, "shifted", handle.id)


async def given_up(story: Story) -> None:
    """A second version was given up while it woke; then new tokens, and retired while a third one woke."""
    handle = await first(story)
    await decided(handle, 1)
    for version in (2, 3):
        world_of(story, version).moments.hold("await_service 1 begins")
        await another(story, handle, version)
        await story.until(partial(world_of(story, version).moments.reached, "await_service 1 begins"))
        if version == 2:
            await handle.execute_update("rollback", result_type=DeploymentStatus)
    await handle.execute_update("set_tokens", ["bb"], result_type=DeploymentStatus)
    await handle.execute_update("retire", result_type=DeploymentStatus)
    world_of(story, 3).moments.go_on()
    await handle.result()
    await keep(story.client, "given_up", handle.id)
    await keep(story.client, "given_up", endpoint(story, 2).id)


async def not_fit(story: Story) -> None:
    """The first version could not serve."""
    world_of(story, 1).serves = False
    handle = await first(story)
    await handle.result()
    await keep(story.client, "not_fit", handle.id)
    await keep(story.client, "not_fit", names.endpoint_id(f"{story.name}-v1"))


async def cancelled_deploying(story: Story) -> None:
    """Cancelled while a second version was asked."""
    handle = await first(story)
    await decided(handle, 1)
    story.world.moments.hold("smoke_test 2 begins")
    await another(story, handle, 2)
    await story.moment("smoke_test 2 begins")
    await handle.cancel()
    story.world.moments.go_on()
    try:
        await handle.result()
    except WorkflowFailureError:
        await keep(story.client, "cancelled_deploying", handle.id)
    await keep(story.client, "cancelled_deploying", endpoint(story, 1).id)


STORIES = {each.__name__: each for each in (shifted, given_up, not_fit, cancelled_deploying)}


async def record(client: Client, chosen: Sequence[str]) -> None:
    for tell in (STORIES[name] for name in chosen or STORIES):
        async with run_story(client) as story, asyncio.timeout(120):
            await tell(story)


async def main(chosen: Sequence[str]) -> None:
    async with a_server() as client:
        await record(client, chosen)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
