"""Work that nobody uses, or whose hours are over, sleeps; and nothing of it is lost."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts.hours import HoursSpec
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.spec import HibernateSpec, PauseMode
from holdfast.contracts.workload import Ack, FailoverRequest, PauseRequest, Phase
from tests.workflows.stories import PATIENCE, Story


async def begin(story: Story, **sleeps: Any) -> Any:
    handle = await story.begin(hibernate=HibernateSpec(**sleeps))
    await story.running(handle)
    return handle


async def found_after_all(skipping: WorkflowEnvironment, story: Story, handle: Any) -> None:
    """The market has something again: it looks once more, 20 s after the last look, by its clock. Once it works its
    clock goes no faster than others."""
    await skipping.fast_forward(handle, timedelta(seconds=21))
    await story.running(handle)


async def test_unused_it_is_saved_read_back_and_let_go(story: Story):
    handle = await begin(story)
    story.world.fall_unused(story.world.newest())
    status = await story.reaches(handle, Phase.PAUSED)
    assert status.lease is None
    await story.until(lambda: story.world.alive == [])
    kept = story.world.heads[-1].manifest
    order = story.world.order
    assert order.index("stop work") < order.index(f"verify {kept}") < order.index("destroy i1")


async def test_woken_it_goes_on_from_there_on_another_machine(story: Story):
    handle = await begin(story)
    story.world.fall_unused(story.world.newest())
    await story.reaches(handle, Phase.PAUSED)
    await handle.execute_update("resume", result_type=Ack)
    status = await story.running(handle)
    assert status.lease is not None
    assert (status.lease.instance_id, story.world.newest().restored) == ("i2", story.world.heads[-1].manifest)


async def test_a_market_that_is_empty_when_it_wakes_is_waited_for_and_no_failure(
    skipping: WorkflowEnvironment, long_story: Story
):
    story = long_story
    handle = await begin(story)
    story.world.fall_unused(story.world.newest())
    await story.reaches(handle, Phase.PAUSED)
    offers, story.world.offers = story.world.offers, []
    await handle.execute_update("resume", result_type=Ack)
    await story.reaches(handle, Phase.WAITING)
    story.world.offers = offers
    await found_after_all(skipping, story, handle)


async def test_which_machine_was_let_go_for_a_sleep_is_on_record(story: Story):
    handle = await begin(story)
    story.world.fall_unused(story.world.newest())
    await story.reaches(handle, Phase.PAUSED)
    await handle.execute_update("resume", result_type=Ack)
    await story.running(handle)
    await handle.execute_update("stop", result_type=Ack, args=[{"save": True}])
    await story.until(lambda: story.world.ended is not None)
    first, second = story.world.closed
    assert story.world.put_to_sleep == [first] and story.world.closed[second].startswith("stopped")


async def test_the_claim_that_wakes_it_says_since_when_it_was_wanted_and_the_next_one_does_not(
    skipping: WorkflowEnvironment, long_story: Story
):
    story = long_story
    handle = await begin(story)
    story.world.fall_unused(story.world.newest())
    await story.reaches(handle, Phase.PAUSED)
    offers, story.world.offers = story.world.offers, []
    before = (await story.status(handle)).since
    await handle.execute_update("resume", result_type=Ack)
    waiting = await story.reaches(handle, Phase.WAITING)
    story.world.offers = offers
    await found_after_all(skipping, story, handle)
    await handle.execute_update("failover", FailoverRequest(reason="drill"), result_type=Ack)
    status = await story.running(handle, epoch=3)
    first, woken, moved = (story.world.wanted[epoch] for epoch in (1, 2, status.epoch))
    assert first is None and moved is None
    assert woken is not None and before < woken <= waiting.since, "before the first search, not the one that found"


async def test_by_stopping_its_disk_stays(story: Story):
    handle = await begin(story, mode=PauseMode.STOP)
    story.world.fall_unused(story.world.newest())
    await story.reaches(handle, Phase.PAUSED)
    assert story.world.machines["i1"].instance.state is InstanceState.STOPPED


async def test_what_cannot_be_saved_goes_on_working(story: Story):
    handle = await begin(story)
    story.world.store_is_down = True
    story.world.fall_unused(story.world.newest())
    await story.says(handle, "could not be paused: the store does not answer")
    status = await story.running(handle)
    assert status.epoch == 1
    assert "stop work" not in story.world.order


async def test_what_cannot_be_read_back_is_not_let_go(story: Story):
    handle = await begin(story)
    story.world.saves_rot = True
    story.world.fall_unused(story.world.newest())
    await story.running(handle, epoch=2)
    assert story.world.alive == ["i1"]


async def test_a_pause_by_hand_may_let_the_machine_go_as_well(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", PauseRequest(mode=PauseMode.CHECKPOINT, careful=True), result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    await story.until(lambda: story.world.alive == [])


async def test_stopped_while_it_sleeps_without_a_machine_it_ends(story: Story):
    handle = await begin(story)
    story.world.fall_unused(story.world.newest())
    await story.reaches(handle, Phase.PAUSED)
    await handle.execute_update("stop", result_type=Ack, args=[{"save": True}])
    await story.until(lambda: story.world.ended is not None)
    assert story.world.ended is not None
    assert story.world.ended[0] is Phase.STOPPED


@pytest.mark.long  # a clock cannot be moved while a machine is watched, and hours end on whole minutes
async def test_it_sleeps_when_its_hours_end(story: Story):
    now = datetime.now(UTC)
    hours = HoursSpec(begins=clock(now - timedelta(hours=1)), ends=clock(now + timedelta(seconds=65)))
    handle = await begin(story, after=None, awake=(hours,))
    await story.reaches(handle, Phase.PAUSED)
    assert datetime.now(UTC) >= (now + timedelta(seconds=65)).replace(second=0, microsecond=0)
    await story.until(lambda: story.world.alive == [])


@pytest.mark.long  # twenty-four looks at a moved clock
async def test_it_wakes_when_its_hours_begin_and_not_before(skipping: WorkflowEnvironment, long_story: Story):
    now = datetime.now(UTC)
    hours = HoursSpec(begins=clock(now - timedelta(hours=1)), ends=clock(now + timedelta(hours=2)))
    handle = await begin(long_story, after=None, awake=(hours,))
    await handle.execute_update("pause", result_type=Ack)
    await long_story.reaches(handle, Phase.PAUSED)
    async with asyncio.timeout(PATIENCE):
        while (await long_story.status(handle)).phase is Phase.PAUSED:
            await skipping.fast_forward(handle, timedelta(hours=1))
            await asyncio.sleep(0.2)
    await long_story.running(handle)


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"
