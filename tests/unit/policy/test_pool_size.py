"""How many standbys a pool keeps: enough for the losses on record, never outside its limits."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.contracts.pools import PoolDemand
from holdfast.policy.pool_size import MISSED, size

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
QUIET = PoolDemand(days=7, served=10, losses=0, machine_hours=1680.0, refill=timedelta(minutes=4))
DAY = timedelta(days=1)


def target(demand: PoolDemand, minimum: int = 0, maximum: int = 1_000) -> int:
    return size(demand, minimum=minimum, maximum=maximum).target


def test_nobody_to_serve_needs_nothing_but_the_minimum() -> None:
    idle = replace(QUIET, served=0, claims=(NOON, NOON))
    assert target(idle) == 0
    assert size(idle, minimum=2, maximum=5).reason.endswith("the minimum is 2")


def test_a_pool_of_which_nothing_is_known_counts_on_a_loss_a_day_of_each_machine() -> None:
    new = PoolDemand(days=7, served=1, losses=0, machine_hours=0.0)
    assert target(new) == 1
    assert target(replace(new, served=100)) == 2


def test_it_is_never_beyond_the_maximum_and_says_so() -> None:
    found = size(replace(QUIET, served=5_000, losses=500), minimum=0, maximum=3)
    assert (found.target, found.reason.endswith("the maximum is 3")) == (3, True)


def test_a_bulk_of_losses_is_covered_when_it_comes_again() -> None:
    bulk = (NOON, NOON + timedelta(seconds=30), NOON + timedelta(seconds=90), NOON + DAY)
    assert target(replace(QUIET, claims=bulk)) == 3


@pytest.mark.parametrize("more", ["served", "losses"])
def test_more_to_serve_and_more_losses_never_call_for_less(more: str) -> None:
    busy = replace(QUIET, served=40, losses=40)
    sizes = [target(replace(busy, **{more: count})) for count in (1, 10, 100, 1000)]
    assert sizes == sorted(sizes) and sizes[-1] > sizes[0]


def test_longer_refills_never_call_for_less() -> None:
    sizes = [target(replace(QUIET, served=50, losses=100, refill=timedelta(minutes=each))) for each in (1, 5, 20, 60)]
    assert sizes == sorted(sizes) and sizes[-1] > sizes[0]


def test_losses_at_the_rate_on_record_find_a_standby_as_often_as_promised() -> None:
    """Losses of many workloads, at random: how many come while the taken standbys are being replaced."""
    dice = random.Random(7)
    served, hazard, refill = 40, 0.02, timedelta(minutes=6)
    hours = 40_000.0
    demand = PoolDemand(days=7, served=served, losses=int(hours * hazard), machine_hours=hours, refill=refill)
    kept = target(demand)
    gap = 1 / (served * hazard)
    away: list[float] = []
    at, missed, trials = 0.0, 0, 20_000
    for _ in range(trials):
        at += dice.expovariate(1 / gap)
        away = [back for back in away if back > at]
        if len(away) >= kept:
            missed += 1
        else:
            away.append(at + refill / timedelta(hours=1))
    assert kept >= 1
    assert missed / trials <= MISSED


def test_where_losses_are_likely_a_new_pool_keeps_more() -> None:
    new = PoolDemand(days=7, served=40, losses=0, machine_hours=0.0, refill=timedelta(minutes=10))
    assert target(replace(new, hazard=1 / 24)) == target(new)
    assert target(replace(new, hazard=0.4)) > target(new) > target(replace(new, hazard=0.0))
    assert "9.6 losses a day are to be expected" in size(replace(new, hazard=0.4), minimum=0, maximum=50).reason


def test_what_was_measured_outweighs_what_is_expected() -> None:
    measured = replace(QUIET, machine_hours=100_000.0)
    assert target(replace(measured, hazard=0.4)) == target(measured)
