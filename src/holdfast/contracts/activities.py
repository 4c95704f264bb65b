"""Every activity as its callers see it: a name and two types. The bodies live in `holdfast.activities`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import activity

from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason, VerifySummary
from holdfast.contracts.deployments import ReleaseOrder, SmokeRequest, SmokeVerdict
from holdfast.contracts.disks import (
    CopyPlan,
    DiskCopy,
    DropCopyInput,
    JudgeCopiesInput,
    PlanCopyInput,
    TakeCopyInput,
    TakenCopy,
)
from holdfast.contracts.endpoints import EndpointCard, EndpointSpec, Pass, Wake
from holdfast.contracts.failover import Decision
from holdfast.contracts.fine_tuning import AdoptTunedInput, TunedModel
from holdfast.contracts.forecasts import (
    FitInput,
    Fitted,
    ForecastKey,
    HourlyPrices,
    ListForecastsInput,
    PlanRefitsInput,
    ReadHourlyInput,
    RecordedForecast,
)
from holdfast.contracts.incidents import Incident, Reach
from holdfast.contracts.jobs import InputSpec, JobOutputs, JobSpec, JobStatus, StagedInput
from holdfast.contracts.machines import (
    Awaited,
    Conduct,
    Instance,
    LaunchResult,
    Lease,
    Offer,
    OpenLease,
    Probe,
    Requirements,
)
from holdfast.contracts.market import (
    AdviseStartInput,
    Asking,
    AskingsInput,
    ListPricesInput,
    MarketPoint,
    PlanSurveyInput,
    PricedOffers,
    PricedSeries,
    PriceOffersInput,
    PricePage,
    PricesInput,
    ReadFeedInput,
    RecordedPrices,
    RecordPricesInput,
    StartWord,
    SurveyPlan,
    ThinInput,
    Thinned,
)
from holdfast.contracts.memory import (
    BanInput,
    ListMachinesInput,
    MachineHistory,
    MachineKey,
    MachineMemory,
    PlaceMemory,
    PlaceRisk,
    PlaceRisksInput,
    RecallInput,
    Recollection,
    StrategyRecord,
)
from holdfast.contracts.models import (
    AddModelInput,
    FindModelInput,
    ListModelsInput,
    ModelKey,
    ModelPlan,
    ModelVersion,
    RegisterModelInput,
    StoredModel,
)
from holdfast.contracts.money import (
    BudgetWord,
    Charge,
    ChargesInput,
    CostPage,
    CostsInput,
    Drift,
    MeterInput,
    ReconcileInput,
    SetBudgetInput,
    Standing,
    StandingsInput,
)
from holdfast.contracts.notifications import ListNotificationsInput, Notification
from holdfast.contracts.pools import ClaimAnswer, ClaimRequest, HandOverInput, HandOverResult, PoolDemand
from holdfast.contracts.reports import Part, WorkloadReport
from holdfast.contracts.savings import LivesInput, LivesPage, LossesInput, LossLine
from holdfast.contracts.spec import ServiceSpec, WorkloadSpec
from holdfast.contracts.sweeping import Finding, JudgeInput, Look, LookInput, Stock
from holdfast.contracts.workload import Phase

# --- records (queue: holdfast) ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OpenWorkloadInput:
    spec: WorkloadSpec
    workdir: CheckpointRef | None
    run_id: str  # first run id of the chain: a repeated call opens nothing twice
    pool: bool = False  # opened by a warm pool, for its standbys


@dataclass(frozen=True, kw_only=True)
class OpenWorkloadResult:
    epoch: int  # newest epoch ever claimed under this name; the next machine gets a higher one
    head: CheckpointRef | None
    providers: tuple[str, ...] = ()  # every configured provider, for a spec that names none


@dataclass(frozen=True, kw_only=True)
class ClaimEpochInput:
    """Raise the fence to `epoch` and note, before a cent is spent, what is about to be rented."""

    workload: str
    epoch: int
    offer: Offer | None  # None: the same machine goes on under a new epoch, nothing is rented
    decision: Decision | None = None  # why this offer, to be put on record as well, whatever comes of the claim
    wanted_at: datetime | None = None  # when the workload, which slept without a machine, was told to wake


@dataclass(frozen=True, kw_only=True)
class ClaimEpochResult:
    head: CheckpointRef | None  # the newest committed checkpoint at that moment
    earlier: tuple[CheckpointRef, ...] = ()  # what to fall back on when the head cannot be read, newest first
    label: str = ""  # for the machine; "" from workers that knew no marks, and where nothing is rented
    disk: DiskCopy | None = None  # the newest copy of the workload's disk at the offer's provider


@dataclass(frozen=True, kw_only=True)
class CloseLeaseInput:
    label: str
    closed_at: datetime
    reason: str
    conduct: Conduct = Conduct.NEUTRAL  # how the machine behaved
    failed_in: str = ""  # the step in which it failed us
    existed: bool = False  # there was a machine, whether or not its launch was ever heard of
    running_since: datetime | None = None  # by its provider's last word, which may be news
    heard: bool = True  # its provider said so, or that it did not run; False: nobody could tell
    asleep: bool = False  # it was let go to put its work to sleep


@dataclass(frozen=True, kw_only=True)
class CommitCheckpointInput:
    checkpoint: CheckpointRef
    expected_sequence: int | None  # the head's sequence that the save was built on; None: no head yet
    keep: int = 0  # retire all but so many of the newest, and checkpoint zero; 0 retires nothing


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    workload: str
    part: Part | None = None  # this list alone, as much of it as an answer holds; None: the newest of each
    oldest: int | None = None  # of the list only so many of the oldest, to page towards the beginning; None: all


@dataclass(frozen=True, kw_only=True)
class CloseWorkloadInput:
    workload: str
    phase: Phase
    reason: str
    closed_at: datetime


@dataclass(frozen=True, kw_only=True)
class MarkVerifiedInput:
    workload: str
    manifest: str
    verified_at: datetime


@dataclass(frozen=True, kw_only=True)
class ForgetInput:
    workload: str
    keep: int  # so many of the newest of its last run


@dataclass(frozen=True, kw_only=True)
class ForgetResult:
    forgotten: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class CheckpointPlace:
    """Where a checkpoint stands among all that are on record; it keeps its place."""

    workload: str
    generation: int
    sequence: int


@dataclass(frozen=True, kw_only=True)
class ListLiveInput:
    after: CheckpointPlace | None = None  # where the last page ended; None begins


@dataclass(frozen=True, kw_only=True)
class ListLiveResult:
    manifests: tuple[str, ...]
    last: CheckpointPlace | None  # None: that was all


def _stub() -> NotImplementedError:
    return NotImplementedError("a stub: the body is registered by a worker under this name")


@activity.defn
async def open_workload(order: OpenWorkloadInput) -> OpenWorkloadResult:
    raise _stub()


@activity.defn
async def claim_epoch(order: ClaimEpochInput) -> ClaimEpochResult:
    raise _stub()


@activity.defn
async def record_lease(lease: Lease) -> None:
    """Write down what was rented. Repeated with newer facts it updates them."""
    raise _stub()


@activity.defn
async def close_lease(order: CloseLeaseInput) -> Decimal:
    """Close the cost line and return what the lease cost in USD, by our own meter."""
    raise _stub()


@activity.defn
async def meter_lease(order: MeterInput) -> None:
    """Note that a machine is charged for in another way from a moment on. Repeated, or late, it changes nothing."""
    raise _stub()


@activity.defn
async def keep_budget(workload: str) -> BudgetWord:
    """Settle what a workload's machines have cost, reserve what comes next, and say whether a budget ends the work."""
    raise _stub()


@activity.defn
async def set_budget(order: SetBudgetInput) -> list[Standing]:
    """Replace or remove a budget; how it stands now, nothing if it was removed."""
    raise _stub()


@activity.defn
async def read_budgets(order: StandingsInput) -> list[Standing]:
    raise _stub()


@activity.defn
async def read_costs(order: CostsInput) -> CostPage:
    """A page of the cost lines of every machine ever rented."""
    raise _stub()


@activity.defn
async def read_lives(order: LivesInput) -> LivesPage:
    """A page of what every workload's machine was charged for, and when, for what sleeping saved."""
    raise _stub()


@activity.defn
async def read_losses(order: LossesInput) -> list[LossLine]:
    """What interruptions came to for each workload in a stretch of time, and what it sent to the store."""
    raise _stub()


@activity.defn
async def record_prices(order: RecordPricesInput) -> RecordedPrices:
    """Write points of price series down. Repeated, it changes nothing."""
    raise _stub()


@activity.defn
async def read_prices(order: PricesInput) -> PricePage:
    """A page of points."""
    raise _stub()


@activity.defn
async def list_prices(order: ListPricesInput) -> list[PricedSeries]:
    """Which series are on record, and from when to when."""
    raise _stub()


@activity.defn
async def list_priced_gpus(order: ListPricesInput) -> list[str]:
    """Every GPU of which there is a price."""
    raise _stub()


@activity.defn
async def list_askings(order: AskingsInput) -> list[Asking]:
    """How surveys went, the newest first."""
    raise _stub()


@activity.defn
async def plan_survey(order: PlanSurveyInput) -> SurveyPlan:
    """What is known before a provider is asked for prices."""
    raise _stub()


@activity.defn
async def thin_prices(order: ThinInput) -> Thinned:
    """Down-sample old points, and forget very old ones. Repeated, it finds nothing left to do."""
    raise _stub()


@activity.defn
async def plan_refits(order: PlanRefitsInput) -> list[ForecastKey]:
    """Series with enough prices, and a newer one than their forecast knows; those first that waited longest."""
    raise _stub()


@activity.defn
async def read_hourly(order: ReadHourlyInput) -> list[HourlyPrices]:
    """The last four weeks of some series, by the hour."""
    raise _stub()


@activity.defn
async def record_forecasts(made: list[RecordedForecast]) -> int:
    """Replace the forecasts of some series; so many were newer. Repeated, it changes nothing."""
    raise _stub()


@activity.defn
async def list_forecasts(order: ListForecastsInput) -> list[RecordedForecast]:
    """The newest forecast of each series."""
    raise _stub()


@activity.defn
async def reconcile_charges(order: ReconcileInput) -> Drift:
    """Hold our meter against what a provider charges."""
    raise _stub()


@activity.defn
async def open_leases(workload: str) -> list[OpenLease]:
    """The workload's cost lines that are not closed, of this run and of earlier ones, oldest first; some of many."""
    raise _stub()


@activity.defn
async def take_stock(provider: str) -> Stock:
    """What is owned at a provider: the open cost lines, told apart by whether their workload runs."""
    raise _stub()


@activity.defn
async def judge_strangers(order: JudgeInput) -> list[Finding]:
    """Say what becomes of machines that nobody owns, and remember them for the next sweep."""
    raise _stub()


@activity.defn
async def recall_machines(order: RecallInput) -> list[MachineMemory]:
    """What is remembered of these machines; nothing of those never had."""
    raise _stub()


@activity.defn
async def recall(order: RecallInput) -> Recollection:
    """How machines behaved when we had them, and where nothing is rented for a while."""
    raise _stub()


@activity.defn
async def closed_places() -> list[PlaceMemory]:
    """Providers and regions where one machine after the other failed us: nothing is rented there for a while."""
    raise _stub()


@activity.defn
async def place_risks(order: PlaceRisksInput) -> list[PlaceRisk]:
    """How likely interruptible machines are to be taken back, by region; nothing of regions never rented in."""
    raise _stub()


@activity.defn
async def strategy_records() -> list[StrategyRecord]:
    """How long recoveries took lately, by strategy; nothing of those that never happened."""
    raise _stub()


@activity.defn
async def list_machines(order: ListMachinesInput) -> list[MachineMemory]:
    """The machines that we ever had, or that somebody banned."""
    raise _stub()


@activity.defn
async def machine_history(order: MachineKey) -> MachineHistory | None:
    """The times that we had a machine; None for one that we never had."""
    raise _stub()


@activity.defn
async def list_notifications(order: ListNotificationsInput) -> list[Notification]:
    """What was told by webhook lately, and how that went; the newest first."""
    raise _stub()


@activity.defn
async def ban_machine(order: BanInput) -> MachineMemory:
    """Ban a machine, or lift its ban."""
    raise _stub()


@activity.defn
async def claim_standby(order: ClaimRequest) -> ClaimAnswer:
    """Ask a warm pool for a machine. Repeated, it gets the same answer."""
    raise _stub()


@activity.defn
async def pool_demand(pool: str) -> PoolDemand:
    """What is on record of the losses that a warm pool is there for."""
    raise _stub()


@activity.defn
async def hand_over_standby(order: HandOverInput) -> HandOverResult:
    """Raise a workload's fence and make a pool's standby its machine, both or neither. Repeated, it changes nothing."""
    raise _stub()


@activity.defn
async def commit_checkpoint(order: CommitCheckpointInput) -> CheckpointRef:
    """Move the head. Fails with `Fenced` or `Superseded`; a repeat of a commit that happened returns it."""
    raise _stub()


@activity.defn
async def read_head(workload: str) -> CheckpointRef | None:
    """The newest committed checkpoint of the present run, or None."""
    raise _stub()


@activity.defn
async def mark_verified(order: MarkVerifiedInput) -> None:
    """Note that every chunk of a committed checkpoint was read back and found sound."""
    raise _stub()


@activity.defn
async def forget_checkpoints(order: ForgetInput) -> ForgetResult | None:
    """Retire what earlier runs of the name left, and of an ended last run what is not kept. None: no such name."""
    raise _stub()


@activity.defn
async def live_manifests() -> list[str]:
    """The manifest of every checkpoint of every workload that was not retired. For runs of an older release."""
    raise _stub()


@activity.defn
async def list_live_manifests(order: ListLiveInput) -> ListLiveResult:
    """A page of the manifests of every checkpoint, of every run of every workload, that was not retired."""
    raise _stub()


@activity.defn
async def plan_disk_copy(order: PlanCopyInput) -> CopyPlan:
    """Say whether a copy is due; one that is, is written down before anybody asks for it. Repeated, it is the same."""
    raise _stub()


@activity.defn
async def record_disk_copy(copy: DiskCopy) -> list[DiskCopy]:
    """Note that a copy is whole. Returns the workload's others, for which there is no use any more."""
    raise _stub()


@activity.defn
async def open_disk_copies(workload: str) -> list[DiskCopy]:
    """The workload's copies that may cost money, of this run and of earlier ones, oldest first."""
    raise _stub()


@activity.defn
async def close_disk_copy(name: str) -> None:
    """Note that a copy is gone."""
    raise _stub()


@activity.defn
async def judge_disk_copies(order: JudgeCopiesInput) -> list[str]:
    """Which copies without an owner are to be dropped now; the others are remembered for the next sweep."""
    raise _stub()


@activity.defn
async def find_model(order: FindModelInput) -> ModelVersion | None:
    """The living version that came from this very revision of this source."""
    raise _stub()


@activity.defn
async def add_model(order: AddModelInput) -> ModelVersion:
    """Give stored files a version. Repeated, or for content that has one, it is the same version."""
    raise _stub()


@activity.defn
async def read_model(key: ModelKey) -> ModelVersion | None:
    """One version with its files; without a number the newest that was not removed."""
    raise _stub()


@activity.defn
async def list_models(order: ListModelsInput) -> list[ModelVersion]:
    """Versions without their files, by name and number."""
    raise _stub()


@activity.defn
async def retire_model(key: ModelKey) -> list[ModelVersion]:
    """Take a version, or all, out of use; their bytes go with the garbage. Tells what this call retired."""
    raise _stub()


@activity.defn
async def record_incident(incident: Incident) -> None:
    """Keep an incident; the same (workload, lost epoch) again replaces it."""
    raise _stub()


@activity.defn
async def record_decision(decision: Decision) -> None:
    raise _stub()


@activity.defn
async def close_workload(order: CloseWorkloadInput) -> None:
    raise _stub()


@activity.defn
async def report_workload(order: ReportInput) -> WorkloadReport | None:
    """What is recorded about a workload, cut to what an answer holds, or None for a name never seen."""
    raise _stub()


# --- providers (queue: provider-<name>) ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SearchInput:
    provider: str
    requirements: Requirements


@dataclass(frozen=True, kw_only=True)
class LaunchInput:
    offer: Offer
    label: str
    image: str
    disk_gb: int
    lease: Lease | None = None  # to be put on record with what was rented; None: the workflow does that itself
    from_snapshot: str = ""  # a copy with which its disk begins, if that is still there


@dataclass(frozen=True, kw_only=True)
class MachineInput:
    provider: str
    instance_id: str
    hurry: bool = False  # somebody's work stands still until the answer is there


@dataclass(frozen=True, kw_only=True)
class AwaitRunningInput:
    provider: str
    instance_id: str
    patience: timedelta
    restarted: bool = False  # the provider's last word on the stop before may linger
    lease: Lease | None = None  # to be put on record as running; None: the workflow does that itself
    ordered_at: datetime | None = None  # with `lease`: when its provider was asked for it


@dataclass(frozen=True, kw_only=True)
class ReapInput:
    """Destroy whatever wears this label, and wait until the provider knows none of it."""

    provider: str
    label: str
    wait_out_lag: bool = True  # look for as long as a fresh machine may be missing from listings


@dataclass(frozen=True, kw_only=True)
class WatchProviderInput:
    provider: str
    every: timedelta


@activity.defn
async def search_offers(order: SearchInput) -> list[Offer]:
    raise _stub()


@activity.defn
async def price_offers(order: PriceOffersInput) -> PricedOffers:
    """Search for some of these GPUs, at all terms, and tell what they are offered for, not each offer."""
    raise _stub()


@activity.defn
async def read_feed(order: ReadFeedInput) -> list[MarketPoint] | None:
    """What the provider itself tells of a GPU's past prices; None: it has no such history."""
    raise _stub()


@activity.defn
async def launch(order: LaunchInput) -> LaunchResult:
    """Rent, or adopt what an earlier try rented under the same label."""
    raise _stub()


@activity.defn
async def await_running(order: AwaitRunningInput) -> Awaited:
    """Wait until the instance runs and has an address, or can never run, or patience ends: then as it is."""
    raise _stub()


@activity.defn
async def inspect(order: MachineInput) -> Instance:
    raise _stub()


@activity.defn
async def destroy(order: MachineInput) -> datetime | None:
    """Destroy until the provider answers that it does not know the instance.

    Returns since when it ran, by the provider's last word; None where it did not, or where that is not told.
    """
    raise _stub()


@activity.defn
async def reap(order: ReapInput) -> int:
    """Return how many machines were found and destroyed."""
    raise _stub()


@activity.defn
async def look_for_strangers(order: LookInput) -> Look:
    """List the provider's machines and return those under a label of ours that nobody owns, or why to doubt it."""
    raise _stub()


@activity.defn
async def require_pausing(provider: str) -> None:
    """Refuse, before anything is stopped, where a machine cannot be stopped with its disk kept."""
    raise _stub()


@activity.defn
async def stop_instance(order: MachineInput) -> None:
    raise _stub()


@activity.defn
async def start_instance(order: MachineInput) -> Instance:
    """Ask for the start; the answer may be WAITING when the GPU is taken."""
    raise _stub()


@activity.defn
async def take_disk_copy(order: TakeCopyInput) -> TakenCopy:
    """Copy a machine's disk under this name, and wait until the copy is whole. Repeated, it is the same copy."""
    raise _stub()


@activity.defn
async def drop_disk_copy(order: DropCopyInput) -> None:
    """Drop a copy until the provider answers that it does not know it."""
    raise _stub()


@activity.defn
async def read_charges(order: ChargesInput) -> list[Charge] | None:
    """What the provider charges for each machine that existed since then; None when it does not tell."""
    raise _stub()


@activity.defn
async def watch_provider(order: WatchProviderInput) -> None:
    """List the provider's machines for a shift; signal `provider_said` to a workload when its machine changed."""
    raise _stub()


# --- hosts (queue: hosts) --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LeftAlone:
    """What a machine does when nobody renews its lease any more."""

    finish: bool  # the work is not stopped
    end_after: timedelta  # from the end of the work to the end of the machine, where it can end itself


@dataclass(frozen=True, kw_only=True)
class SettleInput:
    """Reach a machine for the first time, put the agent on it and see what it really is."""

    lease: Lease
    requirements: Requirements
    patience: timedelta
    deadman: timedelta  # the agent stops the work when nobody renewed its lease for so long
    alone: LeftAlone | None = None  # what else it does then; None: of an older workflow


@dataclass(frozen=True, kw_only=True)
class SettleResult:
    host_key: str
    probe: Probe
    reachable_after: timedelta  # until SSH answered; still part of the machine's boot


@dataclass(frozen=True, kw_only=True)
class RestoreInput:
    lease: Lease
    workspace: str
    manifest: str
    deadman: timedelta | None = None  # keep the agent's lease alive meanwhile, for so long each time
    alone: LeftAlone | None = None


@dataclass(frozen=True, kw_only=True)
class StartWorkInput:
    lease: Lease
    spec: WorkloadSpec
    sequence: int | None  # the checkpoint that was restored, None for an empty workspace


@dataclass(frozen=True, kw_only=True)
class StartWorkResult:
    started_at: datetime


@dataclass(frozen=True, kw_only=True)
class ResumeInput:
    """What is restored, and what is started on it."""

    restore: RestoreInput
    start: StartWorkInput


@dataclass(frozen=True, kw_only=True)
class ResumeResult:
    restored: RestoreSummary
    restored_at: datetime
    started_at: datetime


@dataclass(frozen=True, kw_only=True)
class WatchMachineInput:
    lease: Lease
    spec: WorkloadSpec
    started_at: datetime
    announce_progress: bool  # signal `progressed` to the workload at the first progress seen
    deadman: timedelta
    reports_progress: bool = False  # it is known to: none yet is none since its start
    stalled_since: datetime | None = None  # since when the work gets nowhere, if the workload knows that it does not


@dataclass(frozen=True, kw_only=True)
class MachineReport:
    """Why `watch_machine` stopped watching."""

    reach: Reach
    last_sign: datetime  # the last sign of life from the machine
    finished: bool = False  # the work's process has ended
    exit_code: int | None = None
    detail: str = ""
    progress: str = ""
    taken_at: datetime | None = None  # its provider gave notice: the machine is taken back then, at the earliest
    stalled_since: datetime | None = None  # the work has made no progress since, and its GPU is idle
    gets_on: bool = False  # it had stalled, and makes progress again
    unused: bool = False  # for as long as the spec wants before it sleeps


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """Heartbeat details of `watch_machine`: the freshest facts on the work, for `holdfast status`."""

    at: datetime
    progress: str = ""
    progress_at: datetime | None = None
    gpu_percent: float | None = None
    gpu_memory_mb: float | None = None
    cpu_percent: float | None = None
    memory_mb: float | None = None
    disk_free_mb: float | None = None
    log_bytes: int = 0
    step: int | None = None  # of the work, as it says; None: it does not
    steps: int | None = None  # that there are


@dataclass(frozen=True, kw_only=True)
class ReachInput:
    lease: Lease


@dataclass(frozen=True, kw_only=True)
class ReachResult:
    reach: Reach
    at: datetime
    detail: str = ""
    work_running: bool = False
    we_are_online: bool = False  # this machine, or another one of ours, answered this worker just now
    own_side_doubtful: bool = False  # others do not answer this worker either, or its key was never let in there


@dataclass(frozen=True, kw_only=True)
class StopWorkInput:
    lease: Lease
    grace: timedelta


@dataclass(frozen=True, kw_only=True)
class SaveInput:
    """Save the workspace; nothing is committed yet: `commit_checkpoint` does that with the answer."""

    lease: Lease
    spec: WorkloadSpec
    reason: SaveReason
    base: CheckpointRef | None  # the head: what is already in the store
    sequence: int


@dataclass(frozen=True, kw_only=True)
class ReadLogsInput:
    workload: str
    cursor: str = ""  # from the last answer; "" starts at the beginning
    max_bytes: int = 65_536
    wait: timedelta = timedelta()  # wait so long for something new
    series: bool = False  # not its output, but the numbers that it wrote of itself


@dataclass(frozen=True, kw_only=True)
class ReadLogsResult:
    text: str
    cursor: str
    epoch: int | None = None


@activity.defn
async def missing_secrets(names: list[str]) -> list[str]:
    """Which of these secrets the host workers do not have."""
    raise _stub()


@activity.defn
async def settle_in(order: SettleInput) -> SettleResult:
    raise _stub()


@activity.defn
async def restore_checkpoint(order: RestoreInput) -> RestoreSummary:
    raise _stub()


@activity.defn
async def resume_work(order: ResumeInput) -> ResumeResult:
    """Restore a checkpoint, then start the work on it. A failure's first detail is the part that failed."""
    raise _stub()


@activity.defn
async def start_work(order: StartWorkInput) -> StartWorkResult:
    raise _stub()


@activity.defn
async def watch_machine(order: WatchMachineInput) -> MachineReport:
    """Hold the SSH session, renew the lease, save the log; return when the work ended or the machine fell silent."""
    raise _stub()


@activity.defn
async def try_reach(order: ReachInput) -> ReachResult:
    raise _stub()


@activity.defn
async def stop_work(order: StopWorkInput) -> None:
    raise _stub()


@activity.defn
async def save_checkpoint(order: SaveInput) -> CheckpointRef:
    raise _stub()


@activity.defn
async def read_logs(order: ReadLogsInput) -> ReadLogsResult:
    raise _stub()


@activity.defn
async def forget_logs(workloads: list[str]) -> int:
    """Delete what they wrote, its numbers too; how many pieces there were. Repeats find none."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class AwaitServiceInput:
    lease: Lease
    service: ServiceSpec


@dataclass(frozen=True, kw_only=True)
class ServiceReady:
    """The work answers its health check with 2xx."""

    port: int  # on which it does
    after: timedelta  # since the first question
    first_byte: timedelta  # from the last question to the first byte of its answer


@activity.defn
async def await_service(order: AwaitServiceInput) -> ServiceReady:
    """Ask the health check, through SSH, until it is answered with 2xx. Fails with `ServiceNotReady`."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class SmokeTestInput:
    lease: Lease
    port: int
    request: SmokeRequest


@activity.defn
async def smoke_test(order: SmokeTestInput) -> SmokeVerdict:
    """Ask the work on a machine what its callers would ask, through SSH, and judge the answer."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class FetchModelInput:
    order: RegisterModelInput
    plan: ModelPlan


@activity.defn
async def plan_model(order: RegisterModelInput) -> ModelPlan:
    """Ask a model's source what there is, and settle on a revision. Nothing is fetched."""
    raise _stub()


@activity.defn
async def fetch_model(order: FetchModelInput) -> StoredModel:
    """Bring a model's files from its source to the store. A next try goes on with what is whole already."""
    raise _stub()


@activity.defn
async def adopt_tuned(order: AdoptTunedInput) -> TunedModel:
    """Bring what a training left behind into a model's own files in the store, every file hashed."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class OrderReleaseInput:
    """A release of a deployment, which begins with it where there is none."""

    deployment: str
    order: ReleaseOrder
    token_hashes: tuple[str, ...]  # of callers, if it begins
    mark: str  # the same order again is the same release


@dataclass(frozen=True, kw_only=True)
class OrderedRelease:
    number: int
    endpoint: str


@activity.defn
async def order_release(order: OrderReleaseInput) -> OrderedRelease:
    """Have a deployment bring it up. Fails with `InvalidState`, to be tried again, while another is under way."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class CollectGarbageInput:
    live: list[str]
    grace: timedelta  # longer than the longest save


@dataclass(frozen=True, kw_only=True)
class CollectGarbageResult:
    kept: int  # objects
    condemned: int  # to be deleted by a later run, if still unnamed
    deleted: int
    bytes_deleted: int
    live: int = 0  # checkpoints


@activity.defn
async def collect_garbage(order: CollectGarbageInput) -> CollectGarbageResult:
    """Delete what no live checkpoint names and an earlier run condemned. For runs of an older release."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class CollectUnneededInput:
    grace: timedelta  # longer than the longest save


@activity.defn
async def collect_unneeded(order: CollectUnneededInput) -> CollectGarbageResult:
    """Ask the records which checkpoints live, and delete what none names and an earlier run condemned."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class FillMirrorInput:
    mirror: str  # its name in the settings of the host workers


@dataclass(frozen=True, kw_only=True)
class FillMirrorResult:
    live: int  # checkpoints
    lacking: int  # of those live: not in the mirror when the run began
    checkpoints: int  # copied
    packs: int  # copied
    bytes_copied: int
    waiting: int  # of those lacking: to be copied when the mirror's garbage is settled
    unsound: int  # of those lacking: the main store does not have them whole


@activity.defn
async def fill_mirror(order: FillMirrorInput) -> FillMirrorResult:
    """Ask the records which checkpoints live, and copy to the mirror those that it lacks."""
    raise _stub()


# --- endpoints (queue: holdfast) ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RecordEndpointInput:
    spec: EndpointSpec
    token_hashes: tuple[str, ...]
    at: datetime
    deployment: str = ""


@dataclass(frozen=True, kw_only=True)
class ShiftTrafficInput:
    """From now on the deployment's name leads to this endpoint, and to no other."""

    deployment: str
    endpoint: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class WakeEndpointInput:
    endpoint: str
    caller: str  # as whom


@dataclass(frozen=True, kw_only=True)
class ReadWakesInput:
    endpoint: str
    newest: int = 1000


@activity.defn
async def record_endpoint(order: RecordEndpointInput) -> None:
    """From now on gateways know it, by these words."""
    raise _stub()


@activity.defn
async def close_endpoint(name: str) -> None:
    """Gateways know it no more. What it did stays on record."""
    raise _stub()


@activity.defn
async def shift_traffic(order: ShiftTrafficInput) -> None:
    """One transaction: gateways know the one endpoint by the deployment's name, and its others not at all."""
    raise _stub()


@activity.defn
async def close_deployment(name: str) -> None:
    """Its name leads nowhere any more."""
    raise _stub()


@activity.defn
async def wake_endpoint(order: WakeEndpointInput) -> Pass:
    """Wake an endpoint as a caller would, until a replica can serve. Fails with `ServiceNotReady`, and why."""
    raise _stub()


@activity.defn
async def list_endpoints() -> list[EndpointCard]:
    """Every endpoint that gateways may know."""
    raise _stub()


@activity.defn
async def record_wake(wake: Wake) -> None:
    raise _stub()


@activity.defn
async def read_wakes(order: ReadWakesInput) -> list[Wake]:
    """The newest wakes of an endpoint, oldest first, also after its end."""
    raise _stub()


@activity.defn
async def until_ended(workflow_ids: list[str]) -> None:
    """Return when none of these workflows runs any more."""
    raise _stub()


# --- jobs (queues: holdfast, hosts and analysis) ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PlannedInput:
    """What a source says that it has."""

    source: str  # with the revision that was meant
    files: int
    bytes_total: int


@dataclass(frozen=True, kw_only=True)
class StageInput:
    job: str
    wanted: InputSpec


@dataclass(frozen=True, kw_only=True)
class LayOutInput:
    """One workspace of a job's files and inputs."""

    job: str
    workdir: CheckpointRef | None
    staged: tuple[StagedInput, ...]


@dataclass(frozen=True, kw_only=True)
class KeepOutputsInput:
    job: str
    attempt: int
    head: CheckpointRef
    patterns: tuple[str, ...]  # of the outputs; none: all but the inputs
    inputs: tuple[str, ...]  # where they stand


@dataclass(frozen=True, kw_only=True)
class RecordJobInput:
    """How a job stands, and which manifests garbage collection must spare for it."""

    status: JobStatus
    spec: JobSpec
    manifests: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ListJobsInput:
    """A page of the jobs on record, the newest first."""

    tenant: str = ""  # "": all
    array: str = ""
    running: bool | None = None  # None: those that have ended as well
    before: str = ""  # `next` of the last page
    at_most: int = 200


@dataclass(frozen=True, kw_only=True)
class JobPage:
    jobs: tuple[JobStatus, ...]
    next: str = ""  # "": that was all


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A base model as its source has it, with what its memory is estimated from."""

    source: str  # with the revision that was meant
    config: str  # its config.json
    weights_bytes: int  # of its safetensors files; 0: it has none
    gated: bool = False  # and we are let in


@activity.defn
async def look_at_base(wanted: InputSpec) -> BaseModel:
    """Ask a base model's source for its config, with the token that the fetch will show. Fails with `SourceRefused`."""
    raise _stub()


@activity.defn
async def plan_input(wanted: InputSpec) -> PlannedInput:
    """Ask an input's source whether it is there. Nothing is fetched."""
    raise _stub()


@activity.defn
async def stage_input(order: StageInput) -> StagedInput:
    """Bring an input's files to the store, and prove them. Fails with `SourceRefused` where they are others."""
    raise _stub()


@activity.defn
async def lay_out(order: LayOutInput) -> CheckpointRef:
    """Make checkpoint zero of a job's files and inputs. Fails with `SourceRefused` where two want one place."""
    raise _stub()


@activity.defn
async def keep_outputs(order: KeepOutputsInput) -> JobOutputs:
    """Cut a job's outputs out of what an attempt saved last. Repeated, they are the same."""
    raise _stub()


@activity.defn
async def record_job(order: RecordJobInput) -> None:
    """Write down how a job stands; what comes late does not replace what is newer."""
    raise _stub()


@activity.defn
async def cost_of_attempt(workload: str) -> Decimal:
    """USD, of all machines of the workload's present run."""
    raise _stub()


@activity.defn
async def read_job(name: str) -> JobStatus | None:
    """How a job stood when that was last written down, also after its end. None: a name never seen."""
    raise _stub()


@activity.defn
async def list_jobs(order: ListJobsInput) -> JobPage:
    raise _stub()


@activity.defn
async def gone_jobs(jobs: list[str]) -> list[str]:
    """Those of them whose workflow does not run."""
    raise _stub()


@activity.defn
async def advise_start(order: AdviseStartInput) -> StartWord:
    """Whether to begin now or to wait, by the prices on record. Never fails for want of prices: then it says start."""
    raise _stub()


@dataclass(frozen=True, kw_only=True)
class ForgetJobInput:
    job: str
    attempts: tuple[str, ...]  # their workloads


@activity.defn
async def forget_job(order: ForgetJobInput) -> int:
    """Take a job that is over off the record, and give up what its attempts saved: so many checkpoints.

    Raises:
        INVALID_STATE: it, or one of its attempts, runs.
    """
    raise _stub()


# --- analysis (queue: analysis) --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class VerifyInput:
    workload: str
    manifest: str


@activity.defn
async def verify_checkpoint(order: VerifyInput) -> VerifySummary:
    """Read every chunk back from the store and check its digest."""
    raise _stub()


@activity.defn
async def fit_forecasts(order: FitInput) -> Fitted:
    """Forecast each of some series. One that cannot be fitted spoils no other, and is told with the reason."""
    raise _stub()
