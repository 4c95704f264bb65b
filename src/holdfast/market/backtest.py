"""How good the forecasts would have been: from many past moments, on what was known then, against what came.

Origins are hours in which a price was seen, a week after the first at the earliest, spread evenly. A lead is scored in
a window around it (`WINDOWS`), because not every hour was seen; hours without a price are never scored. Errors are
divided by the series' recent mean price, averaged over a series' origins, and added up over the series of a group.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from holdfast.market.candidates import LAST_PRICE
from holdfast.market.forecast import Answer, PriceForecast, forecast
from holdfast.market.series import Series

WINDOWS: Final = {1: (1, 2), 6: (5, 7), 24: (22, 26), 72: (69, 75), 168: (163, 168)}
"""Lead in hours -> the hours ahead, first and last, in which it is scored."""
FEWEST: Final = 24
"""Origins that a series must have to be judged at all."""
USUAL: Final = 48
PER_GROUP: Final = 1500
"""Forecasts of a group: one with few series is judged on more origins of each, or its figures would be chance."""
_WARM_UP: Final = 168


@dataclass(frozen=True, kw_only=True)
class BacktestRow:
    """One group at one lead. `mae` is relative to the last price's (1 is no better, no worse); widths are shares of the price."""

    group: str
    lead: int
    series: int
    scored: int
    mae: float | None  # None: the last price never erred, and the forecasts did
    cover80: float
    cover95: float
    width80: float
    width95: float
    led: float  # share of the forecasts in which the last price was not in charge


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """A backtest. `flat` counts series that never moved, `flat_held` those of them whose forecasts were that price exactly."""

    rows: tuple[BacktestRow, ...]
    series: int
    forecasts: int
    flat: int
    flat_held: int
    left_out: int
    seconds: tuple[float, ...] = field(repr=False)  # CPU seconds of each series' mean forecast

    def row(self, group: str, lead: int) -> BacktestRow | None:
        return next((each for each in self.rows if (each.group, each.lead) == (group, lead)), None)


@dataclass(frozen=True, kw_only=True)
class _Score:
    lead: int
    own: float
    last: float
    inside80: float
    inside95: float
    width80: float
    width95: float
    led: bool


def backtest(
    series: Sequence[Series],
    *,
    origins: int | None = None,
    tell: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
) -> Backtest:
    """Run it over every series that is long enough; `tell` hears what runs, and how much of how much is done.

    Without `origins` each series has `USUAL`, and more where its group would have fewer than `PER_GROUP` forecasts.
    """
    sizes = Counter(each.group for each in series if each.moved)
    scores: dict[tuple[str, int], list[list[_Score]]] = defaultdict(list)
    seconds: list[float] = []
    flat = flat_held = left_out = forecasts = 0
    for done, each in enumerate(series):
        tell(str(each.key), done, len(series))
        cells = origins_of(each, origins or _origins(each, sizes))
        if len(cells) < FEWEST:
            left_out += 1
            continue
        before = time.process_time()
        made = [(cell, forecast(each.until(cell))) for cell in cells]
        seconds.append((time.process_time() - before) / len(made))
        forecasts += len(made)
        if not each.moved:
            flat += 1
            flat_held += all(_stands_still(said) for _, said in made)
            continue
        by_lead: dict[int, list[_Score]] = defaultdict(list)
        for cell, said in made:
            for score in _scores(each, cell, said):
                by_lead[score.lead].append(score)
        for lead, found in by_lead.items():
            scores[each.group, lead].append(found)
    rows = tuple(_row(group, lead, scores[group, lead]) for group, lead in sorted(scores))
    return Backtest(
        rows=rows, series=len(series) - left_out, forecasts=forecasts, flat=flat, flat_held=flat_held,
        left_out=left_out, seconds=tuple(seconds),
    )  # fmt: skip


def _origins(series: Series, sizes: Counter[str]) -> int:
    return max(USUAL, PER_GROUP // sizes[series.group]) if series.moved else FEWEST


def origins_of(series: Series, many: int) -> list[int]:
    """The cells from which forecasts are made: seen, with enough before them and something after them."""
    seen = np.flatnonzero(np.isfinite(series.prices))
    if not len(seen):
        return []
    fit = seen[(seen >= seen[0] + _WARM_UP) & (seen < seen[-1])]
    known = np.searchsorted(seen, fit, side="right") - np.searchsorted(seen, fit - 672, side="right")
    fit = fit[known >= FEWEST]
    return sorted({int(fit[at]) for at in np.linspace(0, len(fit) - 1, many).astype(int)}) if len(fit) else []


def _stands_still(said: PriceForecast) -> bool:
    return all(hour.low95 == hour.price == hour.high95 == said.last for hour in said.hours)


def _scores(series: Series, cell: int, said: PriceForecast) -> Iterator[_Score]:
    if said.answer is Answer.NOT_ENOUGH or said.last is None:
        return
    recent = series.prices[max(0, cell - 167) : cell + 1]
    scale = float(np.nanmean(recent))
    led = {each.lead: each.model != LAST_PRICE for each in said.skills}
    for lead, (first, final) in WINDOWS.items():
        came = series.prices[cell + first : cell + final + 1]
        known = np.flatnonzero(np.isfinite(came))
        if not len(known):
            continue
        told = [said.hours[first - 1 + at] for at in known]
        price = came[known]
        low80, high80 = np.array([h.low80 for h in told]), np.array([h.high80 for h in told])
        low95, high95 = np.array([h.low95 for h in told]), np.array([h.high95 for h in told])
        yield _Score(
            lead=lead,
            own=float(np.abs(price - [h.price for h in told]).mean()) / scale,
            last=float(np.abs(price - said.last).mean()) / scale,
            inside80=float(_inside(price, low80, high80).mean()),
            inside95=float(_inside(price, low95, high95).mean()),
            width80=float((high80 - low80).mean()) / scale,
            width95=float((high95 - low95).mean()) / scale,
            led=led[lead],
        )


def _inside(price: "np.ndarray", low: "np.ndarray", high: "np.ndarray") -> "np.ndarray":
    slack = 1e-9 * price
    return (price >= low - slack) & (price <= high + slack)


def _row(group: str, lead: int, found: list[list[_Score]]) -> BacktestRow:
    own = sum(_mean(score.own for score in each) for each in found)
    last = sum(_mean(score.last for score in each) for each in found)
    flat = [score for each in found for score in each]
    return BacktestRow(
        group=group,
        lead=lead,
        series=len(found),
        scored=len(flat),
        mae=own / last if last else None if own else 1.0,
        cover80=_mean(score.inside80 for score in flat),
        cover95=_mean(score.inside95 for score in flat),
        width80=_mean(score.width80 for score in flat),
        width95=_mean(score.width95 for score in flat),
        led=_mean(float(score.led) for score in flat),
    )


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
