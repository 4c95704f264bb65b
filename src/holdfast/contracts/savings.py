"""What sleeping saved: the facts that it is computed from, and the stretches of time that it is made of.

Amounts are US dollars, rates US dollars per hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from holdfast.contracts.machines import InstanceState

REFERENCE: Final = (
    "always awake: each moment asleep at the price, as last charged while it ran, of the machine that it slept from"
)
"""What savings are shown against, for people."""


@dataclass(frozen=True, kw_only=True)
class MeterLine:
    """One row of a machine's meter."""

    number: int  # among the rows of its machine
    state: InstanceState
    hourly: Decimal  # as charged in this state
    since: datetime
    until: datetime | None  # None: it goes on


@dataclass(frozen=True, kw_only=True)
class MachineLife:
    """A lease, as far as it says when its workload was awake."""

    label: str
    workload: str
    endpoint: str  # whose replica the workload is; "": nobody's
    generation: int
    opened_at: datetime
    wanted_at: datetime | None  # when the sleeping workload, which this machine wakes, was told to wake; None: not told
    closed_at: datetime | None
    asleep: bool  # the machine was let go because its workload was put to sleep
    over_at: datetime | None  # when this run of the workload ended
    meter: tuple[MeterLine, ...]


@dataclass(frozen=True, kw_only=True)
class LivesInput:
    """Ask for machine lives, in the order in which they were opened."""

    after: str = ""  # the label at which the last page ended; "" begins
    number: int = 0  # of its last meter row that was told


@dataclass(frozen=True, kw_only=True)
class LivesPage:
    """A life with a long meter may be spread over pages."""

    lives: tuple[MachineLife, ...]
    now: datetime  # by the clock of the records
    next: LivesInput | None  # None: that was all


class Mode(StrEnum):
    """What a workload did in a stretch of time, as far as it decides what that cost."""

    AWAKE = "awake"  # its machine ran: also while it saved before a pause, and loaded after it
    WAKING = "waking"  # a new machine started
    STOPPED = "stopped"  # asleep; the machine is kept, and its disk charged for
    LET_GO = "let_go"  # asleep; nothing is charged for
    DOWN = "down"  # neither: taken by the provider, say, or kept beside a machine that runs


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One stretch of one machine, or between two, at one rate. `saved` is `reference` less `paid`."""

    name: str  # of the endpoint, else of the workload
    workload: str
    since: datetime
    until: datetime
    mode: Mode
    hourly: Decimal  # as charged
    reference_hourly: Decimal | None  # as it would have been charged, always awake; None: not known
    paid: Decimal  # exact to a trillionth
    reference: Decimal | None
    saved: Decimal | None
    label: str  # the machine, or the one that was let go
    meter: int  # which row of its meter; 0: none, it lies between two machines
    uncounted: str = ""  # why it stands in no sum; "": it does

    @property
    def length(self) -> timedelta:
        return self.until - self.since


@dataclass(frozen=True, kw_only=True)
class SavingsLine:
    """Sums of stretches. Time is counted for each machine: two that ran at once for an hour were awake two hours."""

    name: str
    awake: timedelta
    waking: timedelta
    stopped: timedelta
    let_go: timedelta
    down: timedelta
    uncounted: timedelta  # in no other sum
    paid_awake: Decimal
    paid_waking: Decimal
    paid_asleep: Decimal
    paid_down: Decimal
    paid_uncounted: Decimal  # in no other sum
    reference: Decimal  # what the same time would have cost, always awake
    saved: Decimal  # below zero: sleeping cost more
    percent: float | None  # saved, of the reference, to a hundredth; None: the reference is zero

    @property
    def paid(self) -> Decimal:
        """Of all that is counted."""
        return self.paid_awake + self.paid_waking + self.paid_asleep + self.paid_down


@dataclass(frozen=True, kw_only=True)
class SavingsOrder:
    """What to compute."""

    since: datetime | None = None  # None: from the first machine on
    until: datetime | None = None  # None, or later than now: up to now
    name: str | None = None  # of one endpoint or workload; None: all
    rows: bool = False  # tell each stretch, too


@dataclass(frozen=True, kw_only=True)
class Savings:
    """The answer of `holdfast savings`."""

    since: datetime | None
    until: datetime
    basis: str  # what the savings are shown against
    total: SavingsLine
    lines: tuple[SavingsLine, ...]  # one for each endpoint and each other workload, by name
    rows: tuple[Stretch, ...] = ()  # where they were asked for; the sums of those that count are the totals, exactly
