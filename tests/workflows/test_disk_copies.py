"""Copies of the disk: one is kept, the next machine begins with it, and none is left in the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.spec import CheckpointSpec, FailoverSpec, Strategy
from holdfast.contracts.workload import Ack, Event, Phase, StopRequest
from tests.workflows.stories import PATIENCE, Story, ended

TEN_MINUTES = timedelta(minutes=10)
LATER = timedelta(minutes=11)
WANTED: dict[str, Any] = {
    "failover": FailoverSpec(
        silence=timedelta(seconds=2), disk_every=TEN_MINUTES, ladder=(Strategy.REGIONAL, Strategy.COLDSTART)
    ),
    "checkpoint": CheckpointSpec(every=timedelta(seconds=1)),
}
Handle = WorkflowHandle[Any, Any]
A_COPY = 40  # events, as docs/performance.md says
A_STEP = 6
THE_NEXT_WAIT = 5


def copier(story: Story) -> Handle:
    return story.client.get_workflow_handle(names.disk_id(story.name))


async def told(handle: Handle) -> list[str]:
    return [each.what for each in await handle.query("timeline", result_type=list[Event])]


async def tells(handle: Handle, what: Callable[[str], bool]) -> str:
    """Wait for a line of the timeline."""
    async with asyncio.timeout(PATIENCE):
        while not (found := [each for each in await told(handle) if what(each)]):
            await asyncio.sleep(0.05)
    assert len(found) == 1, "it is said once"
    return found[0]


async def has_copied(story: Story, handle: Handle) -> None:
    """The work runs, and a copy of its disk is whole."""
    await story.running(handle)
    await tells(handle, lambda line: line.startswith("a copy of the disk is kept at toy"))


async def passes(skipping: WorkflowEnvironment, story: Story, reached: Callable[[], bool]) -> None:
    """Let time pass for what keeps the copies, until something has come of it."""
    async with asyncio.timeout(PATIENCE):
        while not reached():
            with suppress(RPCError):  # it is over already
                await skipping.fast_forward(copier(story), LATER)
            await asyncio.sleep(0.2)


async def is_over(story: Story) -> None:
    """Nothing is kept by the provider, nor on record, and nobody takes copies any more."""
    await ended(copier(story))
    assert (story.world.copies_kept, story.world.copies) == ([], {})


async def test_the_next_machine_begins_with_the_copy_and_none_is_left_in_the_end(story: Story):
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    status = await story.status(handle)
    assert status.disk is not None and (status.disk.name, status.disk.provider) == ("copy-1", "toy")
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    assert story.world.newest().began_with == "copy-1"
    assert story.world.newest().restored == story.world.heads[-1].manifest or len(story.world.heads) > 2
    (attempt,) = story.world.incidents[0].attempts
    assert (attempt.strategy, attempt.began_with) == ("regional", "copy-1")
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)
    assert (await story.status(handle)).disk is None


async def test_nothing_is_copied_unless_the_policy_says_so(story: Story):
    handle = await story.begin(checkpoint=WANTED["checkpoint"])
    await story.running(handle)
    await story.until(lambda: len(story.world.saves) >= 2)
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    await ended(handle)
    assert story.world.calls["copy"] == 0
    assert not [each async for each in story.client.list_workflows(f"WorkflowId = '{names.disk_id(story.name)}'")]


async def test_a_provider_that_cannot_copy_disks_says_so_once(skipping: WorkflowEnvironment, long_story: Story):
    story = long_story
    story.world.cannot_copy = True
    handle = await story.begin(**WANTED)
    await tells(handle, lambda line: line == "no copy of the disk is kept: toy cannot copy a disk")
    await skipping.fast_forward(copier(story), timedelta(hours=1))
    assert story.world.calls["copy"] == 1
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    assert story.world.newest().began_with == ""
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_the_next_copy_is_whole_before_the_last_one_goes(skipping: WorkflowEnvironment, long_story: Story):
    story = long_story
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    await passes(skipping, story, lambda: "drop copy-1" in story.world.order)
    assert [each for each in story.world.order if "copy" in each][:3] == ["take copy-1", "take copy-2", "drop copy-1"]
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_a_copy_that_is_gone_keeps_no_machine_from_beginning_without_it(story: Story):
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    story.world.copies_kept.clear()
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    assert story.world.newest().restored is not None
    (attempt,) = story.world.incidents[0].attempts
    assert (attempt.outcome, attempt.began_with) == ("running", "")
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_what_begins_without_state_begins_without_the_copy(story: Story):
    wanted = WANTED | {
        "failover": WANTED["failover"].model_copy(update={"ladder": (Strategy.COLDSTART,), "lose_work": True})
    }
    handle = await story.begin(**wanted)
    await has_copied(story, handle)
    story.world.vanish(lost := story.world.newest())
    story.world.fall_silent(lost)
    await story.running(handle, epoch=2)
    assert story.world.newest().began_with == ""
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_a_copy_that_fails_is_dropped_and_tried_again(skipping: WorkflowEnvironment, long_story: Story):
    story = long_story
    story.world.copies_fail = True
    handle = await story.begin(**WANTED)
    await tells(handle, lambda line: line.startswith("the disk was not copied, which is tried again: failed"))
    await story.until(lambda: not story.world.copies)
    assert story.world.copies_kept == []
    story.world.copies_fail = False
    await passes(skipping, story, lambda: story.world.calls["copy"] >= 2)
    await has_copied(story, handle)
    assert "copy-1" not in story.world.copies_kept
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_a_copy_that_is_being_taken_at_the_end_goes_as_well(story: Story):
    story.world.copies_hang = True
    handle = await story.begin(**WANTED)
    await story.until(lambda: bool(story.world.copies_kept))
    await handle.execute_update("stop", StopRequest(save=False), result_type=Ack)
    await ended(handle)
    await is_over(story)
    assert "take copy-1" not in story.world.order, "nobody waited for it"


async def test_a_workload_that_is_cancelled_leaves_no_copy(story: Story):
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    await handle.cancel()
    await ended(handle)
    await is_over(story)


async def test_a_copy_that_will_not_go_holds_up_no_workload_and_is_never_given_up(
    skipping: WorkflowEnvironment, long_story: Story
):
    story = long_story
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    story.world.copies_stay = True
    story.world.finish(story.world.newest())
    await ended(handle)
    await story.until(lambda: story.world.calls["drop refused"] >= 1)
    await passes(skipping, story, lambda: story.world.calls["drop refused"] >= 3)
    assert list(story.world.copies) == ["copy-1"], "it is still on record"
    story.world.copies_stay = False
    await passes(skipping, story, lambda: not story.world.copies)
    await is_over(story)


async def test_a_pause_keeps_the_copy_for_a_machine_that_cannot_be_resumed(story: Story):
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    assert story.world.copies_kept == ["copy-1"]
    story.world.gpu_is_taken = True
    await handle.execute_update("resume", result_type=Ack)
    await story.running(handle)
    assert story.world.newest().began_with == "copy-1"
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_copies_of_a_workload_that_was_terminated_go_when_the_next_is_due(
    skipping: WorkflowEnvironment, long_story: Story
):
    story = long_story
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    await handle.terminate("by hand")
    story.world.copied = None
    await passes(skipping, story, lambda: not story.world.copies)
    await is_over(story)


async def test_copies_go_although_somebody_ended_what_kept_them(story: Story):
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    await copier(story).terminate("by hand")
    assert story.world.copies_kept == ["copy-1"]
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_a_tired_run_goes_on_in_a_new_one_that_knows_what_it_needs(
    skipping: WorkflowEnvironment, long_story: Story
):
    story = long_story
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    first = (await copier(story).describe()).run_id
    async with asyncio.timeout(PATIENCE):
        while (description := await copier(story).describe()).run_id == first:
            before = story.world.calls["copy"]
            await passes(skipping, story, lambda taken=before: story.world.calls["copy"] > taken)
    assert description.status is WorkflowExecutionStatus.RUNNING
    before = story.world.calls["copy"]
    await passes(skipping, story, lambda: story.world.calls["copy"] > before + 1)
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def test_a_copy_that_follows_another_is_forty_events(skipping: WorkflowEnvironment, long_story: Story):
    story = long_story
    handle = await story.begin(**WANTED)
    await has_copied(story, handle)
    first_run = (await copier(story).describe()).run_id
    while "close_disk_copy 1 is done" not in story.world.moments.passed:
        await passes(skipping, story, lambda seen=story.world.calls["copy"]: story.world.calls["copy"] > seen)
        await story.until(lambda: not story.world.copies.keys() & {"copy-1"})
    steps, *_ = [found async for found in steps_of(story, first_run) if found.get("close_disk_copy")]
    drop, close = steps["drop_disk_copy"][0], steps["close_disk_copy"][0]
    plan = max(number for number in steps["plan_disk_copy"] if number < drop)
    assert close - drop == A_STEP
    assert drop - plan + 2 * A_STEP + THE_NEXT_WAIT == A_COPY
    story.world.finish(story.world.newest())
    await ended(handle)
    await is_over(story)


async def steps_of(story: Story, run_id: str) -> AsyncIterator[dict[str, list[int]]]:
    """From a run on, for each, the numbers of the events by which it has ordered each step."""
    while run_id:
        found: dict[str, list[int]] = {}
        run = story.client.get_workflow_handle(names.disk_id(story.name), run_id=run_id)
        run_id = ""
        for event in (await run.fetch_history()).events:
            if event.HasField("activity_task_scheduled_event_attributes"):
                name = event.activity_task_scheduled_event_attributes.activity_type.name
                found.setdefault(name, []).append(event.event_id)
            if event.HasField("workflow_execution_continued_as_new_event_attributes"):
                run_id = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        yield found
