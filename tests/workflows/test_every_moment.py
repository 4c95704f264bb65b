"""No machine is left billing, whatever the moment at which a workload is cancelled or stopped.

A scene is played once to learn its moments: where each activity begins, and where it is done and nobody has heard of
it yet. Then it is played once for each of them, some at a time, and at that moment the order is given.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from itertools import cycle, product

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.workload import StopRequest
from holdfast.workers.marking import MarkingRunner
from tests.workflows.scenes import SCENES, Handle, Scene, come_to
from tests.workflows.stage import Stage
from tests.workflows.stories import UNANSWERED, Story, a_story
from tests.workflows.telling import AT_A_TIME, NEVER_CAME, left_behind, playing, report, told_undisturbed

GRACE = timedelta(milliseconds=200)
Case = tuple[str, str]
"""A moment, and the order that is given there."""


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


def orders_in_turn(moments: list[str]) -> list[Case]:
    """At every fourth moment."""
    return list(zip(moments[::4], cycle(ORDERS), strict=False))


def each_order(moments: list[str]) -> list[Case]:
    return list(product(moments, ORDERS))


def scenes(*everyday: str) -> list[object]:
    """Each order at each moment of each scene for `make chaos`; every day the orders in turn in these."""
    named = {scene.name: scene for scene in SCENES}
    return [
        *(pytest.param(named[name], orders_in_turn, id=f"{name}, in turn".replace(" ", "_")) for name in everyday),
        *(
            pytest.param(scene, each_order, id=scene.name.replace(" ", "_"), marks=pytest.mark.chaos)
            for scene in SCENES
        ),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    theirs = Stage(temporal.client, grace=GRACE, runner=MarkingRunner())  # a sandbox for each is slow
    async with theirs.activities():
        yield theirs


@pytest.mark.parametrize(
    ("scene", "choose"), scenes("placed and finished", "outbid with nothing saved", "paused and resumed")
)
async def test_whatever_the_moment_nothing_is_left_behind(
    temporal: WorkflowEnvironment, stage: Stage, scene: Scene, choose: Callable[[list[str]], list[Case]]
):
    turns = asyncio.Semaphore(AT_A_TIME)

    async def tell(moment: str, order: str) -> str | None:
        story = a_story(temporal.client, stage)
        story.world.moments.then[moment] = lambda: give(order, story)
        async with turns, playing(scene, story, await come_to(scene, story)):
            wrong = await left_behind(story) or _lost(scene, order, story)
        return NEVER_CAME if story.world.moments.then and not wrong else wrong

    async with stage.decisions():
        moments, _ = await told_undisturbed(temporal.client, stage, scene)
        cases = choose(moments)
        found = await asyncio.gather(*(tell(*case) for case in cases))
    report(scene, dict(zip(cases, found, strict=True)))


@pytest.mark.parametrize(("scene", "choose"), scenes("placed and finished"))
async def test_nor_when_the_worker_that_decides_is_away_at_that_moment(
    temporal: WorkflowEnvironment, stage: Stage, scene: Scene, choose: Callable[[list[str]], list[Case]]
):
    """The end of the step and the order then reach the workflow together."""
    async with stage.decisions():
        moments, _ = await told_undisturbed(temporal.client, stage, scene)
    cases, found = choose(moments), list[str | None]()
    for first in range(0, len(cases), 2 * AT_A_TIME):
        found += await _tell_without_decisions(temporal.client, stage, scene, cases[first : first + 2 * AT_A_TIME])
    report(scene, dict(zip(cases, found, strict=True)))


async def _tell_without_decisions(client: Client, stage: Stage, scene: Scene, cases: list[Case]) -> list[str | None]:
    stories = [a_story(client, stage) for _ in cases]

    async def hold(moment: str, story: Story) -> bool:
        story.world.moments.hold(moment)
        async with playing(scene, story, await come_to(scene, story)):
            return await story.comes_to(moment)

    async with stage.decisions():
        came = await asyncio.gather(*(hold(moment, story) for (moment, _), story in zip(cases, stories, strict=True)))
    orders = [asyncio.create_task(give(order, story)) for (_, order), story in zip(cases, stories, strict=True)]
    for (moment, _), story, comes in zip(cases, stories, came, strict=True):
        story.world.moments.go_on()
        if comes:
            await story.until(partial(story.world.moments.is_behind, moment))
    async with stage.decisions():
        found = await asyncio.gather(*map(left_behind, stories))
        await asyncio.gather(*orders)
    told = zip(cases, stories, found, came, strict=True)
    return [wrong or (_lost(scene, order, story) if comes else NEVER_CAME) for (_, order), story, wrong, comes in told]


def _lost(scene: Scene, order: str, story: Story) -> str | None:
    if order == "stop" and scene.can_save and story.world.heads[-1].reason is SaveReason.WORKDIR:
        return "its work was not saved"
    return None


async def give(order: str, story: Story) -> None:
    """Insist, when the server takes no orders because no worker has answered it for a while."""
    while True:
        try:
            return await ORDERS[order](story, story.handle())
        except RPCError as err:
            if err.status is RPCStatusCode.NOT_FOUND:  # over already
                return None
            if err.status not in UNANSWERED:
                raise
        await asyncio.sleep(0.1)
