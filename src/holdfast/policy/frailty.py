"""How likely a place takes a machine back, by what became of those that we had there.

Of a place that is watched all the time `policy.interruption` knows more. Of others the records know only the hours in
which we had a machine there, and what those tell best is how long machines of this very place last. So there is a
hazard by age, the same everywhere, times a factor of each place's own, which is learnt from its losses and drawn to 1
while they are few: shared gamma frailty (Vaupel, Manton and Stallard, Demography 1979). It falls with age less than
the hazard of all places together does: of the frail ones few become old.

The numbers were learnt from the first half of two sets of GPU spot machines, six zones in 2023 and four kinds in 2022
(skypilot-org/spot-traces, Wu et al., NSDI 2024). They are much the same in both.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from holdfast.policy.interruption import DOWN_AFTER_A_LOSS, HOUR, USUAL_AGE, Risk, Stay

HAZARD: Final = ((0.5, 1.2), (1.0, 0.9), (2.0, 0.49), (16.0, 0.205), (32.0, 0.085), (math.inf, 0.055))
"""Losses an hour of a place that is neither frail nor firm, up to each age in hours."""
ALIKE: Final = 4.0
"""How alike places are: what is believed of any of them weighs as much as so many losses."""


def risk(stays: Iterable[Stay], now: timedelta) -> Risk:
    """What a machine that is in a place at `now` has to expect; without stays: in any place.

    Later stays say nothing. A place is as old as the oldest of our machines there; when the last of them was taken it
    is down for `DOWN_AFTER_A_LOSS`, and then begins anew. While nobody watches it grows older, but not beyond
    `USUAL_AGE`, and who was not watched for that long is as old as any.
    """
    turns = sorted(turn for stay in stays if stay.since < now for turn in _turns(stay, now))
    place = _Place(at=turns[0].at if turns else now)
    for turn in turns:
        place.watch(turn)
    place.pass_until(now)
    factor = (ALIKE + place.losses) / (ALIKE + place.expected)
    chances = (-math.expm1(-factor * _hazard(place.age, place.age + hours * HOUR)) for hours in (1, 6, 24))
    return Risk(*chances)


class _Turn(NamedTuple):
    at: timedelta
    begins: bool  # else one ends; at one moment, ends come first
    lost: bool = False


def _turns(stay: Stay, now: timedelta) -> Iterator[_Turn]:
    yield _Turn(stay.since, True)
    if stay.until < now or (stay.lost and stay.until == now):  # else it is still there
        yield _Turn(stay.until, False, stay.lost)


@dataclass(kw_only=True)
class _Place:
    at: timedelta
    age: timedelta = USUAL_AGE
    machines: int = 0
    down: timedelta = timedelta()  # still
    losses: int = 0
    expected: float = 0.0  # losses of a place that is neither frail nor firm

    def watch(self, turn: _Turn) -> None:
        self.pass_until(turn.at)
        self.machines += 1 if turn.begins else -1
        self.losses += turn.lost
        if turn.begins:
            self.down = timedelta()
        elif turn.lost and not self.machines:
            self.age, self.down = timedelta(), DOWN_AFTER_A_LOSS

    def pass_until(self, then: timedelta) -> None:
        gap, self.at = then - self.at, then
        if self.machines:
            self.expected += self.machines * _hazard(self.age, self.age + gap)
            self.age += gap
            return
        down = min(self.down, gap)
        self.down -= down
        grown = min(self.age + gap - down, USUAL_AGE)
        self.age = max(self.age, grown) if gap <= USUAL_AGE else USUAL_AGE


def _hazard(since: timedelta, until: timedelta) -> float:
    """Losses to be expected between two ages of a place that is neither frail nor firm."""
    return _summed(until / HOUR) - _summed(since / HOUR)


def _summed(age: float) -> float:
    total = begin = 0.0
    for end, hourly in HAZARD:
        total += hourly * (min(age, end) - begin)
        if age <= end:
            break
        begin = end
    return total


USUAL: Final = risk((), timedelta())
"""Of a place of which nothing is known."""
