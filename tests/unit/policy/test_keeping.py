"""Only what is saved counts as done, whatever happens to a workload."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from holdfast.contracts.spec import DeadlineSpec
from holdfast.policy import keeping
from tests.unit.records.makers import checkpoint

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("seed", range(200))
def test_never_more_is_counted_than_was_worked_up_to_the_checkpoint_that_the_work_goes_on_from(seed: int):
    dice = random.Random(seed)
    now, earned, really = NOON, timedelta(), timedelta()  # `really`: the work in the newest checkpoint
    head, saved = replace(checkpoint(0), taken_at=NOON), {0: timedelta()}
    started_at = None
    for sequence in range(1, 12):
        begin = now = now + dice.randrange(1, 60) * MINUTE  # waited for a machine
        base = head if dice.random() < 0.8 else replace(checkpoint(0), taken_at=NOON)
        earned = keeping.earned(earned, head=head, base=base, started_at=started_at)
        really, started_at = saved[base.sequence], begin
        assert earned <= really
        worked = dice.randrange(0, 90) * MINUTE
        now = begin + worked
        if dice.random() < 0.7:  # saved some time before it was lost
            taken_at = begin + worked * dice.random()
            head = replace(checkpoint(sequence), taken_at=taken_at)
            saved[sequence] = really + (taken_at - begin)
        else:
            head, saved = base, {**saved, base.sequence: really}
        assert keeping.done(earned, head=head, started_at=started_at) <= max(saved[head.sequence], earned)


def test_work_that_starts_from_nothing_has_done_nothing():
    head = replace(checkpoint(3), taken_at=NOON)
    assert keeping.earned(9 * MINUTE, head=head, base=None, started_at=NOON - 5 * MINUTE) == timedelta()


def test_a_deadline_that_no_machine_can_meet_is_a_mistake_in_the_spec():
    with pytest.raises(ValidationError, match=r"cannot be met: the work and one changeover take 2\.17 h"):
        DeadlineSpec(work=timedelta(hours=2), within=timedelta(hours=2))
    with pytest.raises(ValidationError, match="either within or by"):
        DeadlineSpec(work=timedelta(hours=2))


def test_a_moment_in_the_past_is_not_possible():
    wanted = DeadlineSpec(work=timedelta(hours=1), by=NOON)
    assert keeping.is_possible(wanted, NOON - timedelta(hours=2))
    assert not keeping.is_possible(wanted, NOON - timedelta(hours=1))
