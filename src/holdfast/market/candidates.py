"""The forecasters, all cheap, each as the paths it would have given from every past hour at once.

Every one is causal: row `t` uses prices up to hour `t` alone. That lets the champion be chosen, and the intervals be
measured, on errors that would really have been made. They work on the logarithm of the price, so no path can leave the
positive numbers, and none goes further beyond the prices seen so far than `_REACH`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.market.series import Prices, carried

Floats = NDArray[np.float64]
LEADS: Final = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 120, 144, 168])
"""The leads in hours at which champions are chosen; a path runs straight between two of them."""
LAST_PRICE: Final = "last price"
TREND: Final = "damped trend"
_REACH: Final = float(np.log(1.5))
_DAMPING: Final = 0.98


@dataclass(frozen=True, kw_only=True)
class Field:
    """Every candidate's past: `paths[c, t, k]` is the log price given at hour `t` for `LEADS[k]` hours later.

    The first candidate is the last price. `log` is the log price by the hour, `nan` where nobody looked.
    """

    names: tuple[str, ...]
    paths: Floats
    log: Floats


def candidates(prices: Prices) -> Field:
    """All candidates on a window whose first cell was seen."""
    log = np.log(prices)
    last = carried(log)
    smooth = _smoothed(log, 6.0)
    medians = {span: _rolling_median(log, span) for span in (72, 168)}
    month = _rolling_mean(log, 672)
    paths = {
        LAST_PRICE: _flat(last),
        "mean of a day": _flat(_rolling_mean(log, 24)),
        "smoothed price": _flat(smooth),
        "median of a week": _flat(medians[168]),
        "mean of a month": _flat(month),
        "fast return to the median of 3 days": _returning(last, medians[72], 6),
        "slow return to the median of 3 days": _returning(last, medians[72], 48),
        "fast return to the median of a week": _returning(last, medians[168], 6),
        "slow return to the median of a week": _returning(last, medians[168], 48),
        "fast return to the mean of a month": _returning(last, month, 6),
        "slow return to the mean of a month": _returning(last, month, 48),
        "smoothed return to the median of a week": _returning(smooth, medians[168], 24),
        f"{TREND} of 12 hours": _trend(last, 12),
        f"{TREND} of 2 days": _trend(last, 48),
        f"{TREND} of a week": _trend(last, 168),
    }
    floor = (np.minimum.accumulate(last) - _REACH)[:, None]
    ceiling = (np.maximum.accumulate(last) + _REACH)[:, None]
    stacked = np.stack([np.clip(each, floor, ceiling) for each in paths.values()])
    return Field(names=tuple(paths), paths=stacked, log=log)


def _flat(level: Floats) -> Floats:
    return np.broadcast_to(level[:, None], (len(level), len(LEADS)))


def _returning(level: Floats, mean: Floats, life: float) -> Floats:
    """From a level back to a mean, half the way in `life` hours."""
    return mean[:, None] + (level - mean)[:, None] * 0.5 ** (LEADS / life)


def _trend(last: Floats, span: int) -> Floats:
    """The slope of the last `span` hours, going on ever more slowly."""
    slope = (last - last[np.maximum(np.arange(len(last)) - span, 0)]) / span
    reach = _DAMPING * (1 - _DAMPING**LEADS) / (1 - _DAMPING)
    return last[:, None] + slope[:, None] * reach


def _rolling_mean(log: Floats, span: int) -> Floats:
    """The mean of what was seen in the last `span` hours; where nothing was, the mean before."""
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(log))])
    count = np.concatenate([[0], np.cumsum(np.isfinite(log))])
    begin = np.maximum(np.arange(1, len(total)) - span, 0)
    many = count[1:] - count[begin]
    return carried(np.where(many > 0, (total[1:] - total[begin]) / np.maximum(many, 1), np.nan))


def _rolling_median(log: Floats, span: int) -> Floats:
    padded = np.concatenate([np.full(span - 1, np.nan), log])
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(padded, span), axis=1)  # nan comes last
    many = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(log))
    middle = (ordered[rows, np.maximum(many - 1, 0) // 2] + ordered[rows, np.minimum(many // 2, span - 1)]) / 2
    return carried(np.where(many > 0, middle, np.nan))


def _smoothed(log: Floats, life: float) -> Floats:
    """An exponential mean of what was seen; a price counts half after `life` hours."""
    fade = 0.5 ** (1 / life)
    smooth, weight, out = 0.0, 0.0, np.empty_like(log)
    for hour, price in enumerate(log.tolist()):
        smooth, weight = smooth * fade, weight * fade
        if price == price:  # noqa: PLR0124 (nan is not equal to itself, and this loop is the hot one)
            smooth, weight = smooth + price, weight + 1.0
        out[hour] = smooth / weight
    return out
