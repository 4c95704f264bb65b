"""The ladder: which rungs stand, which are left out, and what becomes of the lost machine."""

import pytest

from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.spec import FailoverSpec, Strategy
from holdfast.policy.ladder import rungs, skipped

BOTH = FailoverSpec()
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
    spec = FailoverSpec(lose_work=True)
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
@pytest.mark.parametrize("spec", [BOTH, COLD_FIRST, FailoverSpec(lose_work=True)])
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
