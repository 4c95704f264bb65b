"""When a machine is left before it is taken."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.policy.leaving import last_save, leave_at

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
