"""`Records`: what is paid for and what is committed, one method per activity that needs it.

Every method is one transaction and safe to repeat. All are blocking: call them from a thread. Times come from the
caller wherever a workflow knows them; the clock given here only stamps what no caller can date.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Self

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from holdfast.contracts.activities import (
    CheckpointPlace,
    ClaimEpochInput,
    ClaimEpochResult,
    CloseLeaseInput,
    CloseWorkloadInput,
    CommitCheckpointInput,
    ForgetInput,
    ForgetJobInput,
    ForgetResult,
    JobPage,
    ListJobsInput,
    ListLiveResult,
    OpenWorkloadInput,
    OpenWorkloadResult,
    ReadWakesInput,
    RecordEndpointInput,
    RecordJobInput,
    ReportInput,
    ShiftTrafficInput,
)
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.disks import CopyPlan, DiskCopy, JudgeCopiesInput, PlanCopyInput
from holdfast.contracts.endpoints import EndpointCard, Wake
from holdfast.contracts.failover import Decision
from holdfast.contracts.forecasts import (
    ForecastKey,
    HourlyPrices,
    ListForecastsInput,
    PriceAhead,
    RecordedForecast,
)
from holdfast.contracts.incidents import Incident
from holdfast.contracts.jobs import JobStatus
from holdfast.contracts.machines import Lease
from holdfast.contracts.market import (
    Asking,
    AskingsInput,
    ListPricesInput,
    PlanSurveyInput,
    PricedSeries,
    PricePage,
    PricesInput,
    RecordedPrices,
    RecordPricesInput,
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
    PlaceLoss,
    PlaceMemory,
    PlaceRisk,
    RecallInput,
    StrategyRecord,
)
from holdfast.contracts.models import AddModelInput, FindModelInput, ListModelsInput, ModelKey, ModelVersion
from holdfast.contracts.money import (
    BudgetWord,
    CostPage,
    Drift,
    MeterInput,
    ReconcileInput,
    SetBudgetInput,
    Standing,
    StandingsInput,
)
from holdfast.contracts.notifications import ListNotificationsInput, Notification
from holdfast.contracts.pools import HandOverInput, HandOverResult, PoolDemand
from holdfast.contracts.reports import LeaseLine, WorkloadReport
from holdfast.contracts.savings import LivesInput, LivesPage, LossesInput, LossLine
from holdfast.contracts.sweeping import Finding, JudgeInput
from holdfast.policy.loss_cost import cost_of_loss
from holdfast.records import (
    budgets,
    checkpoints,
    costs,
    disks,
    endpoints,
    experience,
    forecasts,
    host_memory,
    installation,
    jobs,
    journal,
    leases,
    models,
    outbox,
    pool_demand,
    pools,
    prices,
    reports,
    savings,
    sightings,
    workloads,
)
from holdfast.records.engine import make_engine, reader, translated
from holdfast.records.patience import PATIENCE, Patience
from holdfast.records.tables import WorkloadRow
from holdfast.records.version import require_current

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Records:
    """The records in one database. Threads and processes may share it.

    Every method raises `RecordsUnavailable` when the database does not answer; then nothing was changed, or the
    answer was lost and a repeat finds what was done. The other errors of `records.errors` are named where they occur.
    """

    def __init__(self, engine: Engine, *, clock: Clock = utc_now) -> None:
        self._engine = engine
        self._reader = reader(engine)
        self._clock = clock

    @classmethod
    def open(cls, url: str, *, clock: Clock = utc_now, patience: Patience = PATIENCE) -> Self:
        """Connect to records that `schema.migrate` has set up. No call waits longer than the patience allows.

        Raises:
            RecordsBehind: the schema is not this code's; the message names the remedy.
        """
        engine = make_engine(url, patience=patience)
        try:
            require_current(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock=clock)

    def close(self) -> None:
        self._engine.dispose()

    def require_current(self) -> None:
        """One short question to the database: does it answer, and is its schema still this code's?

        Raises:
            RecordsBehind: somebody has migrated it since; this process must be replaced by a newer one.
        """
        require_current(self._engine)

    # --- workloads and their fence ---

    def open_workload(self, order: OpenWorkloadInput) -> OpenWorkloadResult:
        """Start a new generation of the name for this run; the same run again opens nothing.

        Raises `Fenced` for a run that a newer run has followed.
        """
        with self._writing() as session:
            return workloads.open_workload(session, order, self._clock())

    def claim_epoch(self, order: ClaimEpochInput) -> ClaimEpochResult:
        """Raise the fence and note the intent to rent, both or neither. From then on no older epoch can commit.

        Raises `Fenced` when the epoch is not newer than the fence, unless this very claim raised it, and
        `BudgetExceeded` when what is left of a budget does not pay for the machine.
        """
        with self._writing() as session:
            claimed = workloads.claim_epoch(session, order, self._clock())
            if order.offer is None:
                return claimed
            disk = disks.newest(session, workloads.locked(session, order.workload), order.offer.provider)
            return replace(claimed, disk=disk)

    def close_workload(self, order: CloseWorkloadInput) -> None:
        """Close the newest generation. The first close stands."""
        with self._writing() as session:
            workloads.close_workload(session, order, self._clock())

    def workload_names(self) -> list[str]:
        """Every name that was ever opened, in order."""
        with self._reading() as session:
            return list(session.exec(select(WorkloadRow.name).order_by(col(WorkloadRow.name))))

    # --- leases ---

    def record_lease(self, lease: Lease) -> None:
        """Write what was rented onto the line that its claim opened; newer facts replace older ones."""
        with self._writing() as session:
            leases.record_lease(session, lease)

    def meter_lease(self, order: MeterInput) -> None:
        """Note that a machine is charged for in another way from a moment on."""
        with self._writing() as session:
            leases.meter_lease(session, order)

    def close_lease(self, order: CloseLeaseInput) -> Decimal:
        """End a cost line and return its cost in USD. The first close stands."""
        with self._writing() as session:
            return leases.close_lease(session, order)

    def open_leases(self, provider: str | None = None, *, workload: str | None = None) -> list[LeaseLine]:
        """Lines that were not closed, oldest first, of one provider or of all. Each costs up to now."""
        with self._reading() as session:
            return [leases.line(session, row, self._clock()) for row in leases.open_leases(session, provider, workload)]

    def hand_over(self, order: HandOverInput) -> HandOverResult:
        """Raise a workload's fence and make a pool's standby its machine, both or neither.

        Raises `Fenced` when the epoch is not newer than the fence, unless this very order raised it, `OfferTaken` when
        the standby is a pool's no more, and `BudgetExceeded` when the workload cannot pay for it.
        """
        with self._writing() as session:
            return pools.hand_over(session, order, self._clock())

    def judge_strangers(self, order: JudgeInput) -> list[Finding]:
        """Say what becomes of machines that nobody owns, and remember them for the next sweep."""
        with self._writing() as session:
            return sightings.judge(session, order, self._clock())

    def mark(self) -> str:
        """What tells our labels from those of another installation on the same account."""
        with self._reading() as session:
            return installation.mark(session)

    # --- copies of disks ---

    def plan_disk_copy(self, order: PlanCopyInput) -> CopyPlan:
        """Whether a copy of a machine's disk is due; one that is, is written down before anybody asks for it."""
        with self._writing() as session:
            return disks.plan(session, order, self._clock())

    def record_disk_copy(self, copy: DiskCopy) -> list[DiskCopy]:
        """A copy is whole. Returns the workload's copies of which there is no use any more."""
        with self._writing() as session:
            return disks.record(session, copy)

    def open_disk_copies(self, workload: str) -> list[DiskCopy]:
        """A workload's copies that may be billed, of this run and of earlier ones, oldest first."""
        with self._reading() as session:
            return disks.open_copies(session, workload)

    def open_disk_copies_at(self, provider: str) -> list[disks.OpenCopy]:
        """Every copy that may be billed at a provider."""
        with self._reading() as session:
            return disks.open_at(session, provider)

    def close_disk_copy(self, name: str) -> None:
        """A copy is gone. The first close stands."""
        with self._writing() as session:
            disks.close(session, name, self._clock())

    def judge_disk_copies(self, order: JudgeCopiesInput) -> list[str]:
        """Which copies without an owner are to be dropped now; the others are remembered for the next sweep."""
        with self._writing() as session:
            return disks.judge(session, order)

    # --- endpoints ---

    def record_endpoint(self, order: RecordEndpointInput) -> None:
        """Gateways may know an endpoint, by these words; what comes late does not replace what is newer."""
        with self._writing() as session:
            endpoints.record(session, order)

    def close_endpoint(self, name: str) -> None:
        """Gateways know it no more."""
        with self._writing() as session:
            endpoints.close(session, name, self._clock())

    def shift_traffic(self, order: ShiftTrafficInput) -> None:
        """A deployment's name leads to this endpoint, and to no other; what comes late changes nothing."""
        with self._writing() as session:
            endpoints.shift(session, order)

    def close_deployment(self, name: str) -> None:
        """Its name leads nowhere."""
        with self._writing() as session:
            endpoints.close_deployment(session, name, self._clock())

    def endpoints(self) -> list[EndpointCard]:
        """Those that gateways may know, by name."""
        with self._reading() as session:
            return endpoints.cards(session)

    def record_wake(self, wake: Wake) -> None:
        """How a replica woke; the same wake again changes nothing."""
        with self._writing() as session:
            endpoints.record_wake(session, wake)

    def wakes(self, order: ReadWakesInput) -> list[Wake]:
        """The newest wakes of an endpoint, oldest first."""
        with self._reading() as session:
            return endpoints.read_wakes(session, order)

    # --- jobs ---

    def record_job(self, order: RecordJobInput) -> None:
        """How a job stands; what comes late does not replace what is newer."""
        with self._writing() as session:
            jobs.record(session, order)

    def forget_job(self, order: ForgetJobInput) -> int:
        """Take it off the record, and its attempts' checkpoints out of use: so many. What they cost stays."""
        with self._writing() as session:
            jobs.forget(session, order.job)
            known = [each for each in order.attempts if session.get(WorkloadRow, each) is not None]
            wanted = [ForgetInput(workload=each, keep=0) for each in known]
            return sum(checkpoints.forget_checkpoints(session, each, self._clock()).forgotten for each in wanted)

    def job(self, name: str) -> JobStatus | None:
        """How it stood when that was last written down."""
        with self._reading() as session:
            return jobs.read(session, name)

    def jobs(self, order: ListJobsInput) -> JobPage:
        """A page of them, the newest first."""
        with self._reading() as session:
            return jobs.page(session, order)

    def cost_of(self, workload: str) -> Decimal:
        """What all machines of a workload's newest run cost; nothing for a name that was never opened."""
        with self._reading() as session:
            row = session.get(WorkloadRow, workload)
            if row is None:
                return Decimal(0)
            return leases.cost_of_generation(session, workload, row.generation, self._clock())

    # --- machines ---

    def recall_machines(self, order: RecallInput) -> list[MachineMemory]:
        """What is remembered of these machines; nothing of those never had."""
        with self._reading() as session:
            return host_memory.recall(session, order, self._clock())

    def pool_demand(self, pool: str) -> PoolDemand:
        """What losses a warm pool is there for, of the last week."""
        with self._reading() as session:
            return pool_demand.of(session, pool, self._clock())

    def closed_places(self) -> list[PlaceMemory]:
        """Providers and regions where one machine after the other failed us: nothing is rented there for a while."""
        with self._reading() as session:
            return experience.closed_places(session, self._clock())

    def place_risks(self, *, lost: PlaceLoss | None = None) -> list[PlaceRisk]:
        """How likely interruptible machines are to be taken back, by region; nothing of regions never rented in."""
        with self._reading() as session:
            return experience.place_risks(session, self._clock(), lost=lost)

    def cost_of_loss(self, workload: str, saved_every: timedelta) -> timedelta:
        """What a loss costs this workload in time that is paid for, by what its losses took and what is usual."""
        with self._reading() as session:
            return cost_of_loss(saved_every, experience.losses_of(session, workload, self._clock()))

    def strategy_records(self) -> list[StrategyRecord]:
        """How long recoveries took lately, by strategy; nothing of those that never happened."""
        with self._reading() as session:
            return experience.strategy_records(session, self._clock())

    def list_machines(self, order: ListMachinesInput) -> list[MachineMemory]:
        """The machines that we ever had or that somebody banned, the banned first."""
        with self._reading() as session:
            return host_memory.list_machines(session, order, self._clock())

    def machine_history(self, machine: MachineKey) -> MachineHistory | None:
        """The times that we had a machine; None for one of which nothing is remembered."""
        with self._reading() as session:
            return host_memory.history(session, machine, self._clock())

    def ban_machine(self, order: BanInput) -> MachineMemory:
        """Ban a machine, or lift its ban and forget what was held against it."""
        with self._writing() as session:
            return host_memory.ban(session, order, self._clock())

    # --- money ---

    def keep_budget(self, workload: str) -> BudgetWord:
        """Move the reservation of a workload's machine on, and say whether a budget ends the work."""
        with self._writing() as session:
            return budgets.keep(session, workloads.locked(session, workload), self._clock())

    def set_budget(self, order: SetBudgetInput) -> list[Standing]:
        """Replace or remove a budget, and tell how it stands; nothing if it was removed."""
        with self._writing() as session:
            return budgets.set_budget(session, order, self._clock())

    def standings(self, order: StandingsInput) -> list[Standing]:
        """How budgets stand: those that hold for a workload or a tenant, or all."""
        with self._reading() as session:
            return budgets.read(session, order, self._clock())

    def costs_after(self, label: str) -> CostPage:
        """A page of the cost lines of every machine that was ever rented, as they were opened; "" begins."""
        with self._reading() as session:
            return costs.page(session, label, self._clock())

    def lives_after(self, order: LivesInput) -> LivesPage:
        """A page of what workloads' machines were charged for and when; the order of no label begins."""
        with self._reading() as session:
            return savings.page(session, order, self._clock())

    def losses(self, order: LossesInput) -> list[LossLine]:
        """What interruptions came to for each workload in a stretch of time, and what it sent to the store."""
        with self._reading() as session:
            return savings.losses(session, order)

    def reconcile(self, order: ReconcileInput) -> Drift:
        """Our meter beside what a provider charges."""
        with self._reading() as session:
            return costs.reconcile(session, order, self._clock())

    # --- prices of the market ---

    def record_prices(self, order: RecordPricesInput) -> RecordedPrices:
        """Write points down, once for each series and bucket; what is too wild is held back until it is confirmed."""
        with self._writing() as session:
            return prices.record(session, order)

    def prices_after(self, order: PricesInput) -> PricePage:
        """A page of points, by GPU, provider, region, kind, basis and time."""
        with self._reading() as session:
            return prices.page(session, order)

    def priced_series(self, order: ListPricesInput) -> list[PricedSeries]:
        """Which series there are, and from when to when."""
        with self._reading() as session:
            return prices.series(session, order)

    def priced_gpus(self) -> list[str]:
        """Every GPU of which there is a price, in order."""
        with self._reading() as session:
            return prices.gpus(session)

    def askings(self, order: AskingsInput) -> list[Asking]:
        """How surveys went, the newest first."""
        with self._reading() as session:
            return prices.askings(session, order)

    def plan_survey(self, order: PlanSurveyInput) -> SurveyPlan:
        """What is known before a provider is asked for prices."""
        with self._reading() as session:
            return prices.plan(session, order)

    def thin_prices(self, order: ThinInput) -> Thinned:
        """Down-sample what is old, and forget what is very old."""
        with self._writing() as session:
            forecasts.forget(session, order.daily_before)
            return prices.thin(session, order)

    # --- forecasts of prices ---

    def due_forecasts(self, at: datetime) -> list[ForecastKey]:
        """Series with a newer price than their forecast knows, those first that waited longest."""
        with self._reading() as session:
            return forecasts.due(session, at)

    def hourly_prices(self, keys: Iterable[ForecastKey]) -> list[HourlyPrices]:
        """The last four weeks of each, by the hour."""
        with self._reading() as session:
            return forecasts.hourly(session, keys)

    def record_forecasts(self, made: Iterable[RecordedForecast]) -> int:
        """Replace the forecasts of some series; so many were newer than what was on record."""
        with self._writing() as session:
            return forecasts.record(session, made)

    def forecasts(self, order: ListForecastsInput) -> list[RecordedForecast]:
        """The newest of each series."""
        with self._reading() as session:
            return forecasts.read(session, order)

    def prices_ahead(self, gpus: tuple[str, ...], *, fresh: timedelta) -> list[PriceAhead]:
        """What forecasts with skill, that are no older, expect of these GPUs over a usual stay."""
        with self._reading() as session:
            return forecasts.ahead(session, gpus, since=self._clock() - fresh)

    # --- checkpoints ---

    def commit_checkpoint(self, order: CommitCheckpointInput) -> CheckpointRef:
        """Move the head. Raises `Fenced` or `Superseded`; a commit that happened before is returned as it stands."""
        with self._writing() as session:
            return checkpoints.commit_checkpoint(session, order)

    def list_checkpoints(self, workload: str, *, include_retired: bool = False) -> list[CheckpointRef]:
        """The checkpoints of the newest generation, oldest first; empty for a name never opened."""
        with self._reading() as session:
            row = session.get(WorkloadRow, workload)
            if row is None:
                return []
            return checkpoints.of_generation(session, workload, row.generation, include_retired=include_retired)

    def live_manifests(self, workload: str) -> frozenset[str]:
        """Every manifest of the name, in any generation, that was not retired: what garbage collection must spare."""
        with self._reading() as session:
            return checkpoints.live_manifests(session, workload)

    def live_after(self, after: CheckpointPlace | None) -> ListLiveResult:
        """A page of every manifest, of any name and generation, that was not retired."""
        with self._reading() as session:
            return checkpoints.live_after(session, after)

    def mark_verified(self, workload: str, manifest: str, at: datetime) -> None:
        """Note that the checkpoint's chunks were all read back and found sound."""
        with self._writing() as session:
            checkpoints.mark_verified(session, workload, manifest, at)

    def retire_checkpoints(self, workload: str, sequences: Collection[int]) -> list[CheckpointRef]:
        """Take checkpoints of the newest generation out of use, never its head. Returns those retired by this call."""
        with self._writing() as session:
            return checkpoints.retire_checkpoints(session, workload, sequences, self._clock())

    def forget_checkpoints(self, order: ForgetInput) -> ForgetResult | None:
        """Take out of use what an ended workload, or earlier runs of the name, have saved; None for no such name."""
        with self._writing() as session:
            if session.get(WorkloadRow, order.workload) is None:
                return None
            return checkpoints.forget_checkpoints(session, order, self._clock())

    # --- registered models ---

    def add_model(self, order: AddModelInput) -> ModelVersion:
        """Give stored files a version; the same content under the same name is the same version."""
        with self._writing() as session:
            return models.add(session, order, self._clock())

    def find_model(self, order: FindModelInput) -> ModelVersion | None:
        """The living version that came from this very revision of this source."""
        with self._reading() as session:
            return models.find(session, order)

    def read_model(self, key: ModelKey) -> ModelVersion | None:
        """One version with its files; without a number the newest that was not removed."""
        with self._reading() as session:
            return models.read(session, key)

    def list_models(self, order: ListModelsInput) -> list[ModelVersion]:
        """Versions without their files, by name and number."""
        with self._reading() as session:
            return models.listed(session, order)

    def retire_model(self, key: ModelKey) -> list[ModelVersion]:
        """Take a version, or all, out of use. Raises `UnknownModel` where none is left to retire."""
        with self._writing() as session:
            return models.retire(session, key, self._clock())

    def live_model_manifests(self) -> list[str]:
        """What garbage collection must spare of all that is registered."""
        with self._reading() as session:
            return list(models.live_manifests(session))

    # --- the journal ---

    def record_incident(self, incident: Incident) -> None:
        """Keep an incident; the same workload and lost epoch again replaces it."""
        with self._writing() as session:
            journal.record_incident(session, incident, self._clock())

    def record_decision(self, decision: Decision) -> None:
        """Keep a decision; the same one again changes nothing."""
        with self._writing() as session:
            journal.record_decision(session, decision)

    def report_workload(self, order: ReportInput, *, generation: int | None = None) -> WorkloadReport | None:
        """What is recorded about one generation, the newest by default; None for a name never opened."""
        with self._reading() as session:
            return reports.report_workload(session, order, generation, self._clock())

    # --- what is told by webhook ---

    def due_notifications(self, at_most: int) -> list[Notification]:
        """Those to be tried now, in the order of their events."""
        with self._reading() as session:
            return outbox.due(session, self._clock(), at_most=at_most)

    def claim_notification(self, told: Notification) -> bool:
        """Whether it is the caller's to try; then it is nobody else's for a minute."""
        with self._writing() as session:
            return outbox.claim(session, told, self._clock())

    def settle_notification(self, number: int, *, error: str, next_at: datetime | None) -> None:
        """What came of a try: no error, it is delivered; an error and no next time, it is given up."""
        with self._writing() as session:
            outbox.settle(session, number, self._clock(), error=error, next_at=next_at)

    def prune_notifications(self) -> None:
        """Give up those that nobody took in a day, and forget those of a month ago."""
        with self._writing() as session:
            outbox.prune(session, self._clock())

    def list_notifications(self, order: ListNotificationsInput) -> list[Notification]:
        """The newest first."""
        with self._reading() as session:
            return outbox.newest(session, order)

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with translated(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with translated(), Session(self._reader) as session, session.begin():
            yield session
