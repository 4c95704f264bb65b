"""What sleeping saved: the facts that it is computed from, and the stretches of time that it is made of.

Amounts are US dollars, rates US dollars per hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from holdfast.contracts.machines import InstanceState
from holdfast.contracts.references import CheckedReference, Reference

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
    gpu: str = ""
    gpu_count: int = 1
    provider: str = ""
    failed: bool = False  # it never came so far as to work


@dataclass(frozen=True, kw_only=True)
class LossLine:
    """What a workload's interruptions came to in a stretch of time, and what it sent to the store."""

    workload: str
    losses: int = 0
    work_lost: timedelta = timedelta()  # done again
    recovering: timedelta = timedelta()  # machines ran, and the work did not yet
    bytes_sent: int = 0
    first_at: datetime | None = None  # of all this, the first; None: nothing, or told by an older worker


@dataclass(frozen=True, kw_only=True)
class LossesInput:
    since: datetime | None
    until: datetime


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
class Paid:
    """What was paid, by what for."""

    work: Decimal = Decimal(0)  # machines ran
    booting: Decimal = Decimal(0)
    storage: Decimal = Decimal(0)  # disks of machines that did not run
    failed_starts: Decimal = Decimal(0)  # machines that never came so far as to work
    egress: Decimal = Decimal(0)  # what was sent to the store

    @property
    def total(self) -> Decimal:
        return self.work + self.booting + self.storage + self.failed_starts + self.egress


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What one name's machines cost beside a reference. In sums, times are those of GPUs, not of machines."""

    name: str
    month: str  # such as 2026-01; "": of the whole time
    gpu: str
    gpus: int  # in a machine
    machines: int
    failed_starts: int
    losses: int
    ran: timedelta
    work_lost: timedelta  # done again
    recovering: timedelta
    useful: timedelta  # it ran, and nothing of that was in vain: what the reference is paid for
    bytes_sent: int  # to the store
    paid: Paid
    paid_total: Decimal
    of_which_wasted: Decimal  # of the work: for what was lost, and for recoveries
    reference: Reference | None  # None: none is known, and it is in no sum
    remarks: tuple[str, ...]  # what speaks against the reference
    would_have_cost: Decimal | None
    saved: Decimal | None
    percent: float | None


@dataclass(frozen=True, kw_only=True)
class Against:
    """Rented machines beside references, which are no part of `total` where there is none for their GPU."""

    against: str  # cheapest, or whom
    egress_per_gb: Decimal
    total: Comparison
    lines: tuple[Comparison, ...]  # by name and GPU
    months: tuple[Comparison, ...]  # sums, where they were asked for
    rows: tuple[Comparison, ...]  # by month, name and GPU: what the months are made of
    references: tuple[CheckedReference, ...]  # for each GPU that was rented, and what speaks against each


@dataclass(frozen=True, kw_only=True)
class SavingsOrder:
    """What to compute."""

    since: datetime | None = None  # None: from the first machine on
    until: datetime | None = None  # None, or later than now: up to now
    name: str | None = None  # of one endpoint or workload; None: all
    rows: bool = False  # tell each stretch, too
    against: str = ""  # also beside references: cheapest, a provider, or provider:region; "": not
    monthly: bool = False  # those by month, too
    egress_per_gb: Decimal = Decimal(0)  # USD for what is sent to the store, which no meter tells
    references: tuple[Reference, ...] = ()  # besides those that Holdfast brings


@dataclass(frozen=True, kw_only=True)
class Savings:
    """The answer of `holdfast savings`."""

    since: datetime | None
    until: datetime
    basis: str  # what the savings are shown against
    total: SavingsLine
    lines: tuple[SavingsLine, ...]  # one for each endpoint and each other workload, by name
    rows: tuple[Stretch, ...] = ()  # where they were asked for; the sums of those that count are the totals, exactly
    against: Against | None = None  # where it was asked for
