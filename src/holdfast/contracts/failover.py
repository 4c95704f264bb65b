"""What a `failover` workflow is asked and what it answers; also the record of a placement decision."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.incidents import Attempt, Cause, Phases
from holdfast.contracts.machines import Conduct, Lease
from holdfast.contracts.spec import Strategy, WorkloadSpec


@dataclass(frozen=True, kw_only=True)
class FailoverInput:
    """Answer the loss of `lost` with a machine on which the work runs again."""

    spec: WorkloadSpec
    lost: Lease
    cause: Cause
    reason: str
    silent_since: datetime
    decided_at: datetime
    epoch: int  # the newest epoch that was ever claimed
    head: CheckpointRef | None
    climbs: int = 0  # the whole ladder, in vain, so far; the next two are what was learnt by it
    attempts: tuple[Attempt, ...] = ()
    released: bool = False  # the lost machine is being let go
    only: Strategy | None = None  # what a person asked for, whatever the policy's order
    leave: bool = False  # for another machine, though the lost one answers
    drill: Decimal | None = None  # no loss but its rehearsal, for so many USD at most


@dataclass(frozen=True, kw_only=True)
class FailoverResult:
    """The machine on which the work runs again, and what it took to get there."""

    lease: Lease
    epoch: int  # the newest epoch claimed
    strategy: Strategy
    head: CheckpointRef | None
    phases: Phases
    started_at: datetime
    attempts: tuple[Attempt, ...]
    restored_from: CheckpointRef | None = None  # usually the head; an earlier one when the head could not be read
    kept_state: bool = False  # the same machine went on with what was on its disk
    aborted: str = ""  # why a drill brought the work to no other machine; "": it did, or it was none


@dataclass(frozen=True, kw_only=True)
class ReleaseInput:
    """Let one machine go. The label finds it even when its id was never learnt."""

    workload: str
    provider: str
    label: str
    instance_id: str  # "" when the launch never told us
    reason: str
    lease: Lease | None = None  # of a machine that had let us in: while it lives on, its work can be stopped
    conduct: Conduct = Conduct.NEUTRAL  # how it behaved
    failed_in: str = ""  # the step in which it failed us
    running_since: datetime | None = None  # by its provider's last word, told before it was to be ended
    heard: bool = False  # there was such a word
    asleep: bool = False  # its work was put to sleep, and needs no machine meanwhile


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a machine turned out to be when it was ended; the provider now knows nothing of it."""

    existed: bool  # there was one
    running_since: datetime | None = None
    heard: bool = True  # its provider said so, or that it did not run; False: nobody could tell


@dataclass(frozen=True, kw_only=True)
class RankedOffer:
    """One line of a ranking, good or rejected, small enough to keep for ever."""

    provider: str
    offer_id: str
    machine_id: str
    gpu: str
    gpu_count: int
    region: str
    hourly: Decimal
    reliability: float | None
    score: float | None  # lower is better, USD per hour after all adjustments; None for a rejected offer
    reason: str  # why it stands where it stands, or why it was rejected


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Why a machine was chosen. Recomputing it from the history gives the same answer."""

    workload: str
    epoch: int  # the first epoch tried because of it
    made_at: datetime
    occasion: str  # "placement" or "failover: outbid"
    strategy: str
    reason: str
    chosen: tuple[RankedOffer, ...]
    rejected: tuple[RankedOffer, ...]
    rejected_total: int
    times: int = 1  # how often, in a row, nothing fitted; the ranking is the newest
    last_made_at: datetime | None = None  # None: it came out so once
    avoid: tuple[str, ...] | None = None  # machines that had failed just before; None: an older version did not say
    regions_first: bool = False  # an earlier region came before a later one, whatever it cost
