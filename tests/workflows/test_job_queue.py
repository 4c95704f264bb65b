"""As many jobs of a tenant run at a time as may, and who goes next is fair."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest
import pytest_asyncio
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.jobs import ArrayPlace, JobPhase, QueueSpec, QueueStatus
from tests.workflows.jobbers import Handle, cancel, comes_to, over, queue_status, submit, the_queue, world_of
from tests.workflows.stories import PATIENCE, SUGGESTS_CONTINUE_AS_NEW, Story


@pytest_asyncio.fixture(loop_scope="session")
async def leftovers(story: Story) -> AsyncIterator[None]:
    yield
    mine = [f"{story.name}-{letter}" for letter in "abcdef"]
    ended = [names.job_queue_id(story.name), *map(names.job_id, mine)]
    ended += [names.workload_id(f"{each}-a1") for each in mine]
    for workflow_id in ended:
        with suppress(RPCError):  # over already, or never begun: either is what we want
            await story.client.get_workflow_handle(workflow_id).terminate("the test is over")


pytestmark = pytest.mark.usefixtures("leftovers")


async def one(story: Story, letter: str, *, priority: int = 3, place: ArrayPlace | None = None) -> Handle:
    queue = QueueSpec(priority=priority, fairness_key="all")
    return await submit(story, name=f"{story.name}-{letter}", queue=queue, place=place)


async def queued(story: Story, *letters: str) -> None:
    """Wait until these wait for a place, in this order, and no others."""
    handle = story.client.get_workflow_handle(names.job_queue_id(story.name))
    wanted = [f"{story.name}-{each}" for each in letters]
    async with asyncio.timeout(PATIENCE):
        while [each.job for each in (await queue_status(handle)).waiting] != wanted:
            await asyncio.sleep(0.05)


async def finished(story: Story, letter: str, handle: Handle) -> None:
    await comes_to(handle, JobPhase.RUNNING)
    world = world_of(story, 1, f"{story.name}-{letter}")
    world.finish(world.newest())
    assert (await over(handle)).phase is JobPhase.SUCCEEDED


async def ended(handles: Sequence[Handle]) -> None:
    for each in handles:
        await cancel(each)
    for each in handles:
        await over(each)


async def test_no_more_run_than_may_and_the_higher_priority_goes_first(story: Story):
    await the_queue(story, at_once=1)
    first = await one(story, "a")
    await comes_to(first, JobPhase.RUNNING)
    second = await one(story, "b")
    await queued(story, "b")
    urgent = await one(story, "c", priority=1)
    await queued(story, "c", "b")
    await finished(story, "a", first)
    await comes_to(urgent, JobPhase.RUNNING)
    await queued(story, "b")
    await finished(story, "c", urgent)
    await finished(story, "b", second)


async def test_more_may_run_from_now_on(story: Story):
    queue = await the_queue(story, at_once=1)
    first = await one(story, "a")
    await comes_to(first, JobPhase.RUNNING)
    second = await one(story, "b")
    await queued(story, "b")
    await queue.execute_update("set_limit", 2, result_type=QueueStatus)
    await comes_to(second, JobPhase.RUNNING)
    await ended((first, second))
    with pytest.raises(WorkflowUpdateFailedError):
        await queue.execute_update("set_limit", 0, result_type=QueueStatus)


async def test_an_array_keeps_to_its_own_limit(story: Story):
    await the_queue(story, at_once=3)
    places = [ArrayPlace(array="s", index=number, size=2, at_once=1) for number in range(2)]
    first = await one(story, "a", place=places[0])
    await comes_to(first, JobPhase.RUNNING)
    second, other = await one(story, "b", place=places[1]), await one(story, "c")
    await comes_to(other, JobPhase.RUNNING)
    await queued(story, "b")
    await finished(story, "a", first)
    await comes_to(second, JobPhase.RUNNING)
    await ended((second, other))


async def test_a_queue_that_was_ended_by_force_is_started_again_by_whoever_asks(story: Story):
    queue = await the_queue(story, at_once=1)
    await queue.terminate("by hand")
    handle = await one(story, "a")
    await finished(story, "a", handle)


async def test_the_queue_goes_on_in_a_new_run_and_forgets_nobody(story: Story):
    queue = await the_queue(story, at_once=1)
    first = await one(story, "a")
    await comes_to(first, JobPhase.RUNNING)
    second = await one(story, "b")
    await queued(story, "b")
    before = (await queue.describe()).run_id
    async with asyncio.timeout(PATIENCE):
        while (await queue.describe()).run_id == before:
            await asyncio.gather(*(queue.signal("leave", "nobody") for _ in range(SUGGESTS_CONTINUE_AS_NEW // 5)))
    told = await queue_status(queue)
    assert (told.running, [each.job for each in told.waiting]) == ((f"{story.name}-a",), [f"{story.name}-b"])
    await finished(story, "a", first)
    await finished(story, "b", second)
