import numpy as np
import pytest

from holdfast.market.backtest import FEWEST, WINDOWS, backtest, origins_of
from holdfast.market.datasets import read
from tests.unit.market.examples import REAL, reverting, series, walking


def test_shows_skill_where_there_is_some_and_none_where_there_is_none() -> None:
    report = backtest([reverting(1000), walking(1000)], origins=40)
    (row,) = (each for each in report.rows if each.lead == 24)
    assert (row.group, row.series) == ("made", 2)
    noise = backtest([reverting(1000)], origins=40)
    walk = backtest([walking(1000, seed=seed) for seed in range(5)], origins=30)
    assert all(row.mae is not None and row.mae < 0.85 for row in noise.rows)
    assert all(row.mae is not None and row.mae <= 1.06 for row in walk.rows)


def test_covers_every_lead_and_says_how_many_were_scored() -> None:
    report = backtest([reverting(1000)], origins=30)
    assert [row.lead for row in report.rows] == list(WINDOWS)
    assert report.forecasts == 30
    assert report.cpu_median is not None and report.cpu_median > 0


def test_what_never_moved_is_counted_apart() -> None:
    report = backtest([series([2.0] * 500), series([2.0] * 100)])
    assert (report.flat, report.flat_held, report.left_out, report.rows) == (1, 1, 1, ())


def test_hours_in_which_nobody_looked_are_never_scored() -> None:
    prices = reverting(700).prices.copy()
    prices[300:] = np.nan
    prices[500:540] = 2.0
    cells = origins_of(series(prices), 1000)
    assert all(np.isfinite(prices[cell]) for cell in cells)
    report = backtest([series(prices)], origins=1000)
    assert max((row.scored for row in report.rows), default=0) <= len(cells)
    assert not any(row.lead == 168 and row.scored > 132 for row in report.rows)


def test_small_groups_are_judged_on_more_origins() -> None:
    assert backtest([reverting(800)]).forecasts > 10 * FEWEST


def test_nothing_to_judge_is_an_answer() -> None:
    report = backtest([])
    assert (report.rows, report.cpu_median) == ((), None)


@pytest.mark.parametrize("measure", ["min", "median"])
def test_real_prices_are_forecast_better_than_by_the_last_one(measure: str) -> None:
    found = [each for each in read(REAL) if each.group == "vast" and each.key.measure == measure]
    row = next(each for each in backtest(found, origins=60).rows if each.lead == 24)
    assert row.mae is not None and row.mae <= 0.9
