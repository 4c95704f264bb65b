"""What a month of work costs when machines are chosen by price alone, and when losses and prices to come count too.

    python benchmarks/month.py TRACES PRICES --draw docs/images/month.png
    python benchmarks/month.py TRACES PRICES --half first          # the half that choices were made on

TRACES is the folder of skypilot-org/spot-traces, PRICES that of the price histories (docs/market.md names the formats):
losses and prices are as they really were. A month is put together from weeks drawn by its seed, all zones at the same
moments, so that what fell together falls together. Each way to choose lives through the same months.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Final

import numpy as np

from holdfast.contracts.forecasts import ForecastKey, HourlyPrices
from holdfast.contracts.machines import Terms
from holdfast.market.datasets import read as read_prices
from holdfast.market.fitting import fit
from holdfast.market.series import WINDOW, Series
from holdfast.policy.price_ahead import expected_change
from holdfast.simcloud.studies.month import MONTH, TICK, WORKLOADS, Account, Month, Way, Zone, live
from holdfast.simcloud.studies.traces import find
from holdfast.simcloud.studies.traces import read as read_trace

WEEK: Final = timedelta(days=7)
CADENCES: Final = (timedelta(minutes=30), timedelta(hours=2))
SPOT: Final = 0.918
"""USD an hour: what a p3.2xlarge cost in every zone in these years, without a change."""
BID: Final = 0.13
"""USD an hour in the auction of 2015, a fifth of the price on demand: above it a machine is lost."""
SIX, FOUR = "1-node/aws-02-15-2023", "1-node/aws-10-26-2022"
_HOUR: Final = timedelta(hours=1)
_AN_HOUR: Final = round(_HOUR / TICK)
_RESAMPLED: Final = 4000
WAYS: Final = tuple(way for way in Way if way is not Way.PRICE)


@dataclass(frozen=True)
class Past:
    """What one zone did, tick by tick, and what a forecast said in each hour."""

    name: str
    up: Sequence[bool]


@dataclass(frozen=True)
class Course:
    """A price by the hour, and what was expected of it at each."""

    prices: Sequence[float]
    ahead: Callable[[int], float]


@dataclass(frozen=True)
class Case:
    """A kind of market: from a seed and a half of the record to the zones of a month."""

    name: str
    about: str
    zones: Callable[[int, int], list[Zone]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("traces", type=Path, help="when zones had machines: skypilot-org/spot-traces")
    parser.add_argument("prices", type=Path, help="price histories, with AWS spot of 2021 and the auction of 2015")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=1, help="others make a second sample")
    parser.add_argument("--workloads", type=int, default=WORKLOADS, help=f"side by side [{WORKLOADS}]")
    parser.add_argument("--half", choices=("first", "second"), default="second", help="of each record [second]")
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--draw", type=Path, help="write a picture there")
    options = parser.parse_args()
    began = time.monotonic()
    half = 0 if options.half == "first" else 1
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found: dict[str, dict[str, list[Mapping[Way, Account]]]] = {}
    for case in cases(options.traces, options.prices):
        if options.only and options.only not in case.name:
            continue
        print(f"\n{case.name}: {case.about}")
        found[case.name] = {}
        for saves in CADENCES:
            months = [
                Month(zones=case.zones(seed, half), saves=saves, workloads=options.workloads, seed=seed)
                for seed in seeds
            ]
            lived = [_lived(month) for month in months]
            found[case.name][_words(saves)] = lived
            print(_table(f"saved every {_words(saves)}", lived))
    if len(found) > 1:
        print(f"\n{overall(found)}")
    took = time.monotonic() - began
    print(f"\n{len(seeds)} months of {MONTH.days} days, {options.workloads} workloads, {took:.0f} s")
    if options.json:
        told = {
            case: {saves: [[asdict(each) for each in ways.values()] for ways in lived] for saves, lived in by.items()}
            for case, by in found.items()
        }
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if options.draw:
        draw(options.draw, found)
    return 0


def _lived(month: Month) -> Mapping[Way, Account]:
    """By each way. Where no price moves there is nothing to forecast, and two of them are as without."""
    as_well = {Way.FORECAST: Way.PRICE, Way.BOTH: Way.RISK}
    still = all(min(zone.price) == max(zone.price) for zone in month.zones)
    found: dict[Way, Account] = {}
    for way in Way:
        other = as_well.get(way) if still else None
        found[way] = replace(found[other], way=way) if other else live(month, way)
    return found


# --- markets ---------------------------------------------------------------------------------------------------------


def cases(traces: Path, prices: Path) -> list[Case]:
    """The markets, each of losses and prices that were."""
    six, four = (pasts(traces, each) for each in (SIX, FOUR))
    moving = [_course(each) for each in _moving(prices)]
    return [
        Case("six zones", "V100 in six zones, 45 days of 2023, at one price", lambda s, h: month_of(s, h, six, [])),
        Case(
            "six zones, prices of 2021",
            "the same, at the prices of other GPU machines that moved, a draw of them for each zone",
            lambda s, h: month_of(s, h, six, moving),
        ),
        Case(
            "four kinds",
            "K80 and V100 in one zone, 27 days of 2022, at one price",
            lambda s, h: month_of(s, h, four, []),
        ),
        _auction(prices),
    ]


def pasts(traces: Path, folder: str) -> list[Past]:
    """The zones of one set, all as long as the shortest of them."""
    found = [read_trace(path) for path in find([traces]) if folder in str(path)]
    if not found:
        raise SystemExit(f"{traces} has no traces of {folder}")
    length = min(len(each.counts) * each.tick for each in found)
    ticks = int(length / TICK.total_seconds())
    moments = [place * TICK.total_seconds() for place in range(ticks)]
    return [Past(each.zone, [each.counts[int(at / each.tick)] > 0 for at in moments]) for each in found]


def month_of(seed: int, half: int, pasts: Sequence[Past], courses: Sequence[Course]) -> list[Zone]:
    """Weeks of one half of the record, one after the other; the same for all zones, and other ones for prices."""
    dice = random.Random(f"month {seed}")
    weeks = _weeks(dice, half, len(pasts[0].up))
    up = {past.name: [past.up[tick] for tick in weeks] for past in pasts}
    if not courses:
        return [Zone(name=name, up=each, price=[SPOT] * len(weeks)) for name, each in up.items()]
    hours = _weeks(dice, half, len(courses[0].prices) * _AN_HOUR, warm=WINDOW * _AN_HOUR)
    mine = dice.sample(courses, len(pasts))
    return [
        Zone(name=name, up=each, price=_priced(course, hours), ahead=_expecting(course, hours))
        for (name, each), course in zip(up.items(), mine, strict=True)
    ]


def _weeks(dice: random.Random, half: int, length: int, *, warm: int = 0) -> list[int]:
    """The ticks of a month, from weeks that begin anywhere in the half."""
    week, needed = round(WEEK / TICK), round(MONTH / TICK)
    middle = (warm + length) // 2
    begin, end = (warm, middle) if half == 0 else (middle, length)
    if end - begin < week:
        begin = max(0, end - week)
    found: list[int] = []
    while len(found) < needed:
        since = dice.randint(begin, end - week) // _AN_HOUR * _AN_HOUR
        found += range(since, since + week)
    return found[:needed]


def _priced(course: Course, ticks: Sequence[int]) -> list[float]:
    return [course.prices[tick // _AN_HOUR] for tick in ticks]


def _expecting(course: Course, ticks: Sequence[int]) -> Callable[[int], float]:
    return lambda at: course.ahead(ticks[at] // _AN_HOUR)


def _moving(prices: Path) -> list[Series]:
    """AWS spot series of 2021 that moved, in hours that all of them know."""
    found = [each for each in read_prices(prices) if each.group == "aws" and "2021" in each.key.kind and each.moved]
    first, last = max(each.first for each in found), min(each.last for each in found)
    return [_cut(each, first, last) for each in found]


def _cut(series: Series, first: object, last: object) -> Series:
    begin, end = (round((each - series.first) / _HOUR) for each in (first, last))  # type: ignore[operator]
    return Series(key=series.key, first=series.first + begin * _HOUR, prices=series.prices[begin : end + 1])


def _course(series: Series, *, usual: float = SPOT) -> Course:
    """At the level of the others; what is expected at an hour stands on the four weeks before it."""
    level = usual / median(series.prices.tolist()) if usual else 1.0
    prices = [float(each) for each in series.prices * level]

    @cache
    def ahead(hour: int) -> float:
        key = ForecastKey(gpu=series.key.gpu, provider=series.key.region, kind=Terms.INTERRUPTIBLE)
        begin = max(0, hour + 1 - WINDOW)
        runs = tuple((1, each) for each in prices[begin : hour + 1])
        return expected_change(fit(HourlyPrices(key=key, first=series.first + begin * _HOUR, runs=runs)))

    return Course(prices, ahead)


def _auction(prices: Path) -> Case:
    """Losses and prices are of the same record here: who bids too little loses the machine."""
    found = [each for each in read_prices(prices) if each.group == "auction"]
    first, last = max(each.first for each in found), min(each.last for each in found)
    courses = {each.key.region: _course(_cut(each, first, last), usual=0.0) for each in found}

    def zones(seed: int, half: int) -> list[Zone]:
        length = min(len(each.prices) for each in courses.values()) * _AN_HOUR
        ticks = _weeks(random.Random(f"month {seed}"), half, length, warm=WINDOW * _AN_HOUR)
        return [
            Zone(
                name=name,
                up=[price <= BID for price in _priced(course, ticks)],
                price=_priced(course, ticks),
                ahead=_expecting(course, ticks),
            )
            for name, course in courses.items()
        ]

    return Case("auction", f"g2.2xlarge in two zones in 2015, {len(first_to(courses))} hours, bidding ${BID}", zones)


def first_to(courses: Mapping[str, Course]) -> range:
    return range(min(len(each.prices) for each in courses.values()))


# --- figures ---------------------------------------------------------------------------------------------------------


def savings(lived: Iterable[Mapping[Way, Account]], way: Way) -> list[float]:
    """Share of the cost per useful hour that is saved against price alone, for each month."""
    return [1 - ways[way].per_useful_hour / ways[Way.PRICE].per_useful_hour for ways in lived]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Of their mean, with 95 %: months are drawn again and again, each with both its ways."""
    dice = np.random.default_rng(0)
    means = dice.choice(np.asarray(values), size=(_RESAMPLED, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def overall(found: Mapping[str, Mapping[str, Sequence[Mapping[Way, Account]]]]) -> str:
    """What each way saves over all markets and cadences, each of which counts the same."""
    rows = [("all of them", "saved", "95 % between", "cheaper in")]
    for way in WAYS:
        each = [savings(lived, way) for by in found.values() for lived in by.values()]
        months = [fmean(saved) for saved in zip(*each, strict=True)]
        low, high = interval(months)
        cheaper = fmean(saved > 0 for saved in months)
        rows.append((way.value, f"{fmean(months):+.2%}", f"{low:+.2%} and {high:+.2%}", f"{cheaper:.0%}"))
    return _aligned(rows)


def _table(title: str, lived: Sequence[Mapping[Way, Account]]) -> str:
    rows = [(title, "USD per useful hour", "saved", "95 % between", "least", "most", "cheaper in", "taken", "useful h")]
    for way in Way:
        accounts = [ways[way] for ways in lived]
        saved = savings(lived, way)
        low, high = interval(saved)
        rows.append(
            (
                way.value,
                f"{fmean(each.per_useful_hour for each in accounts):.4f}",
                f"{fmean(saved):+.1%}",
                f"{low:+.1%} and {high:+.1%}",
                f"{min(saved):+.1%}",
                f"{max(saved):+.1%}",
                f"{fmean(each > 0 for each in saved):.0%}",
                f"{fmean(each.taken for each in accounts):.0f}",
                f"{fmean(each.useful for each in accounts):.0f}",
            )
        )
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _words(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"


def draw(path: Path, found: Mapping[str, Mapping[str, Sequence[Mapping[Way, Account]]]]) -> None:
    """One dot for each month: what is saved against price alone, by market and cadence."""
    from matplotlib import pyplot  # noqa: PLC0415 (it takes long to load)

    pyplot.switch_backend("agg")
    colours = dict(zip(WAYS, ("#2f7d4f", "#7a8ba6", "#d1762b", "#8b5fa8", "#b9b9b9"), strict=True))
    figure, panels = pyplot.subplots(
        1, len(found), figsize=(3.0 * len(found) + 1, 3.6), layout="constrained", sharey=True, squeeze=False
    )
    for axes, (case, by) in zip(panels[0], found.items(), strict=True):
        axes.axhline(0, color="#3b4252", lw=1)
        for place, lived in enumerate(by.values()):
            for shift, (way, colour) in zip((-0.32, -0.16, 0.0, 0.16, 0.32), colours.items(), strict=True):
                saved = [100 * each for each in savings(lived, way)]
                low, high = (100 * each for each in interval(savings(lived, way)))
                dice = random.Random(0)
                across = [place + shift + dice.uniform(-0.05, 0.05) for _ in saved]
                axes.scatter(across, saved, s=9, color=colour, alpha=0.35, linewidth=0)
                axes.plot([place + shift] * 2, [low, high], color=colour, lw=4, solid_capstyle="butt")
                label = way.value.removeprefix("placement ") if place == 0 else None
                axes.scatter(
                    [place + shift], [fmean(saved)], s=30, color=colour, edgecolor="white", zorder=3, label=label
                )
        axes.set_xticks(range(len(by)), list(by))
        axes.set_title(case, fontsize=10, loc="left")
        axes.set_xlabel("saved every")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("percent saved per useful hour")
    panels[0][0].legend(frameon=False, fontsize=9, loc="upper left")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
