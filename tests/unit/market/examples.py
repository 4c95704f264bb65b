"""Prices made to a pattern, by the hour."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from holdfast.market.series import Series, SeriesKey

DATA = Path(__file__).parent / "data"
REAL = DATA / "vast_runpod_2026.csv"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def series(prices: Sequence[float], *, gpu: str = "H100", group: str = "made") -> Series:
    return Series(key=SeriesKey(gpu=gpu), first=BEGIN, prices=np.asarray(prices, dtype=float), group=group)


def reverting(hours: int = 672, *, seed: int = 7) -> Series:
    """A price that is 2 USD in the long run, with noise that is gone within the hour: the last price errs most."""
    return series(2.0 * np.exp(0.15 * np.random.default_rng(seed).standard_normal(hours)))


def walking(hours: int = 672, *, seed: int = 7) -> Series:
    """A price whose every change stays: nothing can beat the last price."""
    return series(2.0 * np.exp(0.02 * np.random.default_rng(seed).standard_normal(hours).cumsum()))


def trending(hours: int = 672) -> Series:
    """A price that goes the same way each hour for days on end, and then the other way."""
    days = np.repeat(np.resize([0.002, -0.002], hours // 96 + 1), 96)[:hours]
    return series(2.0 * np.exp(days.cumsum()))


def swinging(hours: int = 672) -> Series:
    """Dear for 8 hours, cheap for 4, over and over."""
    return series(np.resize([2.0] * 8 + [1.0] * 4, hours))
