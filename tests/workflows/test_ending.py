"""Whenever a workload is cancelled or stopped, what it has rented is let go, and what was done is saved if it can be.

`test_every_moment.py` goes through the moments one by one; here stand those that once went wrong.
"""

from datetime import timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.spec import FailoverSpec, Strategy
from holdfast.contracts.workload import Ack, FailoverRequest, Phase, StopRequest
from tests.workflows.stories import Story, ended


async def nothing_bills(story: Story) -> None:
    await story.until(lambda: story.world.alive == [] and story.world.lines.keys() <= story.world.closed.keys())


@pytest.mark.parametrize(
    "moment", ["launch 1 begins", "launch 1 is done", "settle_in 1 begins", "resume_work 1 is done"]
)
async def test_a_cancel_while_a_workload_is_placed_lets_go_of_what_was_rented(story: Story, moment: str):
    story.world.moments.hold(moment)
    handle = await story.begin()
    await story.moment(moment)
    await handle.cancel()
    story.world.moments.go_on()
    await ended(handle)
    await nothing_bills(story)


@pytest.mark.parametrize("has_checkpoint", [True, False])
async def test_a_cancel_during_a_failover_lets_go_of_both_machines(story: Story, has_checkpoint: bool):
    """The work is being started on the new one, and the provider takes its time to destroy the old one."""
    handle = await story.begin(workdir=has_checkpoint)
    await story.running(handle)
    starting = "resume_work 2 begins" if has_checkpoint else "start_work 2 begins"
    story.world.moments.hold("destroy 1 begins", starting)
    story.world.outbid(story.world.newest())
    await story.moment(starting)
    await handle.cancel()
    story.world.moments.go_on()
    await ended(handle)
    await nothing_bills(story)


async def test_a_cancel_while_the_incident_is_recorded_lets_go_of_the_machine_that_took_over(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("record_incident 1 begins")
    story.world.outbid(story.world.newest())
    await story.moment("record_incident 1 begins")
    await handle.cancel()
    story.world.moments.go_on()
    await ended(handle)
    await nothing_bills(story)


@pytest.mark.parametrize(("wish", "request_"), [("pause", ()), ("failover", (FailoverRequest(),))])
async def test_a_cancel_is_heard_while_the_work_is_being_stopped(
    story: Story, wish: str, request_: tuple[FailoverRequest, ...]
):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("stop_work 1 is done")
    await story.order(handle, wish, *request_)
    await story.moment("stop_work 1 is done")
    await handle.cancel()
    story.world.moments.go_on()
    await ended(handle)
    assert story.world.ended == (Phase.STOPPED, "cancelled")
    await nothing_bills(story)


async def test_a_cancel_while_the_machine_of_finished_work_is_destroyed_changes_nothing_about_the_end(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("destroy 1 begins")
    story.world.finish(story.world.newest())
    await story.moment("destroy 1 begins")
    await handle.cancel()
    story.world.moments.go_on()
    await ended(handle)
    assert story.world.ended == (Phase.FINISHED, "the command ended with code 0")
    await nothing_bills(story)


async def test_a_cancel_while_an_unforeseen_failure_lets_the_machine_go_does_not_keep_it(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.epoch = 99  # somebody else claimed it: the resume is fenced
    story.world.moments.hold("destroy 1 begins")
    await story.order(handle, "resume")
    await story.moment("destroy 1 begins")
    await handle.cancel()
    story.world.moments.go_on()
    await ended(handle)
    assert story.world.ended is not None
    assert story.world.ended[0] is Phase.FAILED
    await nothing_bills(story)


async def test_a_cancel_right_after_a_stop_lets_go_of_what_was_being_rented(story: Story):
    story.world.moments.hold("settle_in 1 begins")
    handle = await story.begin()
    await story.moment("settle_in 1 begins")
    await story.order(handle, "stop", StopRequest())
    await handle.cancel()
    story.world.moments.go_on()
    await ended(handle)
    await nothing_bills(story)


async def test_stop_is_heard_by_a_workload_that_is_tired_while_a_checkpoint_is_being_made(story: Story):
    """It may not continue as new before whoever waits for the checkpoint has an answer."""
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("save_checkpoint 1 begins")
    saving = await story.order(handle, "checkpoint")
    await story.moment("save_checkpoint 1 begins")
    await story.tire(handle)
    await story.order(handle, "stop", StopRequest())
    story.world.moments.go_on()
    await saving.result()
    await ended(handle)
    assert story.world.ended == (Phase.STOPPED, "requested")
    await nothing_bills(story)


async def test_stop_waits_out_a_lost_connection_for_its_last_save(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.breaks["stop_work"] = 1
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    await ended(handle)
    assert story.world.saves[-1].reason is SaveReason.STOP
    await nothing_bills(story)


async def test_a_leave_waits_out_a_lost_connection_for_its_last_save(story: Story):
    handle = await story.begin(workdir=False)
    await story.running(handle)
    story.world.breaks["stop_work"] = 1
    await handle.execute_update("failover", FailoverRequest(), result_type=Ack)
    await story.running(handle, epoch=2)
    assert story.world.newest().restored == story.world.saves[-1].manifest


@pytest.mark.long
async def test_a_leave_whose_last_save_cannot_be_had_stays_and_loses_nothing(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.save_fails = True
    await story.order(handle, "failover", FailoverRequest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None
    assert status.lease.instance_id == "i1"
    assert story.world.alive == ["i1"]


async def test_a_failover_that_the_ladder_cannot_grant_is_refused_and_the_work_goes_on(story: Story):
    ladder = (Strategy.COLDSTART,)
    handle = await story.begin(failover=FailoverSpec(silence=timedelta(seconds=2), ladder=ladder))
    await story.running(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("failover", FailoverRequest(), result_type=Ack)
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == ErrorType.INVALID_STATE
    assert (await story.status(handle)).phase is Phase.RUNNING


async def test_a_failover_that_was_asked_of_a_lost_machine_does_not_leave_the_next_one(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("try_reach 1 begins")
    story.world.outbid(story.world.newest())
    await story.moment("try_reach 1 begins")
    leaving = await story.order(handle, "failover", FailoverRequest(reason="it is suspect"))
    story.world.moments.go_on()
    await leaving.result()
    await story.running(handle, epoch=2)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    assert (await story.status(handle)).epoch == 2
    assert len(story.world.incidents) == 1


async def test_an_order_is_refused_while_another_one_waits(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("try_reach 1 begins")
    story.world.lose_work(story.world.newest())
    await story.moment("try_reach 1 begins")
    await story.order(handle, "failover", FailoverRequest())
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("failover", FailoverRequest(), result_type=Ack)
    assert isinstance(refused.value.cause, ApplicationError)
    assert "asked to failover just now" in refused.value.cause.message


async def test_an_order_that_a_stop_overtakes_is_answered_so(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("try_reach 1 begins")
    story.world.blink(story.world.newest())
    await story.moment("try_reach 1 begins")
    leaving = await story.order(handle, "failover", FailoverRequest())
    await story.order(handle, "stop", StopRequest())
    with pytest.raises(WorkflowUpdateFailedError) as overtaken:
        await leaving.result()
    assert isinstance(overtaken.value.cause, ApplicationError)
    assert overtaken.value.cause.type == ErrorType.INVALID_STATE
    story.world.moments.go_on()
    await ended(handle)
    await nothing_bills(story)
