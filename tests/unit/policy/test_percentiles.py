"""Percentiles by nearest rank, and what a workload's record makes of them."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.contracts.reports import Spread, StrategyLine
from holdfast.policy.objectives import by_strategy, spread
from holdfast.policy.percentiles import nearest_rank
from tests.unit.records.makers import incident

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("values", "percent", "answer"),
    [
        ([7], 50, 7),
        ([7], 95, 7),
        ([1, 2], 50, 1),  # a value that was measured, not 1.5
        ([3, 1, 2], 50, 2),
        ([15, 20, 35, 40, 50], 30, 20),
        ([15, 20, 35, 40, 50], 40, 20),
        ([15, 20, 35, 40, 50], 100, 50),
        (range(1, 20), 95, 19),
        (range(1, 21), 95, 19),  # of twenty, one may be worse
        (range(1, 101), 95, 95),
        (range(1, 101), 1, 1),
    ],
)
def test_the_place_of_a_percentile_is_rounded_up(values: list[int], percent: int, answer: int) -> None:
    assert nearest_rank(values, percent) == answer


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 0), ([1], 101)])
def test_what_has_no_percentile_is_refused(values: list[int], percent: int) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        nearest_rank(values, percent)


@pytest.mark.parametrize("seed", range(50))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(seed: int) -> None:
    dice = random.Random(seed)
    values = [dice.randint(0, 30) for _ in range(dice.randint(1, 60))]  # with many that are equal
    percent = dice.randint(1, 100)
    answer = nearest_rank(values, percent)
    assert answer in values
    assert 100 * sum(each <= answer for each in values) >= percent * len(values)
    assert 100 * sum(each < answer for each in values) < percent * len(values)


@pytest.mark.parametrize("seed", range(20))
def test_percentiles_rise_and_know_no_order_and_end_at_the_worst(seed: int) -> None:
    dice = random.Random(seed)
    values = [dice.random() for _ in range(dice.randint(1, 60))]
    told = [nearest_rank(values, percent) for percent in range(1, 101)]
    assert told == sorted(told)
    assert told[-1] == max(values)
    shuffled = dice.sample(values, len(values))
    assert [nearest_rank(shuffled, percent) for percent in range(1, 101)] == told


def test_a_spread_counts_what_kept_the_objective_to_the_moment() -> None:
    measured = [10 * SECOND, 30 * SECOND, 31 * SECOND]
    assert spread(measured, 30 * SECOND) == Spread(measured=3, p50=30 * SECOND, p95=31 * SECOND, max=31 * SECOND, met=2)
    assert spread(measured, None).met is None
    assert spread([], 30 * SECOND) == Spread(measured=0, p50=None, p95=None, max=None, met=0)


def test_each_strategy_is_told_with_its_tries_and_what_came_of_them() -> None:
    first, second = incident(1), incident(2, recovery_time=80 * SECOND)
    (tried,) = first.attempts
    raced = replace(second, attempts=(tried, replace(tried, strategy="regional"), tried))
    going_on = incident(3, recovery_time=None, strategy="coldstart", attempts=(replace(tried, strategy="coldstart"),))
    assert by_strategy([first, raced, going_on]) == (
        StrategyLine(strategy="regional", tries=1, successes=0, p50=None, p95=None),
        StrategyLine(strategy="snapshot", tries=3, successes=2, p50=60 * SECOND, p95=80 * SECOND),
        StrategyLine(strategy="coldstart", tries=1, successes=0, p50=None, p95=None),
    )
    assert by_strategy([]) == ()


def test_a_spread_whose_worst_kept_the_objective_was_kept_by_all() -> None:
    dice = random.Random(11)
    for _ in range(100):
        measured = [dice.randint(1, 90) * SECOND for _ in range(dice.randint(1, 40))]
        objective = dice.randint(1, 90) * SECOND
        found = spread(measured, objective)
        assert found.p50 is not None and found.p95 is not None and found.max is not None
        assert found.p50 <= found.p95 <= found.max
        assert (found.met == found.measured) == (found.max <= objective)
