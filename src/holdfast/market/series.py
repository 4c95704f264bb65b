"""Prices by the hour: one cell for each hour, the last price in (t - 1 h, t], and nothing where nobody looked.

A cell that was not seen is `nan` and stays so: a forecast is never scored on a price that was only carried forward. A
stream of events is another matter, because there a price holds until the next one: `holds=True` carries it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.market.errors import BadHistory

Prices = NDArray[np.float64]
HOUR: Final = timedelta(hours=1)
WINDOW: Final = 672
"""Hours of history that a forecast learns from, at most: four weeks."""
CHEAPEST: Final = 1e-6
DEAREST: Final = 1e6
"""USD an hour; what lies outside is no price of a machine."""
LONGEST: Final = 24 * 366 * 6
"""Hours between the first price and the last; more is a clock that jumped."""
NO_PRICE: Final = f"a price is between {CHEAPEST:g} and {DEAREST:g} USD an hour"
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, order=True)
class SeriesKey:
    """What a price is the price of. `measure` is which of several offers' prices: `min`, `median` and so on."""

    gpu: str
    provider: str = ""
    region: str = ""
    kind: str = ""
    measure: str = "min"

    def __str__(self) -> str:
        return " ".join(each for each in (self.gpu, self.provider, self.region, self.kind, self.measure) if each)


@dataclass(frozen=True, kw_only=True)
class Series:
    """One price by the hour, USD an hour, `nan` where nobody looked. `first` is the end of the first cell."""

    key: SeriesKey
    first: datetime
    prices: Prices
    group: str = ""

    @property
    def last(self) -> datetime:
        """The end of the last cell."""
        return self.first + (len(self.prices) - 1) * HOUR

    @property
    def seen(self) -> int:
        """Hours in which somebody looked."""
        return int(np.isfinite(self.prices).sum())

    @property
    def moved(self) -> bool:
        """Whether the price ever changed."""
        known = self.prices[np.isfinite(self.prices)]
        return bool(len(known)) and bool((known != known[0]).any())

    def until(self, cell: int) -> "Series":
        """What was known when the cell ended, at most `WINDOW` hours of it."""
        begin = max(0, cell + 1 - WINDOW)
        return replace(self, first=self.first + begin * HOUR, prices=self.prices[begin : cell + 1])


def on_grid(
    key: SeriesKey, points: Iterable[tuple[datetime, float]], *, group: str = "", holds: bool = False
) -> Series:
    """Put prices into their hours. They may come in any order; of two at one moment the later in the list counts.

    Raises:
        BadHistory: no price at all, one that is not above zero, or times so far apart that a clock must have jumped.
    """
    ordered = sorted(points, key=lambda point: point[0])
    if not ordered:
        raise BadHistory(f"{key}: there is no price")
    cells = [cell_of(moment) for moment, _ in ordered]
    length = cells[-1] - cells[0] + 1
    if length > LONGEST:
        why = f"{key}: prices from {ordered[0][0]:%Y-%m-%d} to {ordered[-1][0]:%Y-%m-%d}"
        raise BadHistory(why, remedy="a clock has jumped: take out the times that cannot be true")
    prices = np.full(length, np.nan)
    for cell, (moment, price) in zip(cells, ordered, strict=True):
        if not is_price(price):
            raise BadHistory(f"{key}: {price} at {moment:%Y-%m-%d %H:%M} is no price", remedy=NO_PRICE)
        prices[cell - cells[0]] = price
    first = _ZERO + cells[0] * HOUR
    return Series(key=key, first=first, prices=carried(prices) if holds else prices, group=group)


def is_price(price: float) -> bool:
    return CHEAPEST <= price <= DEAREST


def cell_of(moment: datetime) -> int:
    """The number of the hour (t - 1 h, t] that a moment lies in; the same for every series."""
    return -((_ZERO - moment) // HOUR)


def carried(prices: Prices) -> Prices:
    """Each gap filled with the price before it; cells before the first price stay `nan`."""
    at = np.where(np.isfinite(prices), np.arange(len(prices)), 0)
    np.maximum.accumulate(at, out=at)
    return prices[at]
