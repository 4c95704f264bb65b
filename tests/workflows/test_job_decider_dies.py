"""Killing the worker that decides, at any boundary of any step, changes nothing of what a job comes to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts.jobs import JobPhase, JobStatus
from tests.workflows.decider import a_decider
from tests.workflows.jobbers import AT_ONCE, DATA, over, submit, world_of
from tests.workflows.stage import Stage
from tests.workflows.stories import Story, a_story

TOGETHER = 8
EVERYDAY = pytest.param(lambda moments: moments[::9], id="some")
EVERY_MOMENT = pytest.param(lambda moments: moments, id="all", marks=pytest.mark.chaos)
Came = tuple[JobPhase, int, int | None, list[str], bool]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    theirs = Stage(temporal.client, grace=timedelta(milliseconds=200))
    async with theirs.activities():
        yield theirs


@pytest.mark.parametrize("choose", [EVERYDAY, EVERY_MOMENT])
async def test_a_job_ends_the_same_when_the_worker_that_decides_is_killed(
    temporal: WorkflowEnvironment, stage: Stage, choose: Callable[[list[str]], list[str]]
):
    """An input, an error in the code, a second attempt that goes well: some forty boundaries."""
    client = temporal.client
    async with a_decider(client):
        story = a_story(client, stage)
        undisturbed = _came_to(story, await _told(story))
    moments = list(story.world.moments.passed)
    assert len(moments) > 30, moments
    chosen = choose(moments)
    wrong: dict[str, object] = {}
    for first in range(0, len(chosen), TOGETHER):
        some = chosen[first : first + TOGETHER]
        told = zip(some, await _killed_at(client, stage, some), strict=True)
        wrong |= {moment: found for moment, found in told if found != undisturbed}
    assert wrong == {}, f"undisturbed: {undisturbed}"


async def _killed_at(client: Client, stage: Stage, moments: list[str]) -> list[Came]:
    stories = [a_story(client, stage) for _ in moments]
    async with a_decider(client):
        plays = []
        for moment, story in zip(moments, stories, strict=True):
            story.world.moments.hold(moment)
            plays.append(asyncio.create_task(_told(story)))
        await asyncio.gather(*(story.moment(moment) for moment, story in zip(moments, stories, strict=True)))
    for story in stories:
        story.world.moments.go_on()
    async with a_decider(client):
        ended = await asyncio.gather(*plays)
    return [_came_to(story, status) for story, status in zip(stories, ended, strict=True)]


async def _told(story: Story) -> JobStatus:
    """The first attempt ends with an error as soon as it runs, the second well, whoever looks on."""
    story.world.work_takes = [3]
    world_of(story, 2).work_takes = [0]
    handle = await submit(story, inputs=(DATA,), retries=AT_ONCE)
    return await over(handle)


def _came_to(story: Story, status: JobStatus) -> Came:
    worlds = (story.world, world_of(story, 2))
    alive = [each for world in worlds for each in world.alive]
    kept = status.outputs is not None and story.world.kept == (status.outputs.manifest,)
    return status.phase, len(status.attempts), status.exit_code, alive, kept
