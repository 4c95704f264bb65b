"""What one loss costs a workload, in time that is paid for and done again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

USUAL_MOVE: Final = timedelta(minutes=10)
"""Until another machine is where the last checkpoint was, as long as nothing was measured."""
LONGEST_MOVE: Final = timedelta(hours=1)
"""More of a recovery was waiting for an offer, which costs nothing."""
_BELIEVED: Final = 3.0
"""Losses that what is usual weighs as much as."""


def cost_of_loss(saved_every: timedelta, measured: Sequence[tuple[timedelta, timedelta]] = ()) -> timedelta:
    """A move, and the work since the last save, which is half of the time between two on average.

    `measured` is what recoveries of this workload took, and the work that was lost with each: their mean, drawn to what
    is usual while they are few.
    """
    usual = USUAL_MOVE + saved_every / 2
    took = sum((min(recovery, LONGEST_MOVE) + lost for recovery, lost in measured), timedelta())
    return (usual * _BELIEVED + took) / (_BELIEVED + len(measured))
