"""What other programs say to a `workload` workflow, and what it answers."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.disks import DiskCopy
from holdfast.contracts.incidents import Incident, Phases
from holdfast.contracts.machines import InstanceState, Lease
from holdfast.contracts.spec import PauseMode, Strategy, WorkloadSpec


class Phase(StrEnum):
    """Where a workload is in its life. Also the search attribute `HoldfastState`."""

    PLACING = "placing"  # searching, renting, booting, restoring
    RUNNING = "running"
    SUSPECT = "suspect"  # silent; evidence is being weighed
    FAILING_OVER = "failing_over"
    WAITING = "waiting"  # no machine can be had at the moment; tries again by itself
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (Phase.STOPPED, Phase.FINISHED, Phase.FAILED)


class Upshot(StrEnum):
    """Why a workload ended, for whoever owns it: what follows differs."""

    FINISHED = "finished"
    CODE = "code"  # the command ended with an error
    SETUP = "setup"  # the setup command did
    NO_MACHINE = "no_machine"  # nothing for rent fits the spec
    LOST = "lost"  # its machine was, and the policy has no way to another
    NOT_SAVED = "not_saved"  # the command ended, and what it left could not be saved
    BUDGET = "budget"
    ASKED = "asked"  # to stop
    CANCELLED = "cancelled"
    UNFORESEEN = "unforeseen"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a workload's timeline."""

    at: datetime
    what: str
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """From when on spot could be had, or no more."""

    at: datetime
    up: bool


@dataclass(frozen=True, kw_only=True)
class DeadlineState:
    """What the keeping of a deadline stands on, from run to run."""

    begun_at: datetime
    earned: timedelta = timedelta()  # work that was saved on the machines before this one
    seen: tuple[Seen, ...] = ()
    next_review: datetime | None = None  # None: not until the machine is lost
    slack: timedelta = timedelta()  # time left less work left, when last asked
    reason: str = ""  # of the last answer


@dataclass(frozen=True, kw_only=True)
class DeadlineStatus:
    """How a deadline stood when the policy was last asked."""

    ends_at: datetime
    work: timedelta
    done: timedelta  # of it, and saved
    slack: timedelta  # time left less work left; negative: it will be missed
    reason: str  # why the work runs on what it runs on, or waits


@dataclass(frozen=True, kw_only=True)
class PauseRequest:
    """Update `pause`."""

    mode: PauseMode = PauseMode.STOP
    reason: str = "asked to pause"
    careful: bool = False  # save first while it still works; where that fails it is not paused


@dataclass(frozen=True, kw_only=True)
class Want:
    """Signal `want`, from whoever owns a workload: be awake, or asleep, from now on, whatever comes between."""

    awake: bool
    mode: PauseMode = PauseMode.STOP  # how it sleeps
    reason: str = ""
    owner: str = ""  # who says so, where that is not certain: a workload heeds its own owner only


@dataclass(frozen=True, kw_only=True)
class ReplicaWord:
    """Signal `replica_said`, from a workload to the workflow that owns it."""

    workload: str
    phase: Phase
    reason: str
    lease: Lease | None
    started_at: datetime | None = None  # when the work's process last started
    phases: Phases | None = None  # where the time went before that
    upshot: Upshot | None = None  # once it is over
    exit_code: int | None = None
    head: CheckpointRef | None = None  # what was saved last
    incidents: int = 0


@dataclass(frozen=True, kw_only=True)
class WorkloadState:
    """What a workload carries from run to run when it continues as new."""

    epoch: int
    lease: Lease | None
    head: CheckpointRef | None
    phase: Phase
    since: datetime
    started_at: datetime | None = None  # when the work's process last started
    incidents: int = 0
    timeline: tuple[Event, ...] = ()
    pending_incident: Incident | None = None  # recovered, first progress not yet seen
    searches: int = 0  # for a first machine, so far
    failed_saves: int = 0  # last saves of ended work, in a row
    last_sign: datetime | None = None  # of life, from the machine
    attached: "AttachMessage | None" = None  # what `checkpoint_sync` was last told to save from
    metered: InstanceState = InstanceState.RUNNING  # the state in which the machine is charged for
    reason: str = ""  # of the phase
    moves: tuple[datetime, ...] = ()  # to another machine in the last 24 hours, oldest first
    stalled_since: datetime | None = None  # since when the work gets nowhere, as its owner was told
    deadline: DeadlineState | None = None
    disk: DiskCopy | None = None
    want: Want | None = None  # its owner's, not yet fulfilled
    wanted_at: datetime | None = None  # when it was told to wake, while it has no machine yet


@dataclass(frozen=True, kw_only=True)
class WorkloadInput:
    """Start a workload. Only `spec` is needed; the rest is Holdfast's own."""

    spec: WorkloadSpec
    workdir: CheckpointRef | None = None  # checkpoint zero, already in the store
    resume: WorkloadState | None = None
    owner: str = ""  # id of the workflow that is told of each phase, and whose word `want` counts; "": nobody's


@dataclass(frozen=True, kw_only=True)
class WorkloadStatus:
    """The answer of the query `status`."""

    name: str
    phase: Phase
    reason: str
    since: datetime
    epoch: int
    lease: Lease | None
    head: CheckpointRef | None
    incidents: int
    started_at: datetime | None = None
    deadline: DeadlineStatus | None = None
    disk: DiskCopy | None = None  # the newest copy of its disk, with which the next machine there may begin


@dataclass(frozen=True, kw_only=True)
class WorkloadResult:
    """How a workload ended."""

    name: str
    phase: Phase
    exit_code: int | None
    reason: str
    epoch: int
    incidents: int
    head: CheckpointRef | None


@dataclass(frozen=True, kw_only=True)
class FailoverRequest:
    """Update `failover`: leave this machine for another."""

    reason: str = "requested"
    save_first: bool = True
    strategy: Strategy | None = None  # by this one alone; None: as the policy says
    drill: Decimal | None = None  # rehearse a loss for so many USD at most; always saves first


@dataclass(frozen=True, kw_only=True)
class StopRequest:
    """Update `stop`: end the work and let the machine go."""

    reason: str = "requested"
    save: bool = True
    for_budget: bool = False  # a budget is used up: Holdfast's own


@dataclass(frozen=True, kw_only=True)
class Ack:
    """The answer of an update that changed something."""

    phase: Phase
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class SyncInput:
    """Start `checkpoint_sync` for one workload."""

    spec: WorkloadSpec
    lease: Lease | None = None
    head: CheckpointRef | None = None
    base: CheckpointRef | None = None


@dataclass(frozen=True, kw_only=True)
class AttachMessage:
    """Signal `attach` to `checkpoint_sync`: save from this machine from now on."""

    lease: Lease
    head: CheckpointRef | None
    base: CheckpointRef | None = None  # what the next save may build on: known to be sound
    spec: WorkloadSpec | None = None  # of this run of the workload: an earlier run's saver may still be there


@dataclass(frozen=True, kw_only=True)
class SaveRequest:
    """Signal `request_save` to `checkpoint_sync`; it answers the workload with signal `save_answered`."""

    request_id: str
    reason: SaveReason


@dataclass(frozen=True, kw_only=True)
class SaveAnswer:
    """Exactly one of `checkpoint` and `error` is set."""

    request_id: str
    checkpoint: CheckpointRef | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The answer of query `catalog`: what this run of `checkpoint_sync` has seen."""

    head: CheckpointRef | None
    saving: bool
    last_error: str = ""
    recent: tuple[CheckpointRef, ...] = field(default=())
