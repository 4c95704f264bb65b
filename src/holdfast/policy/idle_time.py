"""How long a replica that nobody calls stays awake.

A gap that ends before the replica sleeps costs its own length; one that does not costs the time awake and one pause
with its wake. That is the ski-rental problem. With few gaps seen the answer is the break-even: awake for as long as a
pause costs, which never costs more than twice what hindsight would (Karlin et al., 1988). With more it is the time that
would have been cheapest on those seen, the newest counting most, if it was clearly cheaper there than the break-even.
Gaps may be cut off (a replica that is moved, a gap that lasts): their distribution is that of Kaplan and Meier (1958).

Nothing speaks for staying awake beyond the longest gap seen and the break-even, so no gap costs more than that and one
pause; and where no gap was ever longer than the answer, nothing speaks for sleeping before the break-even.
"""

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, NamedTuple

KEPT: Final = 1000
"""Gaps that are worth keeping; older ones are not looked at."""
HALF_LIFE: Final = 400
"""A gap counts half as much as one so many gaps later: callers change their ways."""
FEW: Final = 10
"""With fewer gaps than that, their distribution is anybody's guess."""
ROOM: Final = 1.05
"""Staying awake for a gap such as one seen means for one a little longer, too."""
_WEIGHTS: Final = tuple(0.5 ** (age / HALF_LIFE) for age in range(KEPT - 1, -1, -1))  # the newest last
_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = 3600
LEAST, MOST = timedelta(), timedelta(days=1)


class Gap(NamedTuple):
    """One time without requests, from the end of the last to the next. A tuple: a history holds hundreds."""

    seconds: float
    ended: bool = True  # by a request; False: at least so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What staying awake and a pause cost."""

    running: Decimal  # USD per hour, awake
    asleep: Decimal  # USD per hour; its disk, or nothing
    pausing: timedelta  # paid as awake, before it sleeps
    waking: timedelta  # paid as awake, from the request to the first answer
    waiting: Decimal = Decimal(0)  # USD that its owner would pay to spare a caller one second of that

    def break_even(self) -> float:
        """The seconds awake that cost as much as one pause and wake; infinite if sleeping saves nothing."""
        saved = float(self.running - self.asleep) / _HOUR
        if saved <= 0:
            return math.inf
        pausing, waking = max(self.pausing / _SECOND, 0), max(self.waking / _SECOND, 0)
        return pausing + waking * (float(self.running) / _HOUR + float(self.waiting)) / saved


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleTime:
    """The answer, with its reason for people."""

    after: timedelta
    reason: str


def idle_time(gaps: Sequence[Gap], price: Price, *, least: timedelta = LEAST, most: timedelta = MOST) -> IdleTime:
    """How long to stay awake without requests, between the limits. `gaps` are in their order, the newest last.

    Never raises; equal input gives an equal answer.
    """
    even, low, high = price.break_even(), least / _SECOND, most / _SECOND
    if math.isinf(even):
        return IdleTime(after=most, reason=f"computed: {in_words(high)}; sleeping saves nothing here")
    known = [gap for gap in gaps[-KEPT:] if _tells(gap, even)]
    costs = f"a pause costs what {in_words(even)} awake cost"
    if len(known) < FEW:
        return _answer(even, low, high, f"from {len(known)} gaps only; {costs}")
    best = _cheapest(known, even, low, high)
    if not _clearly_cheaper(best, known, even):
        return _answer(even, low, high, f"from {len(known)} gaps, no other time clearly cheaper; {costs}")
    return _answer(best, low, high, f"from {len(known)} gaps; {costs}")


def _answer(after: float, low: float, high: float, reason: str) -> IdleTime:
    kept = min(max(after, low), high)
    return IdleTime(after=timedelta(seconds=kept), reason=f"computed: {in_words(kept)}; {reason}")


def _tells(gap: Gap, even: float) -> bool:
    """Whether it says something: one cut off before the break-even might have ended at any time."""
    return 0 <= gap.seconds < math.inf and (gap.ended or gap.seconds >= even)


def _cheapest(gaps: Sequence[Gap], even: float, low: float, high: float) -> float:
    """The time of least cost on the gaps seen; of several the shortest."""
    # Of equal lengths the ended come first: one cut off at a moment was still there at that moment.
    in_order = sorted(
        (gap.seconds, not gap.ended, weight) for gap, weight in zip(gaps, _WEIGHTS[-len(gaps) :], strict=True)
    )
    survival = _survival(in_order)
    best, least_cost, awake, at, left = low, math.inf, 0.0, 0.0, 1.0
    step, after_step = next(survival)
    for time in (low, *(min(max(seconds * ROOM, low), high) for seconds, _, _ in in_order)):
        while step <= time:
            awake, at, left = awake + (step - at) * left, step, after_step
            step, after_step = next(survival)
        awake, at = awake + (time - at) * left, time
        cost = awake + even * left
        if cost < least_cost * (1 - 1e-12):  # not by rounding alone
            best, least_cost = time, cost
    never_longer = in_order[-1][0] <= best
    return max(best, even) if never_longer else best


def _survival(in_order: Sequence[tuple[float, bool, float]]) -> Iterator[tuple[float, float]]:
    """The lengths in their order, each with the share of gaps that are longer, and at last infinity."""
    at_risk, left = math.fsum(weight for _, _, weight in in_order), 1.0
    for seconds, cut_off, weight in in_order:
        if not cut_off:
            left = max(left * (1 - weight / at_risk), 0.0) if at_risk > weight else 0.0
        at_risk -= weight
        yield seconds, left
    yield math.inf, left


def _clearly_cheaper(time: float, gaps: Sequence[Gap], even: float) -> bool:
    """Whether it beats the break-even on the gaps seen by more than the standard error of that difference."""
    weights = _WEIGHTS[-len(gaps) :]
    gains = [_paid(gap.seconds, even, even) - _paid(gap.seconds, time, even) for gap in gaps]
    total = math.fsum(weights)
    mean = math.fsum(map(operator.mul, weights, gains)) / total
    spread = math.fsum(weight * (gain - mean) ** 2 for weight, gain in zip(weights, gains, strict=True)) / total
    effective = total**2 / math.fsum(weight * weight for weight in weights)  # gaps of equal weight that tell as much
    return mean > math.sqrt(spread / effective)


def _paid(seconds: float, idle: float, even: float) -> float:
    return seconds if seconds <= idle else idle + even


def in_words(seconds: float) -> str:
    """In the largest unit that still tells it well."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 3 * size:
            return f"{seconds / size:.1f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"
