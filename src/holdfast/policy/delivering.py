"""When a notification is tried again, and when no more."""

from datetime import datetime, timedelta
from typing import Final

GIVEN_UP_AFTER: Final = timedelta(days=1)
"""From the event on. Whoever sets up a receiver hears of the last day, and of nothing older."""
KEPT: Final = timedelta(days=30)
"""So long the outbox remembers what it has told."""
_WAITS: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
)
_SPREAD: Final = 0.2


def next_try(*, made_at: datetime, tries: int, now: datetime, chance: float) -> datetime | None:
    """When to try again after so many failed tries; None: never. `chance`, from 0 to 1, keeps receivers from bursts."""
    wait = _WAITS[min(tries, len(_WAITS)) - 1]
    again = now + wait * (1 + _SPREAD * (2 * chance - 1))
    return again if again - made_at < GIVEN_UP_AFTER else None
