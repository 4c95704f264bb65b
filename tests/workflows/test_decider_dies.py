"""Killing the worker that decides, at any boundary of any step, changes nothing of what a workload comes to.

Many stories are held, each at a boundary of its own. Then the process that decides is killed; the steps end while
nobody hears of it; and another process goes on from the histories.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.decider import a_decider
from tests.workflows.scenes import SCENES, Scene, come_to
from tests.workflows.stage import Stage
from tests.workflows.stories import Story, a_story
from tests.workflows.telling import (
    AT_A_TIME,
    NEVER_CAME,
    Outcome,
    left_behind,
    outcome_of,
    playing,
    report,
    told_undisturbed,
)

NAMED = {scene.name: scene for scene in SCENES}
EVERYDAY = pytest.param(NAMED["outbid"], lambda moments: moments[::6], id="outbid,_some")
EVERY_MOMENT = [
    pytest.param(scene, lambda moments: moments, id=scene.name.replace(" ", "_"), marks=pytest.mark.chaos)
    for scene in SCENES
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    theirs = Stage(temporal.client, grace=timedelta(milliseconds=200))
    async with theirs.activities():
        yield theirs


@pytest.mark.parametrize(("scene", "choose"), [EVERYDAY, *EVERY_MOMENT])
async def test_a_story_ends_the_same_when_the_worker_that_decides_is_killed_at_a_boundary(
    temporal: WorkflowEnvironment, stage: Stage, scene: Scene, choose: Callable[[list[str]], list[str]]
):
    async with a_decider(temporal.client):
        moments, undisturbed = await told_undisturbed(temporal.client, stage, scene)
    chosen, found = choose(moments), list[str | Outcome]()
    for first in range(0, len(chosen), 2 * AT_A_TIME):
        found += await _tell(temporal.client, stage, scene, chosen[first : first + 2 * AT_A_TIME])
    told = zip(chosen, found, strict=True)
    report(scene, {moment: None if what == undisturbed else what for moment, what in told})


async def _tell(client: Client, stage: Stage, scene: Scene, moments: list[str]) -> list[str | Outcome]:
    stories = [a_story(client, stage) for _ in moments]
    async with AsyncExitStack() as plays:

        async def hold(moment: str, story: Story) -> bool:
            story.world.moments.hold(moment)
            await plays.enter_async_context(playing(scene, story, await come_to(scene, story)))
            return await story.comes_to(moment)

        async with a_decider(client):
            came = await asyncio.gather(*map(hold, moments, stories))
        for moment, story, comes in zip(moments, stories, came, strict=True):
            story.world.moments.go_on()
            if comes:
                await story.until(partial(story.world.moments.is_behind, moment))
        async with a_decider(client):
            found = await asyncio.gather(*map(left_behind, stories))
    told = zip(stories, found, came, strict=True)
    return [wrong or (outcome_of(story) if comes else NEVER_CAME) for story, wrong, comes in told]
