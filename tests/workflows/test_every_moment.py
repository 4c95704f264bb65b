"""No machine is left billing, whatever the moment at which a workload is cancelled or stopped.

A scene is played once to learn its moments: where each activity begins, and where it is done and nobody has heard of
it yet. Then it is played once for each of them, all at the same time, and at that moment the order is given.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import cycle

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.workload import StopRequest
from tests.workflows.scenes import SCENES, Handle, Scene, come_to, set_off
from tests.workflows.stage import Stage
from tests.workflows.stories import PATIENCE, Story, a_story

GRACE = timedelta(milliseconds=200)
AT_A_TIME = 12
"""Stories played at once."""
EVERYDAY = ("a placement", "a failover", "a pause", "a finish")
"""Scenes through which the orders go in turn every day; `make chaos` gives each order at each moment of each scene."""


async def _cancel(story: Story, handle: Handle) -> None:
    await handle.cancel()


async def _stop(story: Story, handle: Handle) -> None:
    await story.order(handle, "stop", StopRequest())


async def _stop_at_once(story: Story, handle: Handle) -> None:
    await story.order(handle, "stop", StopRequest(save=False))


ORDERS: dict[str, Callable[[Story, Handle], Awaitable[None]]] = {
    "cancel": _cancel,
    "stop": _stop,
    "stop without a save": _stop_at_once,
}
IN_TURN = [
    pytest.param(each, tuple(ORDERS), id=each.name.replace(" ", "_")) for each in SCENES if each.name in EVERYDAY
]
EACH = [
    pytest.param(scene, (order,), id=f"{order}-{scene.name}".replace(" ", "_"), marks=pytest.mark.chaos)
    for scene in SCENES
    for order in ORDERS
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    playing = Stage(temporal.client, grace=GRACE)
    async with playing.activities():
        yield playing


@pytest.mark.parametrize(("scene", "orders"), [*IN_TURN, *EACH])
async def test_whatever_the_moment_nothing_is_left_behind(
    temporal: WorkflowEnvironment, stage: Stage, scene: Scene, orders: tuple[str, ...]
):
    turns = asyncio.Semaphore(AT_A_TIME)

    async def play(moment: str, order: str) -> str | None:
        async with turns:
            story = a_story(temporal.client, stage)
            handle = await come_to(scene, story)
            story.world.moments.then[moment] = lambda: give(order, story)
            await set_off(scene, story, handle)
            return await left_behind(story) or _lost(scene, order, story)

    async with stage.decisions():
        moments = await moments_of(temporal.client, stage, scene)
        found = await asyncio.gather(*(play(*each) for each in zip(moments, cycle(orders), strict=False)))
    assert _told(moments, found) == {}


@pytest.mark.parametrize(("scene", "orders"), [*IN_TURN[:1], *EACH])
async def test_nor_when_the_worker_that_decides_is_away_at_that_moment(
    temporal: WorkflowEnvironment, stage: Stage, scene: Scene, orders: tuple[str, ...]
):
    """The end of the step and the order then reach the workflow together."""
    async with stage.decisions():
        moments = await moments_of(temporal.client, stage, scene)
    given = list(zip(moments, cycle(orders), strict=False))
    for first in range(0, len(given), 2 * AT_A_TIME):
        found = await _play_without_decisions(temporal.client, stage, scene, given[first : first + 2 * AT_A_TIME])
        assert found == {}


async def _play_without_decisions(
    client: Client, stage: Stage, scene: Scene, given: list[tuple[str, str]]
) -> dict[str, str]:
    stories = [a_story(client, stage) for _ in given]

    async def hold(moment: str, story: Story) -> None:
        handle = await come_to(scene, story)
        story.world.moments.hold(moment)
        await set_off(scene, story, handle)
        await story.moment(moment)

    moments = [moment for moment, _ in given]
    async with stage.decisions():
        await asyncio.gather(*map(hold, moments, stories))
    orders = [asyncio.create_task(give(order, story)) for (_, order), story in zip(given, stories, strict=True)]
    for moment, story in zip(moments, stories, strict=True):
        story.world.moments.go_on()
        await story.until(partial(story.world.moments.is_behind, moment))
    async with stage.decisions():
        found = await asyncio.gather(*map(left_behind, stories))
        await asyncio.gather(*orders)
    lost = [_lost(scene, order, story) for (_, order), story in zip(given, stories, strict=True)]
    found = [behind or unsaved for behind, unsaved in zip(found, lost, strict=True)]
    return _told(moments, found)


async def moments_of(client: Client, stage: Stage, scene: Scene) -> list[str]:
    """The moments of the scene, which is then ended so that nothing of it remains."""
    story = a_story(client, stage)
    handle = await come_to(scene, story)
    before = set(story.world.moments.passed)
    handle = await set_off(scene, story, handle)
    await scene.is_over(story, handle)
    moments = [each for each in story.world.moments.passed if each not in before]
    await give("stop without a save", story)
    assert await left_behind(story) is None
    return [each for each in moments if not each.startswith("watch_machine")]


async def left_behind(story: Story) -> str | None:
    """None when the workload is over in every respect; else what still goes on."""
    try:
        with suppress(WorkflowFailureError):
            await asyncio.wait_for(story.handle().result(), PATIENCE)
        await story.until(lambda: not story.world.alive and story.world.opened <= story.world.closed.keys())
        for workflow_id in (names.checkpoints_id(story.name), *map(names.release_id, story.world.opened)):
            await asyncio.wait_for(_ended(story.client, workflow_id), PATIENCE)
    except TimeoutError:
        world = story.world
        phase = await story.status(story.handle())
        return f"{phase.phase}: {phase.reason}; alive {world.alive}, open {world.opened - world.closed.keys()}"
    if story.world.moments.then:
        return "it was over before that moment came"
    return None if story.world.ended else "the record is open"


def _lost(scene: Scene, order: str, story: Story) -> str | None:
    if order == "stop" and scene.can_save and story.world.heads[-1].reason is SaveReason.WORKDIR:
        return "its work was not saved"
    return None


async def _ended(client: Client, workflow_id: str) -> None:
    with suppress(RPCError):  # never begun
        while (await client.get_workflow_handle(workflow_id).describe()).status is WorkflowExecutionStatus.RUNNING:
            await asyncio.sleep(0.05)


async def give(order: str, story: Story) -> None:
    """Insist, when the server takes no orders because no worker has answered it for a while."""
    while True:
        try:
            return await ORDERS[order](story, story.handle())
        except RPCError as err:
            if err.status is RPCStatusCode.NOT_FOUND:  # over already
                return None
            if err.status not in (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.DEADLINE_EXCEEDED):
                raise
        await asyncio.sleep(0.1)


def _told(moments: list[str], found: list[str | None]) -> dict[str, str]:
    return {moment: what for moment, what in zip(moments, found, strict=True) if what is not None}
