"""When a machine is left before it is taken."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.policy.leaving import last_save, leave_at, look_every, saving

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
MARGIN = timedelta(minutes=15)


def test_a_long_contract_is_used_until_the_margin():
    ends = SINCE + timedelta(days=3)
    assert leave_at(ends, since=SINCE, margin=MARGIN) == ends - MARGIN


def test_a_short_one_is_used_for_three_quarters_of_its_time():
    assert leave_at(SINCE + timedelta(minutes=20), since=SINCE, margin=MARGIN) == SINCE + MARGIN


@pytest.mark.parametrize("left", [0.0, 0.5, 3.0, 30.0, 900.0])
def test_a_last_save_fits_into_the_time_that_is_left(left: float):
    plan = last_save(timedelta(seconds=left), stop_grace=timedelta(seconds=30))
    assert timedelta() <= plan.grace <= plan.within / 4
    assert plan.within <= timedelta(seconds=left)


def test_of_thirty_seconds_seven_are_for_the_work_to_end():
    plan = last_save(timedelta(seconds=30), stop_grace=timedelta(seconds=30))
    assert (plan.grace, plan.within) == (timedelta(seconds=7), timedelta(seconds=28))


def test_work_that_ends_fast_is_given_no_more_than_it_asks_for():
    assert last_save(timedelta(minutes=15), stop_grace=timedelta(seconds=5)).grace == timedelta(seconds=5)


def test_a_time_that_is_over_leaves_nothing():
    plan = last_save(timedelta(seconds=-9), stop_grace=timedelta(seconds=5))
    assert plan.within == plan.grace == timedelta()


DAY, TWO_MINUTES = timedelta(days=1), timedelta(minutes=2)


def test_a_saving_is_what_is_left_of_the_difference_when_both_machines_were_paid_during_the_move():
    saved = saving(Decimal("0.60"), Decimal("0.30"), payback=DAY, move=timedelta(hours=2))
    assert saved == Decimal("0.30") * 24 - Decimal("0.90") * 2


def test_a_move_that_costs_more_than_it_saves_in_time_is_not_worth_it():
    assert saving(Decimal("0.60"), Decimal("0.30"), payback=timedelta(minutes=5), move=TWO_MINUTES) is None


@pytest.mark.parametrize("offered", ["0.60", "0.59", "0.481", "0.70"])
def test_what_is_hardly_cheaper_is_noise(offered: str):
    assert saving(Decimal("0.60"), Decimal(offered), payback=timedelta(days=30), move=timedelta()) is None


def test_two_machines_are_never_each_the_cheaper_one():
    """Else the work would go to and fro."""
    prices = [Decimal(cents) / 100 for cents in range(5, 200, 7)]
    for one in prices:
        for other in prices:
            there = saving(one, other, payback=timedelta(days=30), move=timedelta())
            back = saving(other, one, payback=timedelta(days=30), move=timedelta())
            assert there is None or back is None


def test_looks_are_an_hour_apart_at_most():
    assert look_every(timedelta(days=30)) == timedelta(hours=1)
    assert look_every(timedelta(hours=6)) == timedelta(minutes=15)


def test_more_losses_to_be_expected_there_eat_the_saving():
    def saved(losses: float) -> Decimal | None:
        return saving(Decimal("0.60"), Decimal("0.30"), payback=DAY, move=timedelta(hours=2), losses=losses)

    plain = saved(0)
    assert plain is not None
    assert saved(1) == plain - Decimal("0.90") * 2
    assert saved(-1) == plain + Decimal("0.90") * 2
    assert saved(4) is None
