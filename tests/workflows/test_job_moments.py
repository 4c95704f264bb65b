"""Whatever the moment of a job: killing the worker that decides changes nothing, and a cancel leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import cycle, product

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.jobs import CancelJob, JobPhase, JobStatus, attempt_name
from tests.workflows.decider import a_decider
from tests.workflows.jobbers import AT_ONCE, DATA, Handle, over, progress, queue_status, submit, world_of
from tests.workflows.stage import Stage
from tests.workflows.stories import PATIENCE, Story, a_story
from tests.workflows.telling import AT_A_TIME, NEVER_CAME, closed
from tests.workflows.world import World

TOGETHER = 8
SOME = pytest.param(lambda moments: moments[::6], id="some", marks=pytest.mark.long)
EVERY_MOMENT = pytest.param(lambda moments: moments, id="all", marks=pytest.mark.chaos)
Came = tuple[JobPhase, int, int | None, list[str], bool]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    theirs = Stage(temporal.client, grace=timedelta(milliseconds=200))
    async with theirs.activities():
        yield theirs


@pytest.mark.parametrize("choose", [SOME, EVERY_MOMENT])
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
    return await over(await _begun(story))


async def _begun(story: Story) -> Handle:
    """The first attempt ends with an error as soon as it runs, the second well, whoever looks on."""
    story.world.work_takes = [3]
    world_of(story, 2).work_takes = [0]
    return await submit(story, inputs=(DATA,), retries=AT_ONCE)


def _came_to(story: Story, status: JobStatus) -> Came:
    worlds = (story.world, world_of(story, 2))
    alive = [each for world in worlds for each in world.alive]
    kept = status.outputs is not None and story.world.kept == (status.outputs.manifest,)
    return status.phase, len(status.attempts), status.exit_code, alive, kept


# --- cancelled -------------------------------------------------------------------------------------------------------


async def _hurry(handle: Handle) -> None:
    await handle.execute_update("cancel", CancelJob(save=False), result_type=JobStatus)


async def _cancel(handle: Handle) -> None:
    await handle.execute_update("cancel", CancelJob(), result_type=JobStatus)


async def _cancel_by_the_server(handle: Handle) -> None:
    await handle.cancel()


ORDERS = {"cancel": _cancel, "hurry": _hurry, "by the server": _cancel_by_the_server}
Case = tuple[str, str]


def in_turn(moments: list[str]) -> list[Case]:
    return list(zip(moments[::6], cycle(ORDERS), strict=False))


def each_order(moments: list[str]) -> list[Case]:
    return list(product(moments, ORDERS))


SOME_ENDS = pytest.param(in_turn, id="some", marks=pytest.mark.long)
EVERY_END = pytest.param(each_order, id="all", marks=pytest.mark.chaos)


@pytest.mark.parametrize("choose", [SOME_ENDS, EVERY_END])
async def test_cancelled_at_whatever_moment_nothing_is_left_behind(
    temporal: WorkflowEnvironment, stage: Stage, choose: Callable[[list[str]], list[Case]]
):
    turns = asyncio.Semaphore(AT_A_TIME)

    async def tell(moment: str, order: str) -> str | None:
        async with turns:
            story = a_story(temporal.client, stage)
            story.world.moments.then[moment] = lambda: _given(story, order)
            wrong = await _left_behind(story, await _begun(story))
        return NEVER_CAME if story.world.moments.then and not wrong else wrong

    async with stage.decisions():
        story = a_story(temporal.client, stage)
        assert await _left_behind(story, await _begun(story)) is None
        cases = choose(list(story.world.moments.passed))
        found = await asyncio.gather(*(tell(*case) for case in cases))
    told = dict(zip(cases, found, strict=True))
    assert {case: what for case, what in told.items() if what not in (None, NEVER_CAME)} == {}
    missed = [case for case, what in told.items() if what == NEVER_CAME]
    assert len(missed) <= len(cases) / 4, missed


async def _given(story: Story, order: str) -> None:
    """From beside: the moment goes on meanwhile."""
    handle = story.client.get_workflow_handle(names.job_id(story.name))
    asyncio.create_task(ORDERS[order](handle)).add_done_callback(_heard)


def _heard(order: "asyncio.Task[None]") -> None:
    """One that is over, or about to be, may say no."""
    err = order.exception()
    assert err is None or isinstance(err, WorkflowUpdateFailedError | RPCError), err


async def _left_behind(story: Story, handle: Handle) -> str | None:
    """None: the job and its attempts are over in every respect, and its place is free."""
    worlds = (story.world, world_of(story, 2))
    try:
        async with asyncio.timeout(PATIENCE):
            with suppress(WorkflowFailureError):  # ended by the server's own means
                await handle.result()
            for number, world in enumerate(worlds, start=1):
                await story.until(partial(_is_cleared, world))
                attempt = attempt_name(story.name, number)
                mine = (names.workload_id(attempt), names.checkpoints_id(attempt))
                for workflow_id in (*mine, *map(names.release_id, world.lines)):
                    await closed(story.client, workflow_id)
            await _place_is_free(story)
    except TimeoutError:
        return f"{(await progress(handle)).phase}; alive {[each.alive for each in worlds]}"
    status = await progress(handle)
    return None if status.phase.is_final else f"it says that it is {status.phase}"


def _is_cleared(world: World) -> bool:
    return not world.alive and world.lines.keys() <= world.closed.keys()


async def _place_is_free(story: Story) -> None:
    with suppress(RPCError):  # nobody ever asked for one
        queue = story.client.get_workflow_handle(names.job_queue_id(story.name))
        await queue.describe()
        while (found := await queue_status(queue)).running or found.waiting:
            await asyncio.sleep(0.05)
        await queue.terminate("it is told")
