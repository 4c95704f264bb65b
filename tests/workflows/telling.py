"""Tell a scene to the end of its workload, and say what is wrong then."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.workload import Phase
from tests.workflows.scenes import Handle, Scene, come_to
from tests.workflows.stage import Stage
from tests.workflows.stories import PATIENCE, Story, a_story

AT_A_TIME = 12
"""Stories played at once."""

NEVER_CAME = "it was over before that moment came"


@dataclass(frozen=True)
class Outcome:
    """What a story came to, so far as it does not hang on the clock or on the workload's name."""

    ended: tuple[Phase, str] | None
    incidents: tuple[str, ...]
    steps: tuple[str, ...]  # in alphabetical order, for some may overtake each other; ended twice is ended
    saves: tuple[str, ...]


def outcome_of(story: Story) -> Outcome:
    world = story.world
    return Outcome(
        ended=world.ended and (world.ended[0], world.ended[1].replace(story.name, "it")),
        incidents=tuple(f"{each.cause}: {each.strategy}" for each in world.incidents),
        steps=tuple(sorted(_once(step.replace(story.name, "it") for step in world.order))),
        saves=tuple(f"{each.epoch}-{each.sequence} {each.reason}" for each in world.heads),
    )


def _once(steps: Iterable[str]) -> list[str]:
    """A machine may be let go by two at once, and nothing else may be done twice."""
    told: list[str] = []
    for step in steps:
        if step not in told or not step.startswith(("destroy ", "close ")):
            told.append(step)
    return told


async def told_undisturbed(client: Client, stage: Stage, scene: Scene) -> tuple[list[str], Outcome]:
    """The moments of the scene at which something may be tried, and what it comes to when nothing is."""
    story = a_story(client, stage)
    handle = await come_to(scene, story)
    before = set() if scene.from_its_beginning else set(story.world.moments.passed)
    await scene.plays(story, handle)
    assert await left_behind(story) is None
    moments = [each for each in story.world.moments.passed if each not in before]
    return [each for each in moments if not each.startswith("watch_machine")], outcome_of(story)


def report(scene: Scene, found: Mapping[Any, object]) -> None:
    """Print what `make chaos` tells, and fail if anything is wrong.

    How often a step is repeated hangs on the clock a little, so a few moments may never come again.
    """
    missed = [case for case, what in found.items() if what == NEVER_CAME]
    wrong = {case: what for case, what in found.items() if what not in (None, NEVER_CAME)}
    counts = f"{len(found)} ends, {len(wrong)} of them wrong, {len(missed)} moments never came"
    print(f"{scene.name}: {counts} {[*wrong.items(), *missed] or ''}")  # noqa: T201
    assert wrong == {}
    assert len(missed) <= len(found) / 4, missed


@asynccontextmanager
async def playing(scene: Scene, story: Story, handle: Handle) -> AsyncIterator[None]:
    """What happens in the scene, for as long as anybody looks at it."""

    async def play() -> None:
        try:
            await scene.plays(story, handle)
        except Exception as err:  # an order may leave it nothing to play with
            story.broke_off = f"; {err!r}"

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def left_behind(story: Story) -> str | None:
    """None when the workload is over in every respect; else what still goes on."""
    world = story.world
    try:
        with suppress(WorkflowFailureError):
            await asyncio.wait_for(story.handle().result(), PATIENCE)
        await story.until(lambda: not world.alive and world.lines.keys() <= world.closed.keys())
        for workflow_id in (names.checkpoints_id(story.name), *map(names.release_id, world.lines)):
            await asyncio.wait_for(closed(story.client, workflow_id), PATIENCE)
    except TimeoutError:
        status = await story.status(story.handle())
        still = f"alive {world.alive}, open {world.lines.keys() - world.closed.keys()}"
        return f"{status.phase}: {status.reason}; {still}{story.broke_off}"
    return None if world.ended else "the record is open"


async def closed(client: Client, workflow_id: str) -> None:
    """Wait until a workflow is over, if it ever began."""
    with suppress(RPCError):  # never begun
        while (await client.get_workflow_handle(workflow_id).describe()).status is WorkflowExecutionStatus.RUNNING:
            await asyncio.sleep(0.05)
