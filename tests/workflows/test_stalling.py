"""Work that runs and gets nowhere: told, started again, or moved."""

from datetime import timedelta

from holdfast.contracts.incidents import Cause
from holdfast.contracts.spec import FailoverSpec, WhenStalled
from tests.workflows.stories import Story

QUIET = timedelta(minutes=10)


def policy(when: WhenStalled, **more: object) -> FailoverSpec:
    return FailoverSpec.model_validate({"silence": "2s", "stalled_after": "5m", "when_stalled": when, **more})


async def test_by_default_it_is_told_and_nothing_else_happens(story: Story):
    handle = await story.begin(failover=policy(WhenStalled.NOTIFY))
    await story.running(handle)
    story.world.stall(story.world.newest(), for_=QUIET)
    await story.says(handle, "stalled: answers")
    told = await handle.query("timeline")
    assert story.world.calls["watch"] == 2, "it is watched on, and told once"
    story.world.get_on(story.world.newest())
    await story.says(handle, "answers")
    assert len(await handle.query("timeline")) == len(told) + 1
    assert story.world.incidents == [] and len(story.world.machines) == 1


async def test_a_restart_goes_on_in_place_with_what_is_on_the_disk(story: Story):
    handle = await story.begin(failover=policy(WhenStalled.RESTART))
    await story.running(handle)
    story.world.stall(story.world.newest(), for_=QUIET)
    await story.running(handle, epoch=2)
    assert len(story.world.machines) == 1
    assert "stop work" in story.world.order
    incident = story.world.incidents[0]
    assert (incident.cause, incident.work_lost) == (Cause.STALLED, None)


async def test_a_restart_that_did_not_help_is_followed_by_a_move(story: Story):
    handle = await story.begin(failover=policy(WhenStalled.RESTART))
    await story.running(handle)
    story.world.stall(story.world.newest(), for_=QUIET)
    await story.running(handle, epoch=2)
    story.world.stall(story.world.newest(), for_=QUIET)
    await story.running(handle, epoch=3)
    assert len(story.world.machines) == 2
    assert [each.cause for each in story.world.incidents[-2:]] == [Cause.STALLED] * 2
    await story.until(lambda: len(story.world.alive) == 1)


async def test_a_move_saves_what_there_is_first(story: Story):
    handle = await story.begin(failover=policy(WhenStalled.MOVE))
    await story.running(handle)
    story.world.stall(story.world.newest(), for_=QUIET)
    await story.running(handle, epoch=2)
    assert len(story.world.saves) == 1
    assert story.world.newest().restored == story.world.saves[0].manifest
    await story.until(lambda: len(story.world.alive) == 1)


async def test_a_move_goes_without_a_save_that_fails(story: Story):
    handle = await story.begin(failover=policy(WhenStalled.MOVE))
    await story.running(handle)
    story.world.save_fails = True
    story.world.stall(story.world.newest(), for_=QUIET)
    await story.running(handle, epoch=2)
    assert story.world.saves == []


async def test_a_stall_that_was_told_is_not_told_again_by_the_next_run(story: Story):
    """`continue_as_new` carries what the owner knows."""
    handle = await story.begin(failover=policy(WhenStalled.NOTIFY))
    await story.running(handle)
    first = (await handle.describe()).run_id
    story.world.stall(story.world.newest(), for_=QUIET)
    await story.says(handle, "stalled: answers")
    while (await story.handle().describe()).run_id == first:
        await story.save_now(handle)
    status = await story.running(story.handle())
    assert status.reason.startswith("stalled") or "checkpoint" in status.reason
    assert story.world.incidents == []
