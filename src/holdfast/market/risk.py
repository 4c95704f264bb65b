"""Learn from histories how likely losses are, and say where a place stands now.

What is learnt is a `policy.interruption.Model`: a few numbers that workflows can compute with.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.policy.interruption import (
    HOUR,
    STOCK,
    USUALLY_UP,
    Model,
    Past,
    Span,
    Weights,
    past,
    reliability,
    risk,
    signs,
)

LATELY: Final = timedelta(days=3)
"""What a zone's reliability is measured on."""
WARM_UP: Final = 24 * HOUR
"""Of each history: until then too little is known to learn from."""
_RIDGE: Final = 10.0  # in observations of one standard deviation; chosen on the zones and weeks that STOCK learnt from
_STEPS: Final = 50  # passes over the coordinates; it settles within ten
_KNOTS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # hours; the hazard falls by even factors

_LEAST_HOURS: Final = 50  # of running machines, to learn from
_LEAST_LOSSES: Final = 5

Floats = NDArray[np.float64]


class TooLittle(Exception):
    """The histories hold too few losses to learn from. `remedy` says what to do."""

    remedy = "give longer histories, or those of more zones"


@dataclass(frozen=True, kw_only=True)
class History:
    """Whether an interruptible machine could be had in a zone, sample by sample."""

    zone: str
    tick: timedelta  # between two samples
    up: Sequence[bool]

    def spans(self) -> list[Span]:
        """The same as stretches; a sample stands for the tick that it begins."""
        found, at = [], 0
        for up, run in groupby(self.up):
            until = at + sum(1 for _ in run)
            found.append(Span(at * self.tick, until * self.tick, up))
            at = until
        return found


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A machine that ran, what was known then, and what came of it."""

    zone: str
    at: timedelta
    past: Past
    left: timedelta  # until it was lost, or until the history ends
    lost: bool  # False: the history ended first

    def lost_within(self, span: timedelta) -> bool | None:
        """None: nobody saw."""
        if self.lost and self.left <= span:
            return True
        return False if self.left >= span else None


@dataclass(frozen=True, kw_only=True)
class ZoneRisk:
    """Where a zone stands at one moment."""

    zone: str
    up: bool  # an interruptible machine can be had there
    age: timedelta  # since it came up or went down, or since it was first watched
    hour: float | None  # the chance of a loss within so long from now; None: it is down
    six_hours: float | None
    day: float | None
    reliability: float  # share of the time that it will be up, by the last three days
    losses: int  # of the last week


def stands(history: History, *, model: Model = STOCK) -> ZoneRisk:
    """How likely a machine that runs in a zone when its history ends is to be taken back.

    Raises:
        TooLittle: the history is empty.
    """
    if not history.up:
        raise TooLittle(f"{history.zone}: the history is empty")
    spans, now = history.spans(), len(history.up) * history.tick
    up = spans[-1].up
    found = risk(past(spans, now), model) if up else None
    lately = history.up[-max(1, round(LATELY / history.tick)) :]
    watched = len(lately) * history.tick
    lost = (low.since for high, low in pairwise(spans) if high.up)
    return ZoneRisk(
        zone=history.zone,
        up=up,
        age=now - spans[-1].since,
        hour=None if found is None else round(found.hour, 4),
        six_hours=None if found is None else round(found.six_hours, 4),
        day=None if found is None else round(found.day, 4),
        reliability=round(reliability(up=sum(lately) * history.tick, watched=watched, believed=USUALLY_UP), 4),
        losses=sum(now - at <= timedelta(days=7) for at in lost),
    )


def moments(
    history: History, *, since: timedelta = WARM_UP, until: timedelta | None = None, every: timedelta = HOUR
) -> Iterator[Moment]:
    """Every so often at which a machine ran. Nothing after `until` is looked at; all before `since` is the past."""
    end = len(history.up) * history.tick if until is None else until
    spans = history.spans()
    ends = [(min(span.until, end), span.up and span.until < end) for span in spans]
    place, step = 0, 0
    while (tick := round(step * every / history.tick)) * history.tick < end:
        at, step = tick * history.tick, step + 1
        while place + 1 < len(spans) and spans[place].until <= at:
            place += 1
        if at < since or not spans[place].up:
            continue
        # The sample at this moment has been seen, so it belongs to the past.
        seen = at + history.tick
        known = past(spans[: place + 1], min(seen, spans[place].until))
        yield Moment(zone=history.zone, at=at, past=known, left=ends[place][0] - at, lost=ends[place][1])


def learn(histories: Iterable[History], *, share: float = 1.0) -> Model:
    """A model from the first `share` of each history.

    Raises:
        TooLittle: there are too few losses.
    """
    found: list[Moment] = []
    lives: list[tuple[float, bool]] = []
    for history in histories:
        until = share * len(history.up) * history.tick
        found += moments(history, until=until)
        lives += _lives(history, until)
    return Model(
        hour=_weights(found, HOUR),
        six_hours=_weights(found, 6 * HOUR),
        lived=_lived(lives),
    )


def _weights(found: Sequence[Moment], within: timedelta) -> Weights:
    """Logistic regression, drawn to nothing by a little."""
    told = [(signs(each.past), lost) for each in found if (lost := each.lost_within(within)) is not None]
    came: Floats = np.array([lost for _, lost in told], dtype=np.float64)
    losses = sum(lost for _, lost in told)
    if len(told) < _LEAST_HOURS or not _LEAST_LOSSES <= losses <= len(told) - _LEAST_LOSSES:
        raise TooLittle(f"{losses} losses within {within / HOUR:g} h in {len(told)} hours of running machines")
    values = np.array([each for each, _ in told])
    middle, spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    table: Floats = np.column_stack([np.ones(len(told)), (values - middle) / spread])
    fitted = _fit(table, came)
    of = fitted[1:] / spread
    return Weights(base=round(float(fitted[0] - of @ middle), 4), of=tuple(round(float(each), 4) for each in of))


def _fit(table: Floats, lost: Floats) -> Floats:
    from statsmodels.genmod.families import Binomial  # noqa: PLC0415 (half a second, for whoever learns alone)
    from statsmodels.genmod.generalized_linear_model import GLM  # noqa: PLC0415 (likewise)

    drawn = np.array([0.0] + [_RIDGE / len(lost)] * (table.shape[1] - 1))  # the base is free
    fitted = GLM(lost, table, family=Binomial()).fit_regularized(alpha=drawn, L1_wt=0.0, maxiter=_STEPS)
    return np.asarray(fitted.params, dtype=np.float64)


def _lives(history: History, until: timedelta) -> Iterator[tuple[float, bool]]:
    """Ages in hours, and whether they ended with a loss; the life under way at the beginning is of unknown age."""
    for span in history.spans():
        if span.up and timedelta() < span.since < until:
            yield (min(span.until, until) - span.since) / HOUR, span.until < until


def _lived(lives: Sequence[tuple[float, bool]]) -> tuple[tuple[float, float], ...]:
    """Kaplan and Meier's estimate at a few ages, as hazard summed up."""
    from statsmodels.duration.survfunc import SurvfuncRight  # noqa: PLC0415 (as above)

    ages: Floats = np.array([age for age, _ in lives], dtype=np.float64)
    ended = np.array([lost for _, lost in lives], dtype=np.int64)
    found: list[tuple[float, float]] = []
    if ended.any():
        curve = SurvfuncRight(ages, ended)
        for knot in _KNOTS:
            if (ages > knot).sum() < _LEAST_LOSSES and len(found) > 1:
                break  # the tail of a few says little; the line before goes on
            seen = int(np.searchsorted(curve.surv_times, knot, side="right"))
            lived = float(curve.surv_prob[seen - 1]) if seen else 1.0
            found.append((knot, round(-math.log(max(lived, 0.5 / len(ages))), 4)))
    found = [each for each in found if each[1] > 0]
    found = [found[0], *(late for early, late in pairwise(found) if late[1] > early[1])] if found else []
    if len(found) < 2:
        raise TooLittle(f"{int(ended.sum())} losses of machines whose age is known")
    return tuple(found)
