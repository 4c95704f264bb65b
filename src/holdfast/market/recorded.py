"""From the prices on record to series: one for each of the records', and the cheapest of several."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import numpy as np

from holdfast.contracts.machines import Terms
from holdfast.contracts.market import MarketPoint
from holdfast.market.series import HOUR, WINDOW, Series, SeriesKey, on_grid

LOOKED_BACK: Final = timedelta(hours=WINDOW)
"""Older prices are not looked at."""
FRESH: Final = timedelta(hours=3)
"""Prices that are older say nothing of now."""
MEASURES: Final = {"min": "minimum", "median": "median", "p10": "p10", "p25": "p25", "p75": "p75", "p90": "p90"}
"""Which of the prices of a point; of imported ones some are not known."""
KINDS: Final = {Terms.INTERRUPTIBLE: "spot", Terms.ON_DEMAND: "on_demand"}
"""As files of prices name them."""
KNOWN_FOR: Final = 6
"""Hours for which a provider that did not answer is taken to ask what it asked last."""


def series_of(points: Iterable[MarketPoint], *, until: datetime | None = None, measure: str = "min") -> list[Series]:
    """The lowest price of each series by the hour, or another of `MEASURES`; a point of more than an hour is left out.

    With `until` a series goes on to that hour: what nobody has looked at since its last price is a gap.
    """

    def key(point: MarketPoint) -> SeriesKey:
        return _key(point, measure)

    name = MEASURES[measure]
    hourly = [
        each for each in points if each.span <= timedelta(hours=1) and not each.held and getattr(each, name) is not None
    ]
    hourly.sort(key=lambda each: (key(each), each.at))
    return [
        _until(on_grid(one, [(each.at, float(getattr(each, name))) for each in theirs]), until)
        for one, theirs in groupby(hourly, key=key)
    ]


def cheapest(found: Sequence[Series]) -> Series | None:
    """What the cheapest of several asked, hour by hour. None: there is none.

    One that is silent for a few hours is taken to ask what it did before: else each gap of the cheapest would look as
    if prices had risen. An hour in which nobody was seen stays a gap.
    """
    if not found:
        return None
    first, last = min(each.first for each in found), max(each.last for each in found)
    length = (last - first) // HOUR + 1
    rows = np.full((len(found), length), np.nan)
    for row, each in zip(rows, found, strict=True):
        begin = (each.first - first) // HOUR
        row[begin : begin + len(each.prices)] = each.prices
    seen = np.isfinite(rows).any(axis=0)
    prices = np.full(length, np.nan)
    prices[seen] = np.nanmin(_held(rows)[:, seen], axis=0)
    key = found[0].key if len(found) == 1 else SeriesKey(gpu=found[0].key.gpu, kind=found[0].key.kind)
    return replace(found[0], key=key, first=first, prices=prices)


def _until(series: Series, end: datetime | None) -> Series:
    more = 0 if end is None else (end - series.last) // HOUR
    return series if more <= 0 else replace(series, prices=np.concatenate([series.prices, np.full(more, np.nan)]))


def _held(
    rows: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    held = rows.copy()
    for back in range(1, KNOWN_FOR + 1):
        before = np.full_like(rows, np.nan)
        before[:, back:] = rows[:, :-back]
        held = np.where(np.isfinite(held), held, before)
    return held


def _key(point: MarketPoint, measure: str) -> SeriesKey:
    return SeriesKey(
        gpu=point.gpu, provider=point.provider, region=point.region, kind=KINDS[point.kind], measure=measure
    )
