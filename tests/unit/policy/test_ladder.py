"""The ladder: which rungs stand, which are left out, and what becomes of the lost machine."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.memory import StrategyRecord
from holdfast.contracts.spec import FailoverSpec, Order, Strategy
from holdfast.policy.ladder import Ladder, Rung, Situation, SkippedRung, ladder


def _ladder(spec: FailoverSpec, cause: Cause, has_checkpoint: bool, lost_state: InstanceState) -> Ladder:
    return ladder(spec, Situation(cause=cause, has_checkpoint=has_checkpoint, state=lost_state))


def rungs(
    spec: FailoverSpec, *, cause: Cause, has_checkpoint: bool, lost_state: InstanceState = InstanceState.UNKNOWN
) -> tuple[Rung, ...]:
    return _ladder(spec, cause, has_checkpoint, lost_state).rungs


def skipped(
    spec: FailoverSpec, *, cause: Cause, has_checkpoint: bool, lost_state: InstanceState = InstanceState.UNKNOWN
) -> tuple[SkippedRung, ...]:
    return _ladder(spec, cause, has_checkpoint, lost_state).skipped


BOTH = FailoverSpec(ladder=(Strategy.SNAPSHOT, Strategy.COLDSTART))
EVERYTHING = FailoverSpec(ladder=tuple(Strategy), pool="spares", regions=("CA", "US"))
COLD_FIRST = FailoverSpec(ladder=(Strategy.COLDSTART, Strategy.SNAPSHOT))


def test_with_a_checkpoint_the_lost_machine_is_let_go_and_nothing_is_started_empty() -> None:
    (only,) = rungs(BOTH, cause=Cause.OUTBID, has_checkpoint=True)
    assert (only.strategy, only.release_lost) == (Strategy.SNAPSHOT, True)
    (left_out,) = skipped(BOTH, cause=Cause.OUTBID, has_checkpoint=True)
    assert left_out.strategy is Strategy.COLDSTART
    assert "lose_work is off" in left_out.reason


def test_without_a_checkpoint_a_new_machine_starts_from_nothing() -> None:
    (only,) = rungs(BOTH, cause=Cause.OUTBID, has_checkpoint=False)
    assert (only.strategy, only.in_place, only.new_machine, only.release_lost) == (
        Strategy.COLDSTART,
        False,
        True,
        False,
    )
    assert "no committed checkpoint" in skipped(BOTH, cause=Cause.OUTBID, has_checkpoint=False)[0].reason


def test_permission_to_lose_work_keeps_the_second_rung() -> None:
    spec = FailoverSpec(ladder=BOTH.ladder, lose_work=True)
    assert [rung.strategy for rung in rungs(spec, cause=Cause.GONE, has_checkpoint=True)] == list(spec.ladder)


@pytest.mark.parametrize("cause", [Cause.REBOOTED, Cause.EXITED])
def test_a_machine_with_its_disk_intact_is_restarted_in_place(cause: Cause) -> None:
    first = rungs(COLD_FIRST, cause=cause, has_checkpoint=True, lost_state=InstanceState.RUNNING)[0]
    assert (first.strategy, first.in_place, first.new_machine) == (Strategy.COLDSTART, True, False)


@pytest.mark.parametrize("state", [InstanceState.GONE, InstanceState.FAILED, InstanceState.OFFLINE])
def test_a_machine_that_cannot_run_is_not_restarted(state: InstanceState) -> None:
    found = rungs(COLD_FIRST, cause=Cause.EXITED, has_checkpoint=True, lost_state=state)
    assert [rung.strategy for rung in found] == [Strategy.SNAPSHOT]


def test_a_machine_that_was_let_go_is_never_restarted_later() -> None:
    spec = FailoverSpec(lose_work=True)
    first, second = rungs(spec, cause=Cause.EXITED, has_checkpoint=True, lost_state=InstanceState.EXITED)
    assert first.release_lost
    assert not second.in_place


def test_a_machine_that_answers_goes_on_in_place_before_anything_is_let_go() -> None:
    first, second = rungs(BOTH, cause=Cause.REBOOTED, has_checkpoint=True, lost_state=InstanceState.RUNNING)
    assert (first.strategy, first.in_place, first.new_machine, first.release_lost) == (
        Strategy.COLDSTART,
        True,
        False,
        False,
    )
    assert (second.strategy, second.release_lost) == (Strategy.SNAPSHOT, True)


def test_a_policy_without_coldstart_leaves_even_a_machine_that_answers() -> None:
    spec = FailoverSpec(ladder=(Strategy.SNAPSHOT,))
    assert [rung.strategy for rung in rungs(spec, cause=Cause.REBOOTED, has_checkpoint=True)] == [Strategy.SNAPSHOT]


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("has_checkpoint", [True, False])
@pytest.mark.parametrize("spec", [FailoverSpec(), COLD_FIRST, FailoverSpec(lose_work=True), EVERYTHING])
@pytest.mark.parametrize("state", InstanceState)
def test_every_rung_of_the_policy_is_climbed_or_explained(
    spec: FailoverSpec, cause: Cause, has_checkpoint: bool, state: InstanceState
) -> None:
    stand = rungs(spec, cause=cause, has_checkpoint=has_checkpoint, lost_state=state)
    left_out = skipped(spec, cause=cause, has_checkpoint=has_checkpoint, lost_state=state)
    assert {each.strategy for each in (*stand, *left_out)} == set(spec.ladder)
    assert all(each.reason for each in (*stand, *left_out))
    for rung in stand:
        assert rung.in_place or rung.new_machine
        loses_work = rung.strategy is Strategy.COLDSTART and rung.new_machine and has_checkpoint
        assert not loses_work or spec.lose_work


US = Situation(cause=Cause.OUTBID, has_checkpoint=True, region="US")


def chosen(spec: FailoverSpec, situation: Situation = US, **more: Any) -> list[Strategy]:
    return [rung.strategy for rung in ladder(spec, situation, **more).rungs]


def test_the_lost_machines_region_comes_first_and_each_of_the_policys_once() -> None:
    _, regional, _ = ladder(EVERYTHING, US).rungs
    assert (regional.strategy, regional.regions) == (Strategy.REGIONAL, ("US", "CA"))


def test_regional_is_left_out_where_no_region_is_known() -> None:
    found = ladder(FailoverSpec(ladder=(Strategy.REGIONAL,)), Situation(cause=Cause.OUTBID, has_checkpoint=True))
    assert (found.rungs, found.skipped[0].strategy) == ((), Strategy.REGIONAL)


def test_a_policy_without_a_pool_leaves_warm_pools_out_and_lets_the_lost_machine_go_as_before() -> None:
    found = ladder(FailoverSpec(), US)
    assert [(each.strategy, each.release_lost) for each in found.rungs] == [(Strategy.SNAPSHOT, True)]
    assert found.skipped[0].reason == "the policy names no pool"


def test_without_a_checkpoint_a_standby_may_start_from_nothing_and_the_lost_machine_is_kept() -> None:
    found = ladder(EVERYTHING, Situation(cause=Cause.EXITED, has_checkpoint=False, region="US")).rungs
    assert [each.strategy for each in found] == [Strategy.WARMPOOL, Strategy.COLDSTART]
    assert not any(each.release_lost for each in found)
    assert found[1].in_place


def test_what_a_person_asks_for_is_the_only_rung() -> None:
    assert chosen(EVERYTHING, only=Strategy.SNAPSHOT) == [Strategy.SNAPSHOT]


AUTO = FailoverSpec(ladder=tuple(Strategy), pool="spares", order=Order.AUTO, lose_work=True)


def took(strategy: Strategy, seconds: float, *, times: int = 50, spent: float = 0) -> StrategyRecord:
    return StrategyRecord(
        strategy=strategy, times=times, typical=timedelta(seconds=seconds), spent=timedelta(seconds=spent)
    )


def test_auto_begins_with_what_was_fastest_and_says_so() -> None:
    record = [took(Strategy.SNAPSHOT, 20), took(Strategy.REGIONAL, 60), took(Strategy.WARMPOOL, 40)]
    assert chosen(AUTO, record=record)[:3] == [Strategy.SNAPSHOT, Strategy.WARMPOOL, Strategy.REGIONAL]
    reason = ladder(AUTO, US, record=record).rungs[0].reason
    assert reason.endswith("expected to take 23 s, by 50 recoveries")


def test_auto_counts_what_was_paid_for_as_time() -> None:
    record = [took(Strategy.SNAPSHOT, 20, spent=60), took(Strategy.REGIONAL, 60)]
    assert chosen(AUTO, record=record)[1:3] == [Strategy.REGIONAL, Strategy.SNAPSHOT]


def test_auto_believes_a_few_recoveries_only_a_little() -> None:
    slow_once = [took(Strategy.WARMPOOL, 100, times=1)]
    assert chosen(AUTO, record=slow_once)[0] is Strategy.WARMPOOL


def test_auto_puts_what_loses_saved_work_last_however_fast_it_was() -> None:
    assert chosen(AUTO, record=[took(Strategy.COLDSTART, 1)])[-1] is Strategy.COLDSTART


def test_work_that_stalled_is_started_again_in_place_unless_the_machine_is_to_be_left() -> None:
    situation = Situation(cause=Cause.STALLED, has_checkpoint=True)
    assert ladder(BOTH, situation).rungs[0].in_place
    left = ladder(BOTH, replace(situation, leave=True))
    assert [(rung.strategy, rung.in_place, rung.release_lost) for rung in left.rungs] == [
        (Strategy.SNAPSHOT, False, True)
    ]
