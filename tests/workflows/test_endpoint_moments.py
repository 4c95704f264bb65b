"""Whatever the moment of an endpoint's sleep and wake: nothing is left behind, and a worker's death changes nothing.

As in `test_every_moment` and `test_decider_dies`, the story is told once to learn its moments: where each step begins,
and where it is done and nobody has heard of it yet.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from itertools import cycle, product

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.endpoints import EndpointPhase, SleepSpec, replica_name
from holdfast.contracts.spec import PauseMode
from holdfast.workers.marking import MarkingRunner
from tests.workflows.callers import SLEEPS, Handle, begin, call, comes_to, hang_up, remove
from tests.workflows.decider import a_decider
from tests.workflows.scenes import Scene
from tests.workflows.stage import Stage
from tests.workflows.stories import PATIENCE, Story, a_story
from tests.workflows.telling import AT_A_TIME, NEVER_CAME, closed, playing, report

GRACE = timedelta(milliseconds=200)
KILLED_AT_A_TIME = 8
"""Stories that one worker decides on: each is an endpoint, its replica and their savers, all of them asked often."""
LETS_GO = SLEEPS.model_copy(update={"mode": PauseMode.CHECKPOINT})
Outcome = tuple[tuple[str, ...], ...]
Case = tuple[str, str]


async def _sleep_and_wake(story: Story, handle: Handle) -> None:
    for _ in range(2):
        await call(handle)
        await hang_up(handle)
        await comes_to(handle, EndpointPhase.PAUSED)
    await remove(handle)
    await handle.result()


SCENE = Scene("an endpoint that sleeps and wakes", _sleep_and_wake, from_its_beginning=True)


async def _cancel(handle: Handle) -> None:
    await handle.cancel()


async def _remove(handle: Handle) -> None:
    with suppress(RPCError):  # over already
        await remove(handle)


ORDERS: dict[str, Callable[[Handle], Awaitable[None]]] = {"cancel": _cancel, "remove": _remove}


def in_turn(moments: list[str]) -> list[Case]:
    return list(zip(moments[::4], cycle(ORDERS), strict=False))


def each_order(moments: list[str]) -> list[Case]:
    return list(product(moments, ORDERS))


def some(moments: list[str]) -> list[str]:
    return moments[::6]


def every(moments: list[str]) -> list[str]:
    return moments


def both_ways(everyday: object, always: object) -> list[object]:
    """Some moments of one way to sleep every day, and all moments of both for `make chaos`."""
    return [
        pytest.param(SLEEPS, everyday, id="stop, some"),
        pytest.param(SLEEPS, always, id="stop", marks=pytest.mark.chaos),
        pytest.param(LETS_GO, always, id="checkpoint", marks=pytest.mark.chaos),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    theirs = Stage(temporal.client, grace=GRACE, runner=MarkingRunner())
    async with theirs.activities():
        yield theirs


@pytest.mark.parametrize(("sleep", "choose"), both_ways(in_turn, each_order))
async def test_cancelled_or_removed_at_whatever_moment_nothing_is_left_behind(
    temporal: WorkflowEnvironment, stage: Stage, sleep: SleepSpec, choose: Callable[[list[str]], list[Case]]
):
    turns = asyncio.Semaphore(AT_A_TIME)

    async def tell(moment: str, order: str) -> str | None:
        async with turns:
            story = a_story(temporal.client, stage)
            story.world.moments.then[moment] = lambda: _order(story, order)
            handle = await begin(story, sleep=sleep)
            async with playing(SCENE, story, handle):
                wrong = await _left_behind(story, handle)
        return NEVER_CAME if story.world.moments.then and not wrong else wrong

    async with stage.decisions():
        moments, _ = await _undisturbed(temporal.client, stage, sleep)
        cases = choose(moments)
        found = await asyncio.gather(*(tell(*case) for case in cases))
    report(SCENE, dict(zip(cases, found, strict=True)))


@pytest.mark.chaos
@pytest.mark.parametrize(("sleep", "choose"), both_ways(some, every))
async def test_killing_the_worker_that_decides_at_a_boundary_changes_nothing_of_what_it_comes_to(
    temporal: WorkflowEnvironment, stage: Stage, sleep: SleepSpec, choose: Callable[[list[str]], list[str]]
):
    async with a_decider(temporal.client):
        moments, undisturbed = await _undisturbed(temporal.client, stage, sleep)
    chosen, found = choose(moments), list[str | Outcome]()
    for first in range(0, len(chosen), KILLED_AT_A_TIME):
        found += await _tell_killed(temporal.client, stage, sleep, chosen[first : first + KILLED_AT_A_TIME])
    told = zip(chosen, found, strict=True)
    report(SCENE, {moment: None if what == undisturbed else what for moment, what in told})


async def _tell_killed(client: Client, stage: Stage, sleep: SleepSpec, moments: list[str]) -> list[str | Outcome]:
    stories = [a_story(client, stage) for _ in moments]
    async with AsyncExitStack() as plays:

        async def hold(moment: str, story: Story) -> tuple[Handle, bool]:
            story.world.moments.hold(moment)
            handle = await begin(story, sleep=sleep)
            await plays.enter_async_context(playing(SCENE, story, handle))
            reached = story.world.moments.reached
            try:
                await story.until(lambda: reached(moment) or reached("close_endpoint 1 is done"))
            except TimeoutError:
                raise AssertionError(
                    f"never came to '{moment}', but to {story.world.moments.passed}{story.broke_off}"
                ) from None
            return handle, reached(moment)

        async with a_decider(client):
            held = await asyncio.gather(*map(hold, moments, stories))
        for moment, story, (_, came) in zip(moments, stories, held, strict=True):
            story.world.moments.go_on()
            if came:
                await story.until(partial(story.world.moments.is_behind, moment))
        async with a_decider(client):
            found = await asyncio.gather(
                *(_left_behind(story, handle) for story, (handle, _) in zip(stories, held, strict=True))
            )
    told = zip(stories, found, held, strict=True)
    return [wrong or (_outcome(story) if came else NEVER_CAME) for story, wrong, (_, came) in told]


async def _undisturbed(client: Client, stage: Stage, sleep: SleepSpec) -> tuple[list[str], Outcome]:
    story = a_story(client, stage)
    handle = await begin(story, sleep=sleep)
    await _sleep_and_wake(story, handle)
    assert await _left_behind(story, handle) is None
    passed = story.world.moments.passed
    return [each for each in passed if not each.startswith("watch_machine")], _outcome(story)


def _outcome(story: Story) -> Outcome:
    """What it came to, so far as that does not hang on the clock or on the name."""
    steps = sorted(each.replace(story.name, "it") for each in story.world.order)
    saves = [f"{each.epoch}-{each.sequence} {each.reason}" for each in story.world.heads]
    return tuple(str(each.woken_from) for each in story.world.wakes), tuple(dict.fromkeys(steps)), tuple(saves)


async def _order(story: Story, order: str) -> None:
    """Given from beside: the moment goes on meanwhile."""
    handle = story.client.get_workflow_handle(names.endpoint_id(story.name))
    asyncio.create_task(ORDERS[order](handle)).add_done_callback(_heard)


def _heard(order: "asyncio.Task[None]") -> None:
    err = order.exception()
    assert err is None or (isinstance(err, RPCError) and err.status is RPCStatusCode.NOT_FOUND), err


async def _left_behind(story: Story, handle: Handle) -> str | None:
    """None when the endpoint and its replica are over in every respect; else what still goes on."""
    world, replica = story.world, replica_name(story.name, 0)
    mine = (names.workload_id(replica), names.checkpoints_id(replica))
    try:
        async with asyncio.timeout(PATIENCE):
            with suppress(WorkflowFailureError):
                await handle.result()
            await story.until(lambda: not world.alive and world.lines.keys() <= world.closed.keys())
            for workflow_id in (*mine, *map(names.release_id, world.lines)):
                await closed(story.client, workflow_id)
    except TimeoutError:
        return f"alive {world.alive}, open {world.lines.keys() - world.closed.keys()}{story.broke_off}"
    return None if world.endpoint is None else "gateways still know it"
