"""Which forecaster is in charge, lead by lead, on the errors that it really made on this very series.

The last price stays in charge unless another one
- was better by `GAIN` or more, errors of the last weeks counting most, and after `DOUBT` standard errors are taken off,
- was no worse in the first half of the record, and no worse in the second,
- on a price that moves at all: `MOVES` changes or more,
- and while the choices made so far, each on what was known then, have lost nothing at this lead, and have saved `GAIN`
  of the error at one lead or another.

Long leads have few independent errors in four weeks. What is chosen there goes only a part of the way from the last
price: n/(n + `CAUTION`), where n is how many times the lead fits into the record.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.market.candidates import LEADS, TREND, Field, Floats

GAIN: Final = 0.03
DOUBT: Final = 0.05
MOVES: Final = 12
CAUTION: Final = 0.5
PROVEN: Final = 12
"""The first so many of `LEADS`, up to 72 hours, can prove the selector; at longer ones chance looks like skill."""
LENT: Final = 36
"""Leads of so many hours and more may follow a shorter one while they have no record of their own."""
WARM_UP: Final = 24
"""Hours at the start of the history whose forecasts are not judged."""
ENOUGH: Final = 24
"""Errors that a lead needs before anything but the last price may lead there."""
_HALF_LIFE: Final = 336.0
_NOTHING: Final = 1e-12
"""USD; the least error that anything is compared with."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the selector would have said at every hour, and how wrong it was.

    `chosen[t, k]` is the candidate in charge at hour `t` for `LEADS[k]`, `path[t, k]` the log price it said,
    `gain[c, k]` by how much each candidate beats the last price at the last hour (1 is all of its error), and
    `missed[t, k]` the log of the price at hour `t` over what was said for it `LEADS[k]` hours before (`nan` if unseen).
    """

    chosen: NDArray[np.intp]
    path: Floats
    gain: Floats
    missed: Floats
    own_error: Floats
    last_error: Floats


def record(field: Field) -> Record:
    """The selector run over the whole window; its last row is the forecast."""
    errors = _errors(field)
    known = np.isfinite(errors[0])
    gain, fit = _gains(np.nan_to_num(errors), known)
    moved = _changes(field.log) >= MOVES
    good = np.where(fit & moved[None, :, None], gain, -np.inf)
    good[0] = GAIN * (1 - 1e-9)  # ties go to the last price
    chosen = np.argmax(good, axis=0)
    _borrow(chosen, known.cumsum(axis=0), field)
    rows, leads = np.ogrid[: chosen.shape[0], : chosen.shape[1]]
    share = _share(known)
    last = field.paths[0]
    tried = last + _smoothed(share * (field.paths[chosen, rows, leads] - last), chosen > 0)
    trusted = _trusted(_far(field, tried), errors[0])
    chosen = np.where(trusted, chosen, 0)
    path = np.where(trusted, tried, last)
    return Record(
        chosen=chosen,
        path=path,
        gain=gain[:, -1],
        missed=field.log[:, None] - _delayed(path),
        own_error=_far(field, path),
        last_error=errors[0],
    )


def _borrow(chosen: NDArray[np.intp], count: NDArray[np.intp], field: Field) -> None:
    """A long lead without a record follows the next shorter one where a mean leads there; a trend does not last."""
    lasting = np.array([not name.startswith(TREND) for name in field.names])
    for k in range(int(np.searchsorted(LEADS, LENT)), len(LEADS)):
        shorter = np.where(lasting[chosen[:, k - 1]], chosen[:, k - 1], 0)
        chosen[:, k] = np.where(count[:, k] < ENOUGH, shorter, chosen[:, k])


def _smoothed(away: Floats, led: NDArray[np.bool_]) -> Floats:
    """The way from the last price, each lead with a part of its neighbours' where those are led too: no jagged path."""
    total, weight = np.where(led, 2.0 * away, 0.0), np.where(led, 2.0, 0.0)
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        both = led[:, here] & led[:, there]
        total[:, here] += np.where(both, away[:, there], 0.0)
        weight[:, here] += both
    return np.where(led, total / np.maximum(weight, 1.0), 0.0)


def _delayed(paths: Floats) -> Floats:
    """What was said `LEADS[k]` hours before each hour; `nan` where that is before the history, or in its warm-up."""
    late = np.full_like(paths, np.nan)
    hours = paths.shape[-2]
    for k, lead in enumerate(LEADS):
        if lead + WARM_UP < hours:
            late[..., lead + WARM_UP :, k] = paths[..., WARM_UP : hours - lead, k]
    return late


def _errors(field: Field) -> Floats:
    """`errors[c, t, k]`: how far off each candidate was at hour `t` with what it said `LEADS[k]` hours before."""
    return _far(field, field.paths)


def _far(field: Field, paths: Floats) -> Floats:
    """In USD; `nan` where nothing was said, or nobody looked."""
    far: Floats = np.abs(np.exp(field.log)[:, None] - np.exp(_delayed(paths)))
    return far


def _trusted(own: Floats, last: Floats) -> NDArray[np.bool_]:
    """Whether the selector's own choices are to be followed, hour by hour and lead by lead; else the last price stays.

    They have lost nothing so far at this lead, and have saved `GAIN` of the error at one lead or another.
    """
    saved, whole = np.nan_to_num(last - own).cumsum(axis=0), np.nan_to_num(last).cumsum(axis=0)
    proven = (saved >= GAIN * whole) & (saved > 0)
    follow: NDArray[np.bool_] = (saved >= 0) & proven[:, :PROVEN].any(axis=1, keepdims=True)
    return follow


def _gains(errors: Floats, known: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """By how much each candidate beats the last price, hour by hour, doubt taken off; and whether it may lead."""
    hours = known.shape[0]
    count = known.cumsum(axis=0)
    fresh = 2.0 ** (np.arange(hours) / _HALF_LIFE)[:, None]
    weights = np.maximum((known * fresh).cumsum(axis=0), 1.0)
    mean = (errors * fresh).cumsum(axis=1) / weights
    better = errors[0] - errors
    total = better.cumsum(axis=1)
    half = np.arange(hours) // 2
    steady = (total[:, half] >= 0) & (total - total[:, half] >= 0)
    n = np.maximum(count, 1)
    spread = np.sqrt(np.maximum((better**2).cumsum(axis=1) / n - (total / n) ** 2, 0.0))
    scale = np.maximum(mean[0], _NOTHING)
    doubt = DOUBT * spread / np.sqrt(_independent(known))
    gain = np.clip((mean[0] - mean - doubt) / scale, -1e6, 1.0)
    return gain, (gain >= GAIN) & steady & (count >= ENOUGH)


def _independent(known: NDArray[np.bool_]) -> Floats:
    """How many errors of each lead do not overlap, hour by hour; at least one."""
    hours = np.arange(known.shape[0])[:, None]
    first = np.where(known.any(axis=0), known.argmax(axis=0), known.shape[0])
    many: Floats = np.clip((hours - first) / LEADS, 1.0, np.maximum(known.cumsum(axis=0), 1))
    return many


def _share(known: NDArray[np.bool_]) -> Floats:
    many = _independent(known)
    share: Floats = many / (many + CAUTION)
    return share


def _changes(log: Floats) -> NDArray[np.intp]:
    """How often the price has changed, up to each hour."""
    seen = np.flatnonzero(np.isfinite(log))
    changed = np.zeros(len(log), dtype=np.intp)
    changed[seen[1:]] = np.abs(np.diff(log[seen])) > 1e-12
    return changed.cumsum()
