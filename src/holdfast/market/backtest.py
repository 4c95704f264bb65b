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
from numpy.typing import NDArray

from holdfast.contracts.forecasts import ForecastAnswer
from holdfast.market.candidates import LAST_PRICE, Floats
from holdfast.market.forecast import PriceForecast, forecast
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
    """One group at one lead. `mae` is a share of the last price's error; widths are shares of the price."""

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
    still: float  # how often the price was the last price: a range of no width would have held so often


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """`flat` counts series that never moved, `flat_held` those of them whose forecasts were that price exactly."""

    rows: tuple[BacktestRow, ...]
    series: int
    forecasts: int
    flat: int
    flat_held: int
    left_out: int
    cpu_median: float | None  # seconds of one forecast: fit, path and ranges; None: there was none
    cpu_p95: float | None

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
    still: float


@dataclass(kw_only=True)
class _Tally:
    """What has been found so far; `scores` by group and lead, one list for each series."""

    scores: dict[tuple[str, int], list[list[_Score]]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)
    flat: int = 0
    flat_held: int = 0
    left_out: int = 0

    def add(self, series: Series, cells: Sequence[int]) -> None:
        made = [(cell, self._timed(series.until(cell))) for cell in cells]
        if not series.moved:
            self.flat += 1
            self.flat_held += all(_stands_still(said) for _, said in made)
            return
        by_lead: dict[int, list[_Score]] = defaultdict(list)
        for cell, said in made:
            for score in _scores(series, cell, said):
                by_lead[score.lead].append(score)
        for lead, found in by_lead.items():
            self.scores[series.group, lead].append(found)

    def _timed(self, series: Series) -> PriceForecast:
        before = time.process_time()
        said = forecast(series)
        self.seconds.append(time.process_time() - before)
        return said


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
    tally = _Tally()
    for done, each in enumerate(series):
        tell(str(each.key), done, len(series))
        cells = origins_of(each, origins or _origins(each, sizes))
        if len(cells) < FEWEST:
            tally.left_out += 1
        else:
            tally.add(each, cells)
    middle, high = np.quantile(tally.seconds, [0.5, 0.95]) if tally.seconds else (None, None)
    return Backtest(
        rows=tuple(_row(*key, tally.scores[key]) for key in sorted(tally.scores)),
        series=len(series) - tally.left_out,
        forecasts=len(tally.seconds),
        flat=tally.flat,
        flat_held=tally.flat_held,
        left_out=tally.left_out,
        cpu_median=None if middle is None else float(middle),
        cpu_p95=None if high is None else float(high),
    )


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
    if said.answer is ForecastAnswer.NOT_ENOUGH or said.last is None:
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
            still=float(_inside(price, said.last, said.last).mean()),
        )


def _inside(price: Floats, low: Floats | float, high: Floats | float) -> NDArray[np.bool_]:
    slack = 1e-9 * price
    return np.logical_and(price >= low - slack, price <= high + slack)


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
        still=_mean(score.still for score in flat),
    )


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
