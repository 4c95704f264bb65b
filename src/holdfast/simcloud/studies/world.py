"""The zones that a job may use, tick by tick, with what a policy may know of them at each tick."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Final

from holdfast.policy.outlook import WINDOW, Outlook, outlook
from holdfast.simcloud.studies.traces import Trace

_RECENT_WINDOW: Final = timedelta(hours=24).total_seconds()


class Choice(StrEnum):
    """Which of several zones with spot is taken."""

    STATIC = "static"  # the first as given
    RECENT = "recent"  # up for the largest share of the last 24 hours
    LONGEST_UP = "longest_up"  # up without a break for the longest time


class TracesDiffer(Exception):
    """Traces of different ticks cannot be one world."""


@dataclass(frozen=True, kw_only=True)
class Zone:
    """One zone with everything that is asked of it, precomputed for each tick."""

    name: str
    up: Sequence[bool]
    turns: Sequence[int]  # the first later tick at which `up` is different; the length of the trace if none is
    since: Sequence[int]  # the tick since which `up` is as it is
    ups: Sequence[int]  # how many ticks before this one were up
    drops: Sequence[int]  # how often it went down before this tick

    @classmethod
    def of(cls, name: str, up: Sequence[bool]) -> "Zone":
        """The zone of these samples."""
        turns, since = [len(up)] * len(up), [0] * len(up)
        for index in range(len(up) - 2, -1, -1):
            turns[index] = index + 1 if up[index + 1] != up[index] else turns[index + 1]
        for index in range(1, len(up)):
            since[index] = index if up[index - 1] != up[index] else since[index - 1]
        falls = [was and not now for was, now in pairwise([False, *up])]
        return cls(name=name, up=up, turns=turns, since=since, ups=[0, *accumulate(up)], drops=[0, *accumulate(falls)])


@dataclass(frozen=True, kw_only=True)
class World:
    """Zones on one clock that starts at tick 0."""

    tick: float  # seconds
    zones: tuple[Zone, ...]
    anywhere: Zone  # up where any of the zones is

    @classmethod
    def of(cls, traces: Sequence[Trace], *, machines: int = 1) -> "World":
        """The world of `traces`, as long as the shortest; a zone is up while `machines` can be had there at once.

        Raises:
            TracesDiffer: the traces do not have the same tick.
        """
        ticks = {trace.tick for trace in traces}
        if len(ticks) != 1:
            raise TracesDiffer(f"traces with samples every {', '.join(f'{each:g} s' for each in sorted(ticks))}")
        length = min(len(trace.counts) for trace in traces)
        zones = [Zone.of(trace.zone, [count >= machines for count in trace.counts[:length]]) for trace in traces]
        anywhere = Zone.of("anywhere", [any(at) for at in zip(*(zone.up for zone in zones), strict=True)])
        return cls(tick=ticks.pop(), zones=tuple(zones), anywhere=anywhere)

    @property
    def length(self) -> int:
        """Ticks."""
        return len(self.anywhere.up)

    def pick(self, at: int, choice: Choice) -> int | None:
        """The zone to take a spot machine in at tick `at`, by its place among the zones; None where none is up."""
        up = [index for index, zone in enumerate(self.zones) if zone.up[at]]
        if not up or choice is Choice.STATIC or len(up) == 1:
            return up[0] if up else None
        if choice is Choice.LONGEST_UP:
            return min(up, key=lambda index: self.zones[index].since[at])
        since = max(0, at + 1 - round(_RECENT_WINDOW / self.tick))
        return max(up, key=lambda index: self.zones[index].ups[at + 1] - self.zones[index].ups[since])

    def outlook(self, at: int) -> Outlook:
        """What the last 48 hours, tick `at` included, say about spot anywhere."""
        since = max(0, at + 1 - round(WINDOW.total_seconds() / self.tick))
        anywhere = self.anywhere
        return outlook(
            up=timedelta(seconds=(anywhere.ups[at + 1] - anywhere.ups[since]) * self.tick),
            watched=timedelta(seconds=(at + 1 - since) * self.tick),
            drops=anywhere.drops[at + 1] - anywhere.drops[since],
        )
