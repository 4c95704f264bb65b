"""The life of a workload, told through what a toy world saw of it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import Conduct, InstanceState
from holdfast.contracts.memory import MachineMemory
from holdfast.contracts.spec import FailoverSpec, Strategy
from holdfast.contracts.workload import Ack, FailoverRequest, Phase, StopRequest
from tests.workflows.stories import PATIENCE, Story
from tests.workflows.world import an_offer


async def result_of(handle: WorkflowHandle[Any, Any]) -> Any:
    async with asyncio.timeout(30):
        return await handle.result()


async def failure_of(handle: WorkflowHandle[Any, Any]) -> ApplicationError:
    with pytest.raises(WorkflowFailureError) as caught:
        await result_of(handle)
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause


async def test_runs_on_the_best_offer_saves_and_lets_the_machine_go(story: Story):
    handle = await story.begin()
    status = await story.running(handle)
    assert status.lease is not None
    assert status.lease.machine_id == "m1"
    story.world.finish(story.world.newest())
    await result_of(handle)
    assert story.world.ended == (Phase.FINISHED, "the command ended with code 0")
    assert story.world.alive == []
    order = story.world.order
    assert order.index("commit finish") < order.index("destroy i1") < order.index(f"close {story.name}.e1")


async def test_the_first_machine_starts_from_the_workdir(story: Story):
    handle = await story.begin()
    await story.running(handle)
    assert story.world.newest().restored == f"manifests/{story.name}/0-0"


async def test_an_outbid_machine_is_replaced_and_the_last_checkpoint_restored(story: Story):
    handle = await story.begin()
    await story.running(handle)
    saved = await story.save_now(handle)
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert story.world.newest().restored == saved.manifest
    assert status.lease is not None
    assert status.lease.machine_id != "m1"
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    incident = story.world.incidents[0]
    assert (incident.cause, incident.strategy, incident.epoch_lost, incident.epoch_gained) == (
        Cause.OUTBID,
        Strategy.SNAPSHOT,
        1,
        2,
    )
    assert incident.recovery_time is not None
    assert incident.phases.total() <= incident.recovery_time + timedelta(seconds=1)
    await story.until(lambda: story.world.alive == ["i2"])


async def test_a_lost_machine_can_commit_nothing_after_the_fence_was_raised(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    order = story.world.order
    assert order.index("claim 2") < order.index(f"launch {story.name}.e2")


async def test_work_lost_counts_from_the_checkpoint_that_was_restored(story: Story):
    handle = await story.begin()
    await story.running(handle)
    saved = await story.save_now(handle)
    last_sign = saved.taken_at + timedelta(seconds=7)
    story.world.outbid(story.world.newest())
    story.world.newest().report = replace(story.world.newest().report, last_sign=last_sign)
    await story.until(lambda: bool(story.world.incidents))
    assert story.world.incidents[0].work_lost is not None
    assert abs(story.world.incidents[0].work_lost - timedelta(seconds=7)) < timedelta(seconds=1)


async def test_a_loss_is_on_record_before_it_is_answered(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("search_offers 2 begins")
    story.world.outbid(story.world.newest())
    await story.moment("search_offers 2 begins")
    await story.until(lambda: bool(story.world.losses))
    (loss,) = story.world.losses
    assert (loss.cause, loss.epoch_lost, loss.epoch_gained) == (Cause.OUTBID, 1, None)
    assert story.world.incidents == []
    story.world.moments.go_on()
    await story.running(handle, epoch=2)


async def test_an_api_outage_alone_moves_nothing(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.api_is_down = True
    story.world.blink(story.world.newest())
    await story.until(lambda: story.world.calls["inspect"] >= 1 and story.world.calls["watch"] >= 2)
    assert (await story.running(handle)).epoch == 1
    assert story.world.alive == ["i1"]


async def test_silence_with_the_api_down_is_unknown_and_moves_nothing_until_it_answers(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.api_is_down = True
    story.world.fall_silent(story.world.newest(), last_sign=datetime.now(UTC) - timedelta(hours=1))
    await story.until(lambda: story.world.calls["inspect"] >= 4)
    assert (await story.status(handle)).phase is Phase.SUSPECT
    assert story.world.alive == ["i1"]
    story.world.api_is_down = False
    await story.running(handle, epoch=2)
    await story.until(lambda: bool(story.world.incidents))
    assert story.world.incidents[0].cause is Cause.SILENT


async def test_a_short_silence_is_waited_out(story: Story):
    handle = await story.begin(failover=FailoverSpec(silence=timedelta(hours=1)))
    await story.running(handle)
    machine = story.world.newest()
    story.world.fall_silent(machine)
    await story.reaches(handle, Phase.SUSPECT)
    story.world.recover(machine)
    assert (await story.running(handle)).epoch == 1
    assert story.world.incidents == []


async def test_a_machine_that_restarted_goes_on_in_place_with_what_is_on_its_disk(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.lose_work(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None
    assert status.lease.instance_id == "i1"
    assert story.world.incidents[0].cause is Cause.REBOOTED
    assert story.world.incidents[0].strategy == Strategy.COLDSTART
    assert story.world.incidents[0].work_lost is None
    assert story.world.alive == ["i1"]


async def test_an_offer_that_refuses_is_followed_by_the_next_under_a_new_epoch(story: Story):
    story.world.refusals = {"o1": "gone", "o2": "bid too low"}
    handle = await story.begin()
    status = await story.running(handle)
    assert status.epoch == 3
    assert status.lease is not None
    assert status.lease.machine_id == "m3"
    await story.until(lambda: {f"{story.name}.e1", f"{story.name}.e2"} <= story.world.closed.keys())


@pytest.mark.parametrize("step", ["settle_in", "restore", "start_work"])
async def test_a_conversation_that_breaks_while_a_machine_settles_in_is_taken_up_again_on_it(story: Story, step: str):
    story.world.breaks[step] = 2
    handle = await story.begin()
    status = await story.running(handle)
    assert story.world.order.count(f"{step} breaks off") == 2
    assert (status.epoch, story.world.alive) == (1, ["i1"])


@pytest.mark.parametrize("step", ["settle_in", "restore", "start_work"])
async def test_a_machine_that_dies_while_it_settles_in_is_given_back_at_once(story: Story, step: str):
    story.world.dies_in = step
    handle = await story.begin(failover=FailoverSpec(silence=timedelta(hours=1)))
    status = await story.running(handle)
    assert status.epoch == 2
    await story.until(lambda: story.world.alive == ["i2"])


async def test_a_machine_that_always_breaks_off_is_given_back_in_the_end(story: Story):
    story.world.breaks["restore"] = 5
    handle = await story.begin()
    assert (await story.running(handle)).epoch == 2


async def test_no_offer_at_all_fails_with_its_own_error_and_rents_nothing(story: Story):
    story.world.offers = [an_offer(1, "5.00")]
    error = await failure_of(await story.begin())
    assert error.type == ErrorType.NO_OFFERS
    assert story.world.machines == {}
    assert story.world.decisions[0].rejected[0].reason.startswith("$5.00/h is above the limit")


@pytest.mark.long
async def test_a_market_that_does_not_answer_is_waited_for(story: Story):
    story.world.search_is_down = True
    handle = await story.begin()
    status = await story.reaches(handle, Phase.WAITING)
    assert status.lease is None
    story.world.search_is_down = False
    await story.running(handle)


async def test_a_wrong_key_is_not_an_empty_market(story: Story):
    story.world.search_fails = True
    with pytest.raises(WorkflowFailureError):
        await result_of(await story.begin())
    assert story.world.ended is not None
    assert story.world.ended[0] is Phase.FAILED
    assert "no offer" not in story.world.ended[1]


async def test_a_failing_command_is_saved_first_and_then_reported(story: Story):
    story.world.work_takes = [3]
    error = await failure_of(await story.begin())
    assert error.type == ErrorType.WORK_FAILED
    assert "code 3" in error.message
    assert story.world.saves[-1].reason is SaveReason.FINISH
    assert story.world.alive == []


async def test_finished_work_waits_for_a_store_that_is_down(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.store_is_down = True
    story.world.finish(story.world.newest())
    await asyncio.sleep(0.5)
    assert story.world.alive == ["i1"]
    story.world.store_is_down = False
    await result_of(handle)
    assert story.world.alive == []


async def test_work_that_ends_on_a_machine_that_dies_before_the_last_save_runs_again(story: Story):
    handle = await story.begin()
    await story.running(handle)
    machine = story.world.newest()
    machine.instance = replace(machine.instance, state=InstanceState.INTERRUPTED)
    story.world.finish(machine)
    machine.host_is_up = False
    machine.report = replace(machine.report, finished=True)
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    await result_of(handle)
    assert story.world.alive == []


async def test_stop_saves_ends_the_work_and_destroys_the_machine(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    await result_of(handle)
    order = story.world.order
    assert order.index("stop work") < order.index("commit stop") < order.index("destroy i1")
    assert story.world.ended == (Phase.STOPPED, "requested")


async def test_stop_without_a_save_does_not_wait_for_the_store(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.store_is_down = True
    await handle.execute_update("stop", StopRequest(save=False), result_type=Ack)
    await result_of(handle)
    assert story.world.alive == []


async def test_a_second_stop_without_a_save_hurries_the_first(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.store_is_down = True
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    await handle.execute_update("stop", StopRequest(save=False), result_type=Ack)
    await result_of(handle)
    assert story.world.alive == []


@pytest.mark.parametrize("step", ["claim_epoch", "launch"])
async def test_stop_while_a_machine_is_being_rented_leaves_nothing_behind(story: Story, step: str):
    story.world.moments.hold(f"{step} 1 is done")
    handle = await story.begin()
    await story.moment(f"{step} 1 is done")
    stopping = await story.order(handle, "stop", StopRequest())
    story.world.moments.go_on()
    await stopping.result()
    await result_of(handle)
    assert story.world.ended is not None
    assert story.world.ended[0] is Phase.STOPPED
    await story.until(lambda: f"{story.name}.e1" in story.world.closed)
    assert story.world.alive == []


async def test_a_cancel_from_the_web_ui_lets_the_machine_go(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await result_of(handle)
    assert story.world.alive == []
    assert story.world.ended == (Phase.STOPPED, "cancelled")


async def test_pause_saves_and_stops_the_machine_and_resume_starts_the_same_one(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    assert story.world.machines["i1"].instance.state is InstanceState.STOPPED
    assert story.world.saves[-1].reason is SaveReason.PAUSE
    await handle.execute_update("resume", result_type=Ack)
    status = await story.running(handle)
    assert status.lease is not None
    assert status.lease.instance_id == "i1"


async def test_where_nothing_can_be_paused_the_work_goes_on_undisturbed(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.cannot_pause = True
    await handle.execute_update("pause", result_type=Ack)
    await story.until(lambda: story.world.calls["pause refused"] == 1)
    status = await story.running(handle)
    assert status.lease is not None and (status.lease.instance_id, status.epoch) == ("i1", 1)
    assert story.world.machines["i1"].running, "nobody stopped it"


async def test_what_a_machine_is_charged_for_follows_its_states(story: Story):
    handle = await story.begin()
    await story.running(handle)
    since = story.world.leases[f"{story.name}.e1"].running_since
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    assert story.world.metered == [(f"{story.name}.e1", InstanceState.STOPPED)]
    await handle.execute_update("resume", result_type=Ack)
    await story.running(handle)
    again = story.world.leases[f"{story.name}.e1"].running_since
    assert since is not None and again is not None and again > since


async def test_a_budget_that_is_used_up_saves_and_stops_the_work_and_says_so(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await story.until(lambda: story.world.calls["budget"] > 0)
    story.world.budget_is_used_up = "the budget of $5.00 is used up"
    await handle.signal("budget_changed")
    result = await handle.result()
    assert (result["phase"], result["reason"]) == ("stopped", "the budget of $5.00 is used up")
    assert story.world.saves[-1].reason is SaveReason.STOP
    assert story.world.alive == []


@pytest.mark.parametrize("moment", ["before it ran", "after a loss"])
async def test_a_machine_that_no_budget_pays_for_ends_the_workload_and_not_the_books(story: Story, moment: str):
    if moment == "after a loss":
        handle = await story.begin()
        await story.running(handle)
    story.world.claims_are_refused = "the budget of $5.00 has $0.00 left"
    if moment == "after a loss":
        story.world.outbid(story.world.newest())
    else:
        handle = await story.begin()
    result = await handle.result()
    assert (result["phase"], result["reason"]) == ("stopped", story.world.claims_are_refused)
    assert story.world.alive == []


async def test_resume_moves_when_the_gpu_was_taken_meanwhile(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.gpu_is_taken = True
    await handle.execute_update("resume", result_type=Ack)
    status = await story.running(handle)
    assert status.lease is not None
    assert status.lease.instance_id == "i2"
    assert story.world.newest().restored == story.world.saves[-1].manifest
    await story.until(lambda: story.world.alive == ["i2"])


async def test_a_wish_that_does_not_fit_the_phase_is_refused(story: Story):
    handle = await story.begin()
    await story.running(handle)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("resume", result_type=Ack)
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == ErrorType.INVALID_STATE


async def test_failover_on_request_saves_first_and_loses_nothing(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("failover", FailoverRequest(reason="too dear"), result_type=Ack)
    await story.running(handle, epoch=2)
    order = story.world.order
    assert order.index("stop work") < order.index("commit stop") < order.index("claim 2")
    await story.until(lambda: story.world.alive == ["i2"])
    assert story.world.incidents[0].cause is Cause.REQUESTED


async def test_a_failover_waits_for_the_market_and_can_be_stopped_meanwhile(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.offers = []
    story.world.outbid(story.world.newest())
    await story.reaches(handle, Phase.FAILING_OVER)
    await story.until(lambda: story.world.calls["search"] >= 2)
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    await result_of(handle)
    await story.until(lambda: story.world.alive == [])


async def test_a_long_life_continues_as_new_on_the_same_machine(story: Story):
    handle = await story.begin()
    await story.running(handle)
    first_run = (await handle.describe()).run_id
    async with asyncio.timeout(PATIENCE):
        while (await handle.describe()).run_id == first_run:
            story.world.blink(story.world.newest())
            await asyncio.sleep(0.2)
    status = await story.running(handle)
    assert status.epoch == 1
    assert story.world.alive == ["i1"]
    saved = await story.save_now(handle)
    assert saved.sequence == 1
    story.world.finish(story.world.newest())
    await result_of(handle)


async def test_the_price_that_is_billed_is_the_price_on_the_lease(story: Story):
    handle = await story.begin()
    status = await story.running(handle)
    assert status.lease is not None
    assert status.lease.hourly == Decimal("0.31")


async def test_a_machine_is_destroyed_even_if_the_provider_refuses_our_key_for_a_while(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.key_is_refused = True
    await handle.execute_update("stop", StopRequest(save=False), result_type=Ack)
    await story.until(lambda: story.world.calls["destroy"] >= 1)
    assert story.world.alive == ["i1"]
    assert (await story.status(handle)).phase is Phase.STOPPING
    story.world.key_is_refused = False
    await result_of(handle)
    assert story.world.alive == []


async def test_a_damaged_head_is_passed_over_for_the_newest_checkpoint_that_is_sound(story: Story):
    handle = await story.begin()
    await story.running(handle)
    sound, damaged = await story.save_now(handle), await story.save_now(handle)
    story.world.rotten.add(damaged.manifest)
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    assert story.world.newest().restored == sound.manifest
    again = await story.save_now(handle)
    assert again.sequence == damaged.sequence + 1
    assert story.world.bases[-1] == sound


async def test_when_no_checkpoint_can_be_restored_the_workload_fails_and_nothing_goes_on_billing(story: Story):
    handle = await story.begin()
    await story.running(handle)
    saved = await story.save_now(handle)
    story.world.rotten |= {saved.manifest, f"manifests/{story.name}/0-0"}
    story.world.outbid(story.world.newest())
    error = await failure_of(handle)
    assert error.type == ErrorType.LADDER_EXHAUSTED
    assert "no checkpoint can be restored" in error.message
    await story.until(lambda: story.world.alive == [])


async def test_a_policy_that_may_lose_work_starts_afresh_when_nothing_can_be_restored(story: Story):
    handle = await story.begin(failover=FailoverSpec(silence=timedelta(seconds=2), lose_work=True))
    await story.running(handle)
    story.world.rotten.add(f"manifests/{story.name}/0-0")
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=3)
    await story.save_now(handle)
    assert story.world.newest().restored is None
    assert story.world.bases[-1] is None


async def test_a_setup_that_fails_on_two_machines_ends_the_workload_instead_of_renting_on(story: Story):
    story.world.setup_fails = True
    with pytest.raises(WorkflowFailureError):
        await result_of(await story.begin())
    assert len(story.world.machines) == 2
    assert story.world.ended is not None
    assert story.world.ended[0] is Phase.FAILED
    assert "setup ended with code 4" in story.world.ended[1]
    await story.until(lambda: story.world.alive == [])


async def test_a_lost_machine_that_cannot_be_destroyed_yet_is_at_least_made_to_stop_working(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.key_is_refused = True
    await handle.execute_update("failover", FailoverRequest(save_first=False), result_type=Ack)
    await story.running(handle, epoch=2)
    await story.until(lambda: story.world.order.count("stop work") >= 2)
    story.world.key_is_refused = False
    await story.until(lambda: story.world.alive == ["i2"])


@pytest.mark.long
async def test_work_whose_last_save_can_never_succeed_is_given_up_instead_of_billing_for_ever(story: Story):
    story.world.save_fails = True
    handle = await story.begin()
    await story.running(handle)
    story.world.finish(story.world.newest())
    with pytest.raises(WorkflowFailureError):
        async with asyncio.timeout(PATIENCE):
            await handle.result()
    assert story.world.alive == []
    assert story.world.ended is not None
    assert "its last save fails: there is no folder" in story.world.ended[1]


async def test_a_save_of_a_workspace_that_never_holds_still_ends_and_names_the_file(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.restless = "log.txt"
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        async with asyncio.timeout(30):
            await story.save_now(handle)
    assert "changed whenever they were read: log.txt" in str(refused.value.cause)
    story.world.restless = ""
    assert (await story.save_now(handle)).sequence == 1


async def test_a_banned_machine_is_left_out_and_why_names_it(story: Story):
    until = datetime.now(UTC) + timedelta(hours=5)
    story.world.memories = [
        MachineMemory(provider="toy", machine_id="m1", banned_until=until, ban_reason="3 failures in a row"),
        MachineMemory(provider="toy", machine_id="m2", good=3),
    ]
    handle = await story.begin()
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m2"
    (decision,) = story.world.decisions
    (rejected,) = decision.rejected
    assert rejected.machine_id == "m1"
    assert rejected.reason == f"machine m1 is banned until {until:%Y-%m-%d %H:%M} UTC: 3 failures in a row"


async def test_it_is_remembered_how_each_machine_behaved(story: Story):
    story.world.refusals["o1"] = "gone"
    story.world.dies_in = "settle_in"
    handle = await story.begin()
    await story.running(handle, epoch=3)
    story.world.refusals.clear()
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=4)
    story.world.finish(story.world.newest())
    await handle.result()
    await story.until(lambda: len(story.world.conduct) == 4)
    assert [story.world.conduct[f"{story.name}.e{epoch}"] for epoch in (1, 2, 3, 4)] == [
        (Conduct.NEUTRAL, ""),
        (Conduct.BAD, "settle_in"),
        (Conduct.NEUTRAL, ""),
        (Conduct.GOOD, ""),
    ]


async def test_an_offer_that_another_workload_has_claimed_is_left_for_the_next(story: Story):
    story.world.taken = {"o1", "o2", "o3", "o4"}
    handle = await story.begin(failover=FailoverSpec(tries=1))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m5"
    assert list(story.world.lines) == [status.lease.label], "nothing was claimed in vain"
    story.world.finish(story.world.newest())
    await handle.result()
