"""How many standbys the losses of a pool's workloads call for.

A standby that is taken is missing until its successor runs, so as many are kept as are rarely all taken within that
time (Erlang's loss formula). Losses come in bulk, which it does not know: the largest on record is covered too.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.contracts.pools import PoolDemand

MISSED = 0.05
"""How often a loss may find no standby."""
PRIOR_LOSSES, PRIOR_HOURS = 1.0, 24.0
"""What a workload is taken to suffer before anything is measured; it counts as one day of one machine. Where it is
known how likely losses are in the regions of its machines, that is taken instead."""
FIRST_REFILL = timedelta(minutes=5)
SHORTEST_REFILL = timedelta(minutes=1)
SHRINKS_AFTER = timedelta(hours=1)
"""A standby that is let go and rented again costs a boot; losses that come in bulk come again."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """The answer, with its reason for people."""

    target: int
    reason: str


def size(demand: PoolDemand, *, minimum: int, maximum: int) -> Need:
    """As many as are needed, between the limits."""
    refill = max(demand.refill or FIRST_REFILL, SHORTEST_REFILL)
    prior = PRIOR_LOSSES if demand.hazard is None else demand.hazard * PRIOR_HOURS
    hazard = (demand.losses + prior) / (demand.machine_hours + PRIOR_HOURS)
    by_rate = _enough(demand.served * hazard * (refill / timedelta(hours=1))) if demand.served else 0
    bulk = _largest_bulk(demand.claims, refill) if demand.served else 0
    wanted = max(by_rate, bulk)
    reason = (
        f"{demand.served} workloads, {demand.losses} losses in {demand.machine_hours:.0f} machine hours, "
        f"{refill.total_seconds():.0f} s to refill: {by_rate} by rate, {bulk} by the largest bulk"
    )
    if demand.hazard is not None:
        reason += f", where {demand.hazard * PRIOR_HOURS:.1f} losses a day are to be expected"
    target = min(max(wanted, minimum), maximum)
    if target != wanted:
        reason += f"; the {'minimum' if target > wanted else 'maximum'} is {target}"
    return Need(target=target, reason=reason)


def _enough(load: float) -> int:
    """The fewest standbys with which at most one loss in so many finds all of them taken.

    Erlang's loss formula, by its recursion: exact for losses that come independently of each other, however refills
    are spread, where a loss that finds none goes another way.
    """
    missed, n = 1.0, 0
    while missed > MISSED:
        n += 1
        missed = load * missed / (n + load * missed)
    return n


def _largest_bulk(claims: Iterable[datetime], within: timedelta) -> int:
    """The most claims within one such time."""
    recent: deque[datetime] = deque()
    largest = 0
    for claim in sorted(claims):
        recent.append(claim)
        while claim - recent[0] > within:
            recent.popleft()
        largest = max(largest, len(recent))
    return largest
