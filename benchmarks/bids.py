"""What it costs to bid more than the least that wins, where one pays what one bids.

    python benchmarks/bids.py PRICES

PRICES is a folder with the AWS auction of 2015 (docs/market.md names the formats): the only record at hand of a market
on which bids won and lost. Machines there paid the market's price; here the bid is paid, as at Vast.ai. Work runs
through in each zone; a machine is lost in the first hour whose price is above its bid, and the next one is rented at
once. The factor is chosen on the first half of the record, and all of them are shown on the second.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Final

from holdfast.contracts.forecasts import ForecastKey, HourlyPrices
from holdfast.contracts.machines import Terms
from holdfast.market.datasets import read
from holdfast.market.fitting import fit
from holdfast.market.series import WINDOW, Series

ON_DEMAND: Final = 0.65
"""USD an hour for a g2.2xlarge: nobody bids more."""
MOVE: Final = 0.2  # hours that are paid for without progress
CADENCES: Final = (timedelta(minutes=10), timedelta(minutes=30), timedelta(hours=2))
FACTORS: Final = (1.0, 1.02, 1.05, 1.1, 1.25, 1.5, 2.0)
STAY: Final = 8
Bid = Callable[[int], float]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("prices", type=Path)
    options = parser.parse_args()
    series = [each for each in read(options.prices) if each.group == "auction"]
    for saves in CADENCES:
        hours = saves.total_seconds() / 3600
        print(f"\nsaved every {hours:g} h: USD per useful hour, and losses in 100 h, first and second half")
        for name, rule in rules().items():
            halves = [fmean(columns) for columns in zip(*(_cost(each, rule, hours) for each in series), strict=True)]
            print(f"{name:<32}" + "  ".join(f"{each:8.4f}" for each in halves))
    return 0


def rules() -> dict[str, Callable[[Series], Bid]]:
    """From a series to what is bid at an hour."""
    found: dict[str, Callable[[Series], Bid]] = {
        f"{factor:g} times the least": lambda series, factor=factor: lambda at: float(series.prices[at]) * factor  # type: ignore[misc]
        for factor in FACTORS
    }
    return found | {
        f"upper end of the {level} % range": lambda series, level=level: _upper(series, level) for level in (80, 95)
    }  # type: ignore[misc]


def _upper(series: Series, level: int) -> Bid:
    """Of what is forecast for the hours of a usual stay."""
    known: dict[int, float] = {}

    def bid(at: int) -> float:
        if at not in known:
            begin = max(0, at + 1 - WINDOW)
            runs = tuple((1, float(each)) for each in series.prices[begin : at + 1])
            key = ForecastKey(gpu=series.key.gpu, provider="aws", kind=Terms.INTERRUPTIBLE)
            said = fit(HourlyPrices(key=key, first=series.first, runs=runs))
            ends = [each.high80 if level == 80 else each.high95 for each in said.leads if each.lead <= STAY + 1]
            known[at] = max([float(series.prices[at]), *ends])
        return known[at]

    return bid


def _cost(series: Series, rule: Callable[[Series], Bid], saves: float) -> tuple[float, float, float, float]:
    bid = rule(series)
    middle = (WINDOW + len(series.prices)) // 2
    first = _run(series.prices.tolist(), bid, saves, WINDOW, middle)
    second = _run(series.prices.tolist(), bid, saves, middle, len(series.prices))
    return first[0], second[0], first[1], second[1]


def _run(prices: Sequence[float], bid: Bid, saves: float, begin: int, end: int) -> tuple[float, float]:
    """USD per useful hour, and losses in a hundred hours."""
    cost = useful = 0.0
    losses, at = 0, begin
    while at < end:
        if prices[at] > ON_DEMAND:
            at += 1  # nobody rents
            continue
        mine = min(bid(at), ON_DEMAND)
        lasted = next((hour for hour in range(at + 1, end) if prices[hour] > mine), end) - at
        worked = max(lasted - MOVE, 0.0)
        lost = at + lasted < end
        cost += lasted * mine
        useful += worked - (worked % saves if lost else 0.0)
        losses += lost
        at += lasted
    return cost / useful if useful else float("inf"), 100 * losses / (end - begin)


if __name__ == "__main__":
    sys.exit(main())
