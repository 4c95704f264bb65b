"""Verdicts on machines, and the record of an incident."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from holdfast.contracts.machines import InstanceState


class Verdict(StrEnum):
    """What the evidence on a machine comes to."""

    ALIVE = "alive"
    STALLED = "stalled"  # the machine answers; the work on it does not run, or gets nowhere
    SUSPECT = "suspect"  # silent, but not long enough or not proven enough
    LOST = "lost"
    UNKNOWN = "unknown"  # nothing may be concluded; never a reason to act


class Cause(StrEnum):
    """Why a machine was given up."""

    OUTBID = "outbid"
    GONE = "gone"
    HOST_OFFLINE = "host_offline"
    EXITED = "exited"
    SILENT = "silent"
    REBOOTED = "rebooted"  # the machine answers; agent and work are not running on it
    CONTRACT_ENDED = "contract_ended"
    REFUSED = "refused"  # its host key changed, or it would not have us
    REQUESTED = "requested"
    NOTICE = "notice"  # its provider said that it takes the machine back, and it was left before
    STALLED = "stalled"  # the work ran and got nowhere
    CHEAPER = "cheaper"  # another machine costs so much less that the move pays
    DEADLINE = "deadline"  # the deadline calls for another kind of machine, or allows a cheaper kind
    DRILL = "drill"  # left to rehearse a loss, and kept until another machine has the work


LOSSES = (
    Cause.OUTBID,
    Cause.GONE,
    Cause.HOST_OFFLINE,
    Cause.EXITED,
    Cause.SILENT,
    Cause.CONTRACT_ENDED,
    Cause.REFUSED,
    Cause.NOTICE,
)
"""Machines that are lost for good, on no one's wish here."""

TAKEN_BACK = (Cause.OUTBID, Cause.NOTICE, Cause.GONE)
"""Losses that say something of a region's market, not of a host."""


class Reach(StrEnum):
    """What came of our own try to reach the machine."""

    ANSWERS = "answers"  # SSH and agent both answer
    NO_AGENT = "no_agent"  # SSH answers, the agent does not
    REFUSES = "refuses"  # the network answers, the login does not
    SILENT = "silent"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything known about one machine at one moment."""

    reach: Reach = Reach.NOT_TRIED
    silent_for: timedelta = timedelta()  # since the last sign of life by any path
    state: InstanceState = InstanceState.UNKNOWN  # the provider's word
    state_detail: str = ""
    provider_answers: bool = False  # the provider's API gave a usable answer just now
    we_are_online: bool = False  # another machine of ours let the same worker in just now
    own_side_doubtful: bool = False  # something speaks against the network or the key of the worker that tried
    stop_requested: bool = False  # we asked the provider to stop it
    charged: Decimal | None = None  # USD per hour, as the provider charges in this state; None: not told


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict with the reason that a person reads."""

    verdict: Verdict
    reason: str
    cause: Cause | None = None


@dataclass(frozen=True, kw_only=True)
class Phases:
    """Where the time of a recovery went. A phase that did not happen is zero."""

    detect: timedelta = timedelta()  # last sign of life → verdict
    decide: timedelta = timedelta()  # verdict → offer chosen (search and ranking included)
    provision: timedelta = timedelta()  # order → the provider accepted it
    boot: timedelta = timedelta()  # accepted → the machine can be reached
    connect: timedelta = timedelta()  # reachable → agent in place and machine probed
    restore: timedelta = timedelta()
    start: timedelta = timedelta()  # restored → the work's process runs
    progress: timedelta = timedelta()  # process runs → its first reported progress

    def total(self) -> timedelta:
        parts = (self.detect, self.decide, self.provision, self.boot)
        return sum((*parts, self.connect, self.restore, self.start, self.progress), timedelta())


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One machine tried during placement or failover."""

    epoch: int
    strategy: str
    provider: str
    offer_id: str
    machine_id: str
    hourly: Decimal
    outcome: str  # "running", or why not
    took: timedelta
    began_with: str = ""  # the copy of the workload's disk with which its own began; "": none


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One loss and its answer, as the record keeps it."""

    workload: str
    epoch_lost: int
    epoch_gained: int | None  # None when no machine could be had
    cause: Cause
    reason: str
    strategy: str
    silent_since: datetime  # last sign of life of the lost machine
    decided_at: datetime
    recovered_at: datetime | None  # first progress (or first heartbeat of work that reports none)
    phases: Phases
    recovery_time: timedelta | None
    work_lost: timedelta | None  # work done after the restored checkpoint was taken; None: nothing known was lost
    cost: Decimal = Decimal(0)  # USD spent between the loss and the recovery, on machines that did no work
    attempts: tuple[Attempt, ...] = field(default=())
