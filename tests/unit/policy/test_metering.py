"""The meter: each state at its own rate, every moment once."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.machines import InstanceState
from holdfast.policy import metering, reconciling
from holdfast.policy.metering import Interval

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN, STOPPED = Decimal("0.36"), Decimal("0.012")


def a_life() -> list[Interval]:
    """An hour of booting and stopping around two hours of work."""
    return [
        Interval(state=InstanceState.STARTING, hourly=STOPPED, since=NOON, until=NOON + HOUR / 2),
        Interval(state=InstanceState.RUNNING, hourly=RUN, since=NOON + HOUR / 2, until=NOON + 2 * HOUR),
        Interval(state=InstanceState.STOPPED, hourly=STOPPED, since=NOON + 2 * HOUR, until=NOON + 2.5 * HOUR),
        Interval(state=InstanceState.RUNNING, hourly=RUN, since=NOON + 2.5 * HOUR),
    ]


def test_a_life_costs_each_state_at_its_rate() -> None:
    assert metering.cost(a_life(), now=NOON + 3 * HOUR) == 2 * RUN + STOPPED
    assert metering.time_in(a_life(), now=NOON + 3 * HOUR, running=True) == 2 * HOUR
    assert metering.time_in(a_life(), now=NOON + 3 * HOUR, running=False) == HOUR


@pytest.mark.parametrize("seed", range(100))
def test_the_parts_of_a_life_cost_what_the_whole_does(seed: int) -> None:
    """A day's cost is what falls into it: cut anywhere, nothing is counted twice and nothing is lost."""
    dice = random.Random(seed)
    end = NOON + 3 * HOUR
    cuts = sorted(NOON + timedelta(seconds=dice.randrange(0, 10_800)) for _ in range(dice.randrange(1, 6)))
    parts = [
        metering.cost(a_life(), since=begin, now=until)
        for begin, until in zip([NOON, *cuts], [*cuts, end], strict=True)
    ]
    assert abs(sum(parts) - metering.cost(a_life(), now=end)) <= Decimal("0.000001") * len(parts)


@pytest.mark.parametrize(
    ("state", "storage", "expected"),
    [
        (InstanceState.RUNNING, STOPPED, RUN),
        (InstanceState.STOPPED, STOPPED, STOPPED),
        (InstanceState.INTERRUPTED, STOPPED, STOPPED),
        (InstanceState.STOPPED, None, RUN),
        (InstanceState.GONE, STOPPED, Decimal(0)),
    ],
)
def test_the_rate_of_a_state(state: InstanceState, storage: Decimal | None, expected: Decimal) -> None:
    assert metering.rate(state, hourly=RUN, storage_hourly=storage) == expected


def test_what_rounding_explains_is_no_drift_and_an_hour_is() -> None:
    now = NOON + 3 * HOUR
    ours = metering.cost(a_life(), now=now)

    def compared(charged: Decimal) -> list[reconciling.Compared]:
        return [reconciling.Compared(label="train.e1", intervals=a_life(), charged=charged)]

    rounded = reconciling.drift("vast", compared(ours + RUN * 4 / 3600), unknown=0, now=now)
    an_hour_more = reconciling.drift("vast", compared(ours + RUN), unknown=0, now=now)
    assert not rounded.beyond and an_hour_more.beyond and an_hour_more.worst == "train.e1"
    assert (an_hour_more.metered, an_hour_more.charged, an_hour_more.machines) == (ours, ours + RUN, 1)


def test_two_machines_that_are_wrong_in_opposite_ways_do_not_look_right_together() -> None:
    now = NOON + 3 * HOUR
    ours = metering.cost(a_life(), now=now)
    both = [
        reconciling.Compared(label=label, intervals=a_life(), charged=ours + off)
        for label, off in (("one.e1", RUN), ("two.e1", -RUN))
    ]
    found = reconciling.drift("vast", both, unknown=2, now=now)
    assert found.metered == found.charged and found.beyond and found.unknown == 2
