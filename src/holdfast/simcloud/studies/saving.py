"""What checkpoints keep, and what they cost, on one machine: pure arithmetic in seconds."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Saves:
    """Work for `every` seconds, then save for `takes` seconds, and so on. `every` may be endless: nothing is saved."""

    every: float
    takes: float

    def worked(self, clock: float) -> float:
        """The work in the first `clock` seconds."""
        rounds, rest = self._rounds(clock)
        return rounds * self.every + min(rest, self.every) if rounds else min(rest, self.every)

    def saved(self, clock: float) -> float:
        """The work of the first `clock` seconds that a loss at their end leaves."""
        rounds, _ = self._rounds(clock)
        return rounds * self.every if rounds else 0.0

    def until(self, work: float) -> float:
        """The clock at which `work` is done; a save that would only follow it is not waited for."""
        rounds = max(0, math.ceil(work / self.every) - 1)
        return work + rounds * self.takes

    def _rounds(self, clock: float) -> tuple[int, float]:
        if math.isinf(self.every):
            return 0, clock
        rounds = int(clock // (self.every + self.takes))
        return rounds, clock - rounds * (self.every + self.takes)


KEEPS_ALL = Saves(every=math.inf, takes=0.0)  # with `Cadence` off: progress is kept whatever happens


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """How a study saves: every `every` seconds of work, or as Young and Daly would where that is None."""

    every: float | None
    takes: float
