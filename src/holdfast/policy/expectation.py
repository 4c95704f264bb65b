"""How long each strategy is expected to take, and what that costs, from what recoveries took before.

A handful of recoveries says little, so they are weighed against a first guess that counts as two. Money is told in
time: what a recovery spends on machines that do no work, at the price of the machine that took over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from holdfast.contracts.memory import StrategyRecord
from holdfast.contracts.spec import Strategy

# From the decision until the work runs again, without anything known: booted already; a usual boot and a restore; the
# same; a usual boot, then the setup from nothing and the work done again.
FIRST_GUESS: Mapping[Strategy, timedelta] = {
    Strategy.WARMPOOL: timedelta(seconds=10),
    Strategy.REGIONAL: timedelta(seconds=90),
    Strategy.SNAPSHOT: timedelta(seconds=95),  # the store may be farther away than from the region of before
    Strategy.COLDSTART: timedelta(seconds=240),
}
GUESS_COUNTS = 2


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Of one strategy. The lower `score`, in seconds, the better."""

    took: timedelta
    spent: timedelta  # at the price of the machine that took over
    times: int

    @property
    def score(self) -> float:
        return (self.took + self.spent).total_seconds()

    @property
    def told(self) -> str:
        """In words, for the record."""
        spent = f" and {self.spent.total_seconds():.0f} s of a machine's price" if self.spent else ""
        known = f"{self.times} recoveries" if self.times else "a first guess"
        return f"expected to take {self.took.total_seconds():.0f} s{spent}, by {known}"


def expected(record: Iterable[StrategyRecord]) -> dict[Strategy, Expectation]:
    """What each strategy is expected to take; strategies that are not on record by the first guess alone."""
    known = {each.strategy: each for each in record if each.times > 0}
    return {strategy: _of(guess, known.get(strategy)) for strategy, guess in FIRST_GUESS.items()}


def _of(guess: timedelta, known: StrategyRecord | None) -> Expectation:
    if known is None:
        return Expectation(took=guess, spent=timedelta(), times=0)
    weight = known.times / (known.times + GUESS_COUNTS)
    return Expectation(
        took=guess + (known.typical - guess) * weight,
        spent=known.spent * weight,
        times=known.times,
    )
