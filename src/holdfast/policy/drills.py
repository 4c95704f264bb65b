"""What a drill has cost so far, and when it will have cost too much.

A drill costs what is paid while the work stands still: for the machine that it left and keeps, and for each machine
that is tried in its place.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A machine that is paid for while the work stands still."""

    hourly: Decimal  # USD
    since: datetime
    until: datetime | None = None  # None: still


def spent(held: Iterable[Held], *, now: datetime) -> Decimal:
    """USD, of all of them up to now."""
    return sum((cost(each.hourly, (each.until or now) - each.since) for each in held), Decimal(0))


def dear_at(held: Iterable[Held], *, budget: Decimal, now: datetime) -> datetime | None:
    """When the budget is used up, if nothing changes; None: never, because nothing is paid for."""
    known = tuple(held)
    rate = sum((each.hourly for each in known if each.until is None), Decimal(0))
    left = budget - spent(known, now=now)
    if left <= 0:
        return now
    if rate <= 0:
        return None
    lasts = (left / rate * (_HOUR // _MICROSECOND)).quantize(Decimal(1), rounding=ROUND_DOWN)
    return now + min(int(lasts), timedelta(days=365) // _MICROSECOND) * _MICROSECOND


def cost(hourly: Decimal, span: timedelta) -> Decimal:
    """USD for a machine at so many USD per hour."""
    return hourly * Decimal(max(span, timedelta()) // _MICROSECOND) / (_HOUR // _MICROSECOND)
