"""Our meter beside a provider's bill: what is rounding, and what is drift."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.contracts.money import Drift
from holdfast.policy import metering
from holdfast.policy.metering import Interval

ROUNDING = timedelta(seconds=1)
"""Providers charge every second that was begun, in each state anew."""
LATE = timedelta(seconds=30)
"""So long after a change of state we may learn of it."""
SHARE = Decimal("0.02")
"""Of the bill: traffic and other small things that our meter does not count."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One machine that both sides know."""

    label: str
    intervals: Sequence[Interval]
    charged: Decimal

    def difference(self, now: datetime) -> Decimal:
        """USD that the provider charges above our meter."""
        return self.charged - metering.cost(self.intervals, now=now)

    def tolerance(self) -> Decimal:
        """USD that rounding, the time until we learn of a change, and what is not metered may explain."""
        dearest = max((each.hourly for each in self.intervals), default=Decimal(0))
        turns = max(len(self.intervals), 1)
        seconds = Decimal((ROUNDING + LATE) * turns // timedelta(seconds=1))
        return dearest * seconds / 3600 + self.charged * SHARE


def drift(provider: str, compared: Sequence[Compared], *, unknown: int, now: datetime) -> Drift:
    """All machines together. A difference that one machine hides of another's is still beyond what is tolerated."""
    worst = max(compared, key=lambda each: abs(each.difference(now)) - each.tolerance(), default=None)
    beyond = any(abs(each.difference(now)) > each.tolerance() for each in compared)
    return Drift(
        provider=provider,
        metered=sum((metering.cost(each.intervals, now=now) for each in compared), Decimal(0)),
        charged=sum((each.charged for each in compared), Decimal(0)),
        machines=len(compared),
        beyond=beyond,
        worst=worst.label if worst is not None and worst.difference(now) else "",
        unknown=unknown,
    )
