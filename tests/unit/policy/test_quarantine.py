"""A price may leap, and so may a mistake: only the next point tells which it was."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.contracts.market import MarketPoint
from holdfast.policy.quarantine import LEAST, STALE, judge
from tests.unit.policy.test_pricing import a_point

USUAL = [a_point(hour) for hour in range(24)]


def run(prices: list[str], before: list[MarketPoint] | None = None) -> list[bool]:
    """Which of the points stay held back in the end."""
    series = list(before if before is not None else USUAL)
    begin = len(series)
    for number, price in enumerate(prices):
        point = a_point(begin + number, price)
        verdict = judge(point, series)
        if verdict.confirms:
            series[-1] = replace(series[-1], held=False)
        series.append(replace(point, held=verdict.held))
    return [each.held for each in series[begin:]]


@pytest.mark.parametrize("price", ["0.41", "0.55", "0.25", "0.79"])
def test_what_is_within_twice_or_half_is_believed_at_once(price: str) -> None:
    assert run([price]) == [False]


@pytest.mark.parametrize("price", ["3.20", "0.05", "0.000001"])
def test_a_single_wild_point_is_held_back_and_stays_out(price: str) -> None:
    assert run([price, "0.40", "0.41"]) == [True, False, False]


def test_a_real_move_counts_from_its_first_point_once_the_second_confirms_it() -> None:
    assert run(["0.15", "0.16", "0.15", "0.14"]) == [False, False, False, False]
    assert run(["0.15"]) == [True]


def test_two_mistakes_that_disagree_confirm_nothing() -> None:
    assert run(["3.20", "0.01", "0.40"]) == [True, True, False]


def test_a_price_that_comes_back_after_a_real_move_is_believed() -> None:
    assert run(["0.10", "0.10", "0.10", "0.40", "0.40"])[-2:] == [False, False]


def test_a_wild_cheapest_offer_holds_a_point_whose_median_is_usual() -> None:
    lure = replace(a_point(24), minimum=a_point(24, "0.01").minimum)
    assert judge(lure, USUAL).held


def test_few_points_say_nothing_about_what_is_usual() -> None:
    assert run(["9"], before=USUAL[: LEAST - 1]) == [False]
    assert run(["9"], before=USUAL[:LEAST]) == [True]


def test_after_a_long_gap_nothing_is_usual() -> None:
    late = replace(a_point(0, "9"), at=USUAL[-1].at + STALE + timedelta(hours=1))
    assert not judge(late, USUAL).held


def test_a_series_that_leaps_by_itself_may_leap() -> None:
    restless = [a_point(hour, "0.20" if hour % 2 else "0.80") for hour in range(24)]
    assert run(["0.21", "0.85", "1.5"], before=restless) == [False, False, False]
