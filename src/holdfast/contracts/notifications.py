"""What is told by webhook, and how the telling went."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What happened."""

    LOST = "workload.lost"  # its machine is given up; the answer has begun
    RECOVERED = "workload.recovered"  # it makes progress again
    ENDED = "workload.ended"
    BUDGET_USED_UP = "budget.used_up"
    STRANGER_ENDED = "machine.stranger_ended"  # a machine that nobody owned
    TEST = "test"


@dataclass(frozen=True, kw_only=True)
class Notification:
    """One event in the outbox."""

    number: int
    event_id: str  # the same for every try to deliver it
    kind: str
    document: dict[str, Any]  # what the receiver gets as `data`
    made_at: datetime
    tries: int
    next_at: datetime  # when it is tried again, unless it is delivered or given up
    delivered_at: datetime | None = None
    given_up_at: datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, kw_only=True)
class ListNotificationsInput:
    """The newest of them."""

    at_most: int = 50
