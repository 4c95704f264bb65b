"""How likely an interruptible machine is to be taken back, by what its place did lately.

Losses do not come evenly: a place that has been up for long is safer than one that has just come up, and losses come in
bulk. So an hour and six hours ahead the chance is a logistic function of the log of the age, of how much of the last 1,
6, 24 and 168 hours the place was up, and of the losses of the last 1 and 6 hours. A day ahead these say less than the
age alone: there it is the share of machines of that age that did not live a day more (Kaplan and Meier).

`STOCK` was learnt from the first half of 45 days of GPU spot machines in six zones; docs/market.md tells how it does on
what it never saw. `market/risk.py` learns others.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final, NamedTuple

HOUR: Final = timedelta(hours=1)
WINDOWS: Final = (HOUR, 6 * HOUR, 24 * HOUR, 168 * HOUR)
LOSS_WINDOWS: Final = (HOUR, 6 * HOUR)
USUALLY_UP: Final = 0.6
"""What share of the time that nobody watched a place is taken to have been up."""
DOWN_AFTER_A_LOSS: Final = HOUR
"""How long a place is taken to be down after a loss: in six zones 0.8 to 3.6 hours on average, mostly half of one."""
_YOUNGEST: Final = timedelta(minutes=3)
_LEAST_LEFT: Final = 1e-6  # of chances and shares, so that logarithms stay finite
USUAL_AGE: Final = 12 * HOUR
"""Of a place that nobody saw come up: half of them are as old when met at a random moment."""


class Span(NamedTuple):
    """Some time that a place was watched for. Times are on any clock that only goes forward."""

    since: timedelta
    until: timedelta
    up: bool  # an interruptible machine ran there, or could be had


class Stay(NamedTuple):
    """One machine that was had in a place."""

    since: timedelta
    until: timedelta
    lost: bool = False  # it was taken back then


class Past(NamedTuple):
    """What is known of a place at one moment."""

    age: timedelta  # since it came up
    up: tuple[float, ...] = (USUALLY_UP,) * len(WINDOWS)  # share of each of `WINDOWS`
    losses: tuple[int, ...] = (0,) * len(LOSS_WINDOWS)  # in each of `LOSS_WINDOWS`


class Risk(NamedTuple):
    """The chance of a loss within so long, from now on."""

    hour: float
    six_hours: float
    day: float

    def within(self, span: timedelta) -> float:
        """Within any span; between and beyond the three, by even hazard."""
        return -math.expm1(-self._hazard(span / HOUR))

    def per_hour(self, span: timedelta) -> float:
        """How many losses an hour are to be expected over `span`, which is longer than nothing."""
        return self._hazard(span / HOUR) / (span / HOUR)

    def _hazard(self, hours: float) -> float:
        """Summed up over so many hours."""
        known = [(0.0, 0.0)]
        known += [
            (at, _hazard_of(chance)) for at, chance in ((1.0, self.hour), (6.0, self.six_hours), (24.0, self.day))
        ]
        for (since, low), (until, high) in pairwise(known):
            if hours <= until or until == known[-1][0]:
                return low + max(0.0, high - low) * (hours - since) / (until - since)
        raise AssertionError("the last stretch has no end")


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a logistic function: one for each of `signs`, and what is added."""

    base: float
    of: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt of losses."""

    hour: Weights
    six_hours: Weights
    # Ages in hours, and minus the log of the share of machines that become so old; both rise.
    lived: tuple[tuple[float, float], ...]


def past(spans: Sequence[Span], now: timedelta) -> Past:
    """What spans in order of time, which do not overlap, say at `now`; later ones say nothing.

    Time between spans was not watched: it counts as up for `USUALLY_UP` of it. It is no end of an age, but where nobody
    watches now an age is no more than that of a place of which nothing is known.
    """
    seen = [span for span in spans if span.since < now]
    if not seen:
        return UNKNOWN
    came_up = next((min(span.until, now) for span in reversed(seen) if not span.up), None)
    lost_at = [low.since for high, low in pairwise(seen) if high.up and not low.up and high.until == low.since]
    # Where nobody saw it come up, it is as old as usual, or as long as it was watched.
    age = max(now - seen[0].since, USUAL_AGE) if came_up is None else max(now - came_up, _YOUNGEST)
    return Past(
        age=age if seen[-1].until >= now else min(age, USUAL_AGE),
        up=tuple(_share_up(seen, now - window, now) for window in WINDOWS),
        losses=tuple(sum(now - window < at <= now for at in lost_at) for window in LOSS_WINDOWS),
    )


def spans_of(stays: Iterable[Stay]) -> list[Span]:
    """What the machines that were had in a place tell of it.

    After a loss the place is taken to be down for `DOWN_AFTER_A_LOSS`, or until the next machine was had there.
    """
    had = sorted(stays)
    begins = [stay.since for stay in had]
    turns: list[tuple[timedelta, int, int]] = []  # when, machines more, losses more
    for stay in had:
        turns += [(stay.since, 1, 0), (stay.until, -1, 0)]
        if stay.lost:
            again = bisect_right(begins, stay.until)
            back = stay.until + DOWN_AFTER_A_LOSS
            if again < len(begins):
                back = min(back, max(begins[again], stay.until + _YOUNGEST))
            turns += [(stay.until, 0, 1), (back, 0, -1)]
    turns.sort()
    found: list[Span] = []
    machines = losses = 0
    for (since, more, lost), (until, _, _) in pairwise(turns):
        machines, losses = machines + more, losses + lost
        if since == until or not (machines or losses):
            continue
        up = not losses
        if found and found[-1].until == since and found[-1].up is up:
            found[-1] = Span(found[-1].since, until, up)
        else:
            found.append(Span(since, until, up))
    return found


def signs(known: Past) -> tuple[float, ...]:
    """The numbers that a chance is computed from."""
    return (math.log(max(known.age, _YOUNGEST) / HOUR), *known.up, *(float(count) for count in known.losses))


def risk(known: Past, model: "Model | None" = None) -> Risk:
    """The chance that a machine which runs in such a place now is taken back. It never falls as time goes on."""
    model = model or STOCK
    at = signs(known)
    hour = _logistic(model.hour, at)
    six_hours = max(hour, _logistic(model.six_hours, at))
    return Risk(hour=hour, six_hours=six_hours, day=max(six_hours, _dies_within(model, known.age, 24.0)))


def reliability(*, up: timedelta, watched: timedelta, believed: float, belief: timedelta = 6 * HOUR) -> float:
    """Share of the time that it will be there, from `up` of what was `watched`; a belief counts as so much watching.

    Three days of watching order places as the next days will; docs/market.md has the figures.

    Raises:
        ValueError: it was up for longer than anybody watched, or a figure is negative.
    """
    if not timedelta() <= up <= watched:
        raise ValueError(f"up for {up} of {watched} cannot have been seen")
    return (up + believed * belief) / (watched + belief)


def mean(risks: Iterable[Risk]) -> Risk | None:
    """Of several; None of none."""
    found = list(risks)
    if not found:
        return None
    return Risk(*(sum(column) / len(found) for column in zip(*found, strict=True)))


def _share_up(seen: Sequence[Span], since: timedelta, now: timedelta) -> float:
    up = watched = timedelta()
    for span in reversed(seen):
        if span.until <= since:
            break
        inside = min(span.until, now) - max(span.since, since)
        watched += inside
        up += inside if span.up else timedelta()
    return (up + USUALLY_UP * (now - since - watched)) / (now - since)


def _logistic(weights: Weights, at: Sequence[float]) -> float:
    total = weights.base + sum(weight * value for weight, value in zip(weights.of, at, strict=True))
    return 1.0 / (1.0 + math.exp(-max(-500.0, min(500.0, total))))


def _dies_within(model: Model, age: timedelta, hours: float) -> float:
    now = max(age, _YOUNGEST) / HOUR
    return -math.expm1(_cumulated(model.lived, now) - _cumulated(model.lived, now + hours))


def _cumulated(lived: Sequence[tuple[float, float]], age: float) -> float:
    """Hazard summed up to an age: by straight lines in the log of both, the last one goes on."""
    if age <= lived[0][0]:
        return lived[0][1] * age / lived[0][0]
    for (young, low), (old, high) in pairwise(lived):
        if age <= old or old == lived[-1][0]:
            slope = math.log(high / low) / math.log(old / young)
            return low * math.exp(slope * math.log(age / young))
    raise AssertionError("the last stretch has no end")


def _hazard_of(chance: float) -> float:
    return -math.log1p(-min(chance, 1.0 - _LEAST_LEFT))


NO_RISK: Final = Risk(0.0, 0.0, 0.0)
"""Of a machine on demand."""
UNKNOWN: Final = Past(age=USUAL_AGE)
STOCK: Final = Model(
    hour=Weights(1.3779, (-0.3505, -1.0838, -0.2826, -0.9813, -1.1034, 0.0256, 0.0477)),
    six_hours=Weights(2.8209, (-0.4722, -0.2647, 1.297, -2.7464, -1.141, -0.0714, -0.0183)),
    lived=(
        (0.25, 0.3748),
        (0.5, 0.6947),
        (1.0, 1.1179),
        (2.0, 1.6126),
        (4.0, 1.9301),
        (8.0, 2.5091),
        (16.0, 3.5308),
        (32.0, 4.1668),
    ),
)
"""Learnt from the first 22 days of six zones of V100 spot machines: skypilot-org/spot-traces (Wu et al., NSDI 2024)."""
