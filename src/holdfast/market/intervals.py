"""Ranges that hold: conformal intervals on the selector's own past errors.

No shape is assumed. The range of a lead is cut from the errors that were really made at that lead on this series; they
count half after a week, so the range widens when the market grows wild and narrows when it calms. Errors at long leads
overlap, so few of them are independent: the fewer, the further out the range is cut, and the wider it is made.
"""

from typing import Final

import numpy as np

from holdfast.market.candidates import LEADS, Floats
from holdfast.market.series import carried

LEVELS: Final = (0.80, 0.95)
_HALF_LIFE: Final = 168.0
_OUTWARD: Final = 0.4
_WIDER: Final = 2.0
_FEW: Final = 4
_MOST: Final = float(np.log(3.0))
"""How far beyond the prices seen a range may reach: three times the highest, a third of the lowest."""


def intervals(path: Floats, missed: Floats, log: Floats) -> Floats:
    """`edges[level, side, k]`: the log price below and above `path[k]`, for each of `LEVELS`."""
    seen = log[np.isfinite(log)]
    away = np.empty((len(LEVELS), 2, len(LEADS)))
    for k, lead in enumerate(LEADS):
        hours = np.flatnonzero(np.isfinite(missed[:, k]))
        errors = missed[hours, k]
        ages: Floats = (len(missed) - 1 - hours).astype(float)
        if len(errors) < _FEW:  # what the price changed by stands in
            errors = _changes(log, int(lead))
            ages = np.zeros(len(errors))
        many = max(1.0, min(len(errors), len(missed) / lead))
        for row, level in enumerate(LEVELS):
            tail = (1 - level) / 2 / (1 + _OUTWARD / np.sqrt(many))
            below, above = _quantiles(errors, 0.5 ** (ages / _HALF_LIFE), (tail, 1 - tail))
            wider = 1 + _WIDER / many
            away[row, :, k] = wider * min(below, 0.0), wider * max(above, 0.0)
    away[..., 1:-1] = (away[..., :-2] + 2 * away[..., 1:-1] + away[..., 2:]) / 4  # no jagged edges
    return np.clip(path + away, min(seen.min() - _MOST, path.min()), max(seen.max() + _MOST, path.max()))


def _changes(log: Floats, lead: int) -> Floats:
    """What the price changed by over `lead` hours, up and down alike: a few hours do not tell which way it goes.

    Where less than twice as many hours are on record, changes over half of these stand for it.
    """
    seen = np.flatnonzero(np.isfinite(log))
    lag = max(1, min(lead, int(seen[-1] - seen[0]) // 2))
    changes = log[lag:] - carried(log)[:-lag]
    changes = changes[np.isfinite(changes)]
    return np.concatenate((changes, -changes, [0.0]))


def _quantiles(values: Floats, weights: Floats, at: tuple[float, float]) -> tuple[float, float]:
    order = np.argsort(values)
    share = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    low, high = np.interp(at, share, values[order])
    return float(low), float(high)
