"""What the recent past says about spot machines to come."""

import math
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final, NamedTuple

WINDOW: Final = timedelta(hours=48)  # how far back it is worth looking: what is older says little about today
# What is taken to be so until something was seen, and how much looking counts as much. The figures on drops
# were chosen on a sample of jobs on six zones of GPU spot machines (docs/studies.md).
_AVAILABLE, _AVAILABLE_WEIGHT = 0.5, timedelta(hours=6)
_DROPS_PER_HOUR, _DROPS_WEIGHT = 0.3, timedelta(hours=24)
_HOUR: Final = timedelta(hours=1)
_LEAST_DROPS: Final = 1e-6  # per hour, so that a life is always finite


class Sighting(NamedTuple):
    """Whether spot could be had anywhere that the job may run, at one moment."""

    at: timedelta  # on any clock that only goes forward
    up: bool


class Outlook(NamedTuple):
    """What is expected of spot. The defaults are what is expected before anything was seen."""

    available: float = _AVAILABLE  # share of the time in which it can be had
    drops_per_hour: float = _DROPS_PER_HOUR  # how often it goes away everywhere, per hour of any kind

    @property
    def life(self) -> timedelta:
        """How long spot stays, on average, once it is there."""
        return _HOUR * (self.available / max(self.drops_per_hour, _LEAST_DROPS))

    def cadence(self, save: timedelta) -> timedelta:
        """How often to save when one save takes `save`: Young's first-order optimum, the root of 2 x save x life."""
        return timedelta(seconds=math.sqrt(2 * save.total_seconds() * self.life.total_seconds()))


NOTHING_SEEN: Final = Outlook()


def outlook(*, up: timedelta, watched: timedelta, drops: int) -> Outlook:
    """What `drops`, and spot for `up` of the time that was `watched`, lead one to expect; little looking moves little.

    Raises:
        ValueError: spot was up for longer than anybody watched, or a figure is negative.
    """
    if not timedelta() <= up <= watched or drops < 0:
        raise ValueError(f"spot for {up} of {watched}, with {drops} drops, cannot have been seen")
    return Outlook(
        available=(up + _AVAILABLE * _AVAILABLE_WEIGHT) / (watched + _AVAILABLE_WEIGHT),
        drops_per_hour=(drops + _DROPS_PER_HOUR * (_DROPS_WEIGHT / _HOUR)) / ((watched + _DROPS_WEIGHT) / _HOUR),
    )


def looking_back(sightings: Sequence[Sighting], *, now: timedelta) -> Outlook:
    """The outlook at `now` from sightings in order of time; each holds until the next, and only `WINDOW` counts."""
    since = now - WINDOW
    up = watched = timedelta()
    drops = 0
    for (at, was_up), (until, next_up) in pairwise([*sightings, Sighting(now, sightings[-1].up)] if sightings else []):
        span = max(timedelta(), min(until, now) - max(at, since))
        watched += span
        up += span if was_up else timedelta()
        drops += was_up and not next_up and since <= until <= now
    return outlook(up=up, watched=watched, drops=drops)
