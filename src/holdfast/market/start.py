"""Start now, or wait for a better price: a stop rule, decided anew each hour.

The prices of the last four weeks become a Markov chain: a few levels, and how often one followed another within an
hour, recent hours counting most. Backward from the last hour in which a start is still in time, each level has a value:
start here, or wait and expect the best that follows. The rule waits only where that promises `GAIN` or more, and only
where paying more in the end is unlikely enough (`RISK`); otherwise it starts. Picking the best hour of a forecast loses
money; this rule does not need to know the hour, only that lower prices come by often enough.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.market.candidates import Floats
from holdfast.market.forecast import ENOUGH, FRESH
from holdfast.market.series import HOUR, Prices, Series, SeriesKey, carried

GAIN: Final = 0.03
RISK: Final = 0.35
LONGEST: Final = 168
"""Hours of waiting that are looked at; a later deadline is decided as if it were there."""
_LEVELS: Final = 15
_HALF_LIFE: Final = 336.0
_A_DOZEN: Final = 12.0
_LIKE_ALL: Final = 0.5
"""Hours that a level is taken to have moved as all levels do, beside what was seen of it."""


@dataclass(frozen=True, kw_only=True)
class StartAdvice:
    """What to do at `at`. Prices are USD an hour.

    `reserve`: in the next hour, start at this price or below, and ask again above it. `expected`, `low` and `high` are
    the price that the rule will have paid, in the mean and in 80 % of cases; `chance` is that of paying more than now.
    """

    key: SeriesKey
    at: datetime
    wait: bool
    why: str
    now: float
    until: datetime
    reserve: float
    expected: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class WhenToStart:
    """An advice, and what it comes to for `hours` of work, in USD. Without an advice: too few prices to say; start."""

    advice: StartAdvice | None
    hours: float
    cost_now: float | None
    cost_expected: float | None


@dataclass(frozen=True, kw_only=True)
class _Chain:
    prices: Floats  # by level
    moves: Floats  # [from, to], for one hour
    here: int


def advise(series: Series, *, within: int) -> StartAdvice | None:
    """What to do now, when a start `within` hours is in time. None: not enough prices to say; start."""
    prices = series.until(len(series.prices) - 1).prices
    seen = np.flatnonzero(np.isfinite(prices))
    if len(seen) < ENOUGH or len(prices) - seen[-1] > FRESH:
        return None
    window = prices[seen[0] :]
    now = float(prices[seen[-1]])
    left = min(within, LONGEST)
    until = series.last + left * HOUR
    if left < 1 or (window[np.isfinite(window)] == now).all():
        why = "there is no time left to wait" if left < 1 else "the price has not moved"
        return _start(series, now, until, why)
    chain = _chain(window, now)
    stops = _stops(chain, left)
    paid = _paid(chain, stops)
    expected = float(paid @ chain.prices)
    chance = _careful(float(paid[chain.prices > now * (1 + 1e-9)].sum()), len(window) / left)
    if expected > now * (1 - GAIN):
        return _start(series, now, until, f"waiting promises less than {GAIN:.0%}")
    if chance > RISK:
        return _start(series, now, until, f"a {chance:.0%} chance of paying more is too much")
    low, high = _range(chain.prices, paid)
    fit = chain.prices[stops[-1]]
    return StartAdvice(
        key=series.key,
        at=series.last,
        wait=True,
        why=f"waiting promises {1 - expected / now:.0%}",
        now=now,
        until=until,
        reserve=min(float(fit.max()) if len(fit) else 0.0, now),
        expected=expected,
        low=low,
        high=high,
        chance=chance,
    )  # fmt: skip


def priced(advice: StartAdvice | None, hours: float) -> WhenToStart:
    return WhenToStart(
        advice=advice,
        hours=hours,
        cost_now=None if advice is None else advice.now * hours,
        cost_expected=None if advice is None else advice.expected * hours,
    )


def _start(series: Series, now: float, until: datetime, why: str) -> StartAdvice:
    return StartAdvice(
        key=series.key, at=series.last, wait=False, why=why, now=now, until=until,
        reserve=now, expected=now, low=now, high=now, chance=0.0,
    )  # fmt: skip


def _chain(window: Prices, now: float) -> _Chain:
    path = carried(window)
    levels = np.unique(path)
    if len(levels) > _LEVELS:
        levels = np.unique(np.quantile(path, np.linspace(0, 1, _LEVELS + 1)[1:-1]))
        at = np.searchsorted(levels, path, side="right")
    else:
        at = np.searchsorted(levels, path)
    _, at = np.unique(at, return_inverse=True)
    many = int(at.max()) + 1
    prices = np.bincount(at, weights=path) / np.bincount(at)
    prices[at[-1]] = now
    moves = np.zeros((many, many))
    weights = 0.5 ** (np.arange(len(path))[::-1] / _HALF_LIFE)
    np.add.at(moves, (at[:-1], at[1:]), weights[1:])
    moves += _LIKE_ALL * _typical(moves)
    return _Chain(prices=prices, moves=moves / moves.sum(axis=1, keepdims=True), here=int(at[-1]))


def _typical(moves: Floats) -> Floats:
    """How any level moves: it is left as often as levels are, for those that moves led to. Each row sums to one.

    A level that was never seen before has no moves of its own, and without these it would never be left.
    """
    to = moves.sum(axis=0) - np.diag(moves)
    left = to.sum() / moves.sum()
    elsewhere = np.tile(to, (len(to), 1))
    np.fill_diagonal(elsewhere, 0.0)
    reach = elsewhere.sum(axis=1, keepdims=True)
    away = np.divide(left * elsewhere, reach, out=np.zeros_like(elsewhere), where=reach > 0)
    rows: Floats = away + np.diag(1.0 - away.sum(axis=1))
    return rows


def _stops(chain: _Chain, hours: int) -> list[NDArray[np.bool_]]:
    """`stops[j]`: the levels at which the rule starts when `j` hours are left; in the end at any."""
    value = chain.prices
    stops = [np.ones(len(value), dtype=bool)]
    for _ in range(1, hours):
        later = chain.moves @ value
        stops.append(later > chain.prices * (1 - GAIN))
        value = np.minimum(chain.prices, later)
    return stops


def _paid(chain: _Chain, stops: list[NDArray[np.bool_]]) -> Floats:
    """How likely each level is the one paid, when the first hour is waited out and the rule followed from then on."""
    waiting = np.zeros(len(chain.prices))
    waiting[chain.here] = 1.0
    paid = np.zeros_like(waiting)
    for stop in reversed(stops):
        waiting = waiting @ chain.moves
        paid += np.where(stop, waiting, 0.0)
        waiting = np.where(stop, 0.0, waiting)
    shares: Floats = paid / paid.sum()
    return shares


def _careful(chance: float, stretches: float) -> float:
    """A chance that was learned on few stretches of this length is never stated as none: Laplace's rule.

    Stretches overlap, so even a short history counts as `_A_DOZEN`.
    """
    many = max(stretches, _A_DOZEN)
    return (chance * many + 1) / (many + 2)


def _range(prices: Floats, paid: Floats) -> tuple[float, float]:
    order = np.argsort(prices)
    share = np.cumsum(paid[order])
    low, high = prices[order][np.searchsorted(share, [0.1, 0.9 - 1e-12]).clip(max=len(prices) - 1)]
    return float(low), float(high)
