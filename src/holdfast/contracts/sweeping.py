"""What a sweep looks at, what it finds, and what it does about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from holdfast.contracts.machines import InstanceState, OpenLease


class Known(StrEnum):
    """What the records know of a machine that no running workload owns."""

    NOTHING = "nothing"  # no cost line bears its label: another installation's, or the records were lost
    CLOSED = "closed"  # its cost line is closed
    OTHER = "other"  # its cost line is open, for another machine
    ABANDONED = "abandoned"  # its cost line is open, and no run of its workload is


class Ruling(StrEnum):
    """What is done about a machine."""

    REPORT = "report"  # it is shown, and never ended: it may be somebody else's
    WAIT = "wait"  # it is ended if it is still there when the grace is over
    END = "end"


@dataclass(frozen=True, kw_only=True)
class SweepInput:
    provider: str
    grace: timedelta  # between the first sighting of a stranger and its end
    dry_run: bool = False  # say what would be done; end nothing and note nothing


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What is owned at one provider, by the records and by the workloads that run."""

    owned: tuple[str, ...] = ()  # instance ids
    fresh: tuple[str, ...] = ()  # of these, what was rented so lately that a listing may not show it yet
    launching: tuple[str, ...] = ()  # labels of running workloads under which something may just have been rented
    abandoned: tuple[OpenLease, ...] = ()  # open cost lines of workloads that no longer run
    mark: str = ""  # our installation's, in its labels
    copies: tuple[str, ...] = ()  # of disks: those that running workloads own
    left_copies: tuple[str, ...] = ()  # those that are on record, and that nobody owns any more
    orphans: tuple[str, ...] = ()  # ids of workflows that run for another one which does not run any more


@dataclass(frozen=True, kw_only=True)
class LookInput:
    provider: str
    stock: Stock


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """A machine under a label of ours that no running workload owns."""

    instance_id: str  # "" for an abandoned line whose launch was never heard of
    label: str
    state: InstanceState
    hourly: Decimal | None = None  # USD per hour while it runs
    detail: str = ""  # the provider's own words


@dataclass(frozen=True, kw_only=True)
class Look:
    """One listing of a provider. A doubtful one is believed in nothing."""

    listed: int = 0  # machines under a label of ours
    foreign: int = 0  # machines of the account without one; they are nobody's business here
    strangers: tuple[Stranger, ...] = ()
    doubt: str = ""  # why the listing cannot be believed; "": it can
    copies: tuple[str, ...] = ()  # of disks, under a name of ours, that no running workload owns
    copies_doubt: str = ""  # why nothing is known of copies; "": they were listed, or cannot be made here


@dataclass(frozen=True, kw_only=True)
class JudgeInput:
    provider: str
    strangers: tuple[Stranger, ...]
    abandoned: tuple[OpenLease, ...]
    grace: timedelta
    dry_run: bool
    # No sooner, and no later, than everything here was true. Only what was asked a grace after it was first listed
    # confirms it: a judgement that is repeated, or comes late, is no second look. None, of an older workflow: now.
    asked_at: datetime | None = None
    listed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One stranger and what becomes of it."""

    provider: str
    instance_id: str
    label: str
    state: InstanceState
    hourly: Decimal | None
    known: Known
    ruling: Ruling
    reason: str  # for people
    first_seen: datetime
    ends_at: datetime | None  # when its grace is over; None where it is never ended


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    provider: str
    swept_at: datetime
    dry_run: bool
    owned: int = 0
    listed: int = 0
    foreign: int = 0
    findings: tuple[Finding, ...] = ()
    doubt: str = ""  # why nothing was done; "": the listing was believed
    copies: tuple[str, ...] = ()  # of disks, that nobody owned; they were dropped, or would have been
    orphans: tuple[str, ...] = ()  # workflows whose owner runs no more; they were cancelled, or would have been
