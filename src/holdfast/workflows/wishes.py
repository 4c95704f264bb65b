"""What the operator wants of a running workload, and what a loss was."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from holdfast.contracts.incidents import Cause
from holdfast.contracts.spec import Strategy
from holdfast.contracts.workload import FailoverRequest, PauseRequest, StopRequest


class Wish(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    FAILOVER = "failover"
    STOP = "stop"


@dataclass(frozen=True)
class Loss:
    """One machine given up."""

    cause: Cause
    reason: str
    silent_since: datetime
    decided_at: datetime
    only: Strategy | None = None  # what a person asked for
    worked_until: datetime | None = None  # if it had been stopped before, on purpose
    leave: bool = False  # for another machine, though this one answers
    drill: Decimal | None = None  # no loss but its rehearsal, for so many USD at most


class Wishes:
    """At most one wish waits at a time; a stop outranks every other and is never forgotten."""

    def __init__(self) -> None:
        self.current: Wish | None = None
        self.stop: StopRequest | None = None
        self.failover = FailoverRequest()
        self.pause = PauseRequest()

    def make(self, wish: Wish) -> None:
        if self.current is not Wish.STOP:
            self.current = wish

    def take(self) -> Wish | None:
        wish, self.current = self.current, None
        return wish

    def drop(self) -> None:
        self.current = None

    def why_stop(self) -> str:
        return self.stop.reason if self.stop else "requested"
