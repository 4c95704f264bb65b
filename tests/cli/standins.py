"""A workload and its workers, small enough to script: the real names and types, none of the machinery.

An activity is a name and a workflow is a name, so that what the client sends and decodes here is what it sends to the
real ones.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from holdfast.contracts import names
from holdfast.contracts.activities import (
    ForgetInput,
    ForgetJobInput,
    ForgetResult,
    JobPage,
    ListJobsInput,
    MarkVerifiedInput,
    PlannedInput,
    ReadLogsInput,
    ReadLogsResult,
    ReportInput,
    SearchInput,
    Telemetry,
    VerifyInput,
)
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason, VerifySummary
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import Decision, RankedOffer
from holdfast.contracts.forecasts import ListForecastsInput, RecordedForecast
from holdfast.contracts.incidents import Attempt, Cause, Incident, Phases
from holdfast.contracts.jobs import (
    CancelJob,
    ChangeBudget,
    InputSpec,
    JobAttempt,
    JobCause,
    JobInput,
    JobPhase,
    JobStatus,
    attempt_name,
)
from holdfast.contracts.machines import Lease, Offer, Terms
from holdfast.contracts.market import (
    Asking,
    AskingsInput,
    ListPricesInput,
    PricedSeries,
    PricePage,
    PricesInput,
    RecordedPrices,
    RecordPricesInput,
)
from holdfast.contracts.memory import ListMachinesInput, MachineMemory
from holdfast.contracts.money import (
    Budget,
    Charge,
    ChargesInput,
    CostLine,
    CostPage,
    CostsInput,
    DayCost,
    Drift,
    ReconcileInput,
    SetBudgetInput,
    Standing,
    StandingsInput,
)
from holdfast.contracts.reports import LeaseLine, WorkloadReport
from holdfast.contracts.savings import LivesInput, LivesPage, LossesInput, LossLine, MachineLife
from holdfast.contracts.workload import (
    Ack,
    Event,
    FailoverRequest,
    Phase,
    StopRequest,
    WorkloadInput,
    WorkloadResult,
    WorkloadStatus,
)
from holdfast.policy.fitness import misfit
from holdfast.records.store import Records
from holdfast.workflows.job_queue import JobQueueWorkflow

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def a_checkpoint(workload: str, sequence: int = 3) -> CheckpointRef:
    return CheckpointRef(
        workload=workload,
        epoch=1,
        sequence=sequence,
        manifest=f"workloads/{workload}/manifests/{sequence}-abc",
        reason=SaveReason.CADENCE,
        taken_at=NOON,
        committed_at=NOON + timedelta(seconds=1),
        files=2,
        bytes_total=4096,
        bytes_uploaded=1024,
        duration=timedelta(seconds=1.5),
        progress="step 30/100",
    )


def a_lease(workload: str, epoch: int = 1) -> Lease:
    return Lease(
        workload=workload,
        epoch=epoch,
        label=names.label(workload, epoch),
        provider="vast",
        instance_id="4711",
        machine_id="m1",
        gpu="RTX 4090",
        gpu_count=1,
        region="DE",
        terms=Terms.INTERRUPTIBLE,
        hourly=Decimal("0.31"),
        since=NOON,
    )


def an_offer(hourly: str, number: int = 1) -> Offer:
    return Offer(
        provider="vast",
        offer_id=str(number),
        machine_id=f"m{number}",
        gpu="RTX 4090",
        gpu_count=1,
        gpu_memory_gb=24,
        cpu_cores=16,
        memory_gb=64,
        disk_gb=500,
        region="DE",
        terms=Terms.INTERRUPTIBLE,
        hourly=Decimal(hourly),
        reliability=0.99,
    )


def a_cost_line(workload: str) -> CostLine:
    return CostLine(
        label=f"{workload}.e1",
        workload=workload,
        tenant="default",
        provider="vast",
        instance_id="1",
        gpu="1x RTX 4090",
        terms="interruptible",
        hourly=Decimal("0.31"),
        bid=Decimal("0.30"),
        storage_hourly=Decimal("0.01"),
        opened_at=NOON,
        closed_at=NOON + timedelta(hours=2),
        running=timedelta(minutes=90),
        stopped=timedelta(minutes=30),
        cost=Decimal("0.47"),
        days=(DayCost(day="2026-01-02", cost=Decimal("0.47")),),
    )


def a_report(workload: str) -> WorkloadReport:
    incident = Incident(
        workload=workload,
        epoch_lost=1,
        epoch_gained=2,
        cause=Cause.OUTBID,
        reason="the provider says interrupted",
        strategy="snapshot",
        silent_since=NOON,
        decided_at=NOON + timedelta(seconds=2),
        recovered_at=NOON + timedelta(seconds=20),
        phases=Phases(
            detect=timedelta(seconds=2),
            boot=timedelta(seconds=12),
            restore=timedelta(seconds=5),
            progress=timedelta(seconds=1),
        ),
        recovery_time=timedelta(seconds=20),
        work_lost=timedelta(seconds=7),
        cost=Decimal("0.0017"),
        attempts=(
            Attempt(
                epoch=2,
                strategy="snapshot",
                provider="vast",
                offer_id="2",
                machine_id="m2",
                hourly=Decimal("0.35"),
                outcome="running",
                took=timedelta(seconds=18),
            ),
        ),
    )
    line = LeaseLine(
        label=names.label(workload, 1),
        epoch=1,
        provider="vast",
        instance_id="4711",
        machine_id="m1",
        gpu="RTX 4090",
        region="DE",
        hourly=Decimal("0.31"),
        opened_at=NOON,
        launched_at=NOON,
        closed_at=NOON + timedelta(minutes=5),
        closed_because="lost",
        cost=Decimal("0.0258"),
    )
    ranked = RankedOffer(
        provider="vast",
        offer_id="1",
        machine_id="m1",
        gpu="RTX 4090",
        gpu_count=1,
        region="DE",
        hourly=Decimal("0.31"),
        reliability=0.99,
        score=0.32,
        reason="cheapest that is reliable",
    )
    decision = Decision(
        workload=workload,
        epoch=1,
        made_at=NOON,
        occasion="placement",
        strategy="placement",
        reason="first machine",
        chosen=(ranked,),
        rejected=(),
        rejected_total=0,
    )
    return WorkloadReport(
        workload=workload,
        phase="finished",
        reason="the command ended with code 0",
        opened_at=NOON,
        closed_at=NOON + timedelta(minutes=9),
        epoch=2,
        rto=timedelta(minutes=1),
        rpo=timedelta(seconds=5),
        rto_met=True,
        rpo_met=False,
        cost=Decimal("0.0258"),
        incidents=(incident,),
        leases=(line,),
        checkpoints=(a_checkpoint(workload, 3), a_checkpoint(workload, 0)),
        decisions=(decision,),
        incidents_total=1,
        leases_total=1,
        checkpoints_total=2,
        decisions_total=1,
        worst_recovery_time=timedelta(seconds=20),
        worst_work_lost=timedelta(seconds=7),
    )


@activity.defn
async def watch_machine(workload: str) -> None:
    """Beats once, then waits to be told to stop; beats are what `status` reads."""
    activity.heartbeat(Telemetry(at=datetime.now(UTC), progress="step 42/100", gpu_percent=97.0, step=42, steps=100))
    await activity.wait_for_cancelled()


@workflow.defn(name=names.WORKLOAD)
class StandInWorkload:
    """Runs until stopped; refuses to resume what is not paused."""

    @workflow.init
    def __init__(self, order: WorkloadInput) -> None:
        self.order = order
        self.name = order.spec.name
        self.phase = Phase.RUNNING
        self.epoch = 1
        self.reason = "placed"

    @workflow.run
    async def run(self, order: WorkloadInput) -> WorkloadResult:
        watch = workflow.start_activity(
            watch_machine,
            self.name,
            task_queue=names.HOSTS_QUEUE,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=30),
        )
        await workflow.wait_condition(lambda: self.phase is Phase.STOPPED)
        watch.cancel()
        return WorkloadResult(
            name=self.name,
            phase=self.phase,
            exit_code=None,
            reason=self.reason,
            epoch=self.epoch,
            incidents=self.epoch - 1,
            head=None,
        )

    @workflow.update
    async def pause(self) -> Ack:
        self.phase = Phase.PAUSED
        return Ack(phase=self.phase)

    @workflow.update
    async def resume(self) -> Ack:
        self.phase = Phase.RUNNING
        return Ack(phase=self.phase)

    @resume.validator
    def _can_resume(self) -> None:
        if self.phase is not Phase.PAUSED:
            raise ApplicationError(f"cannot resume while {self.phase}", type=ErrorType.INVALID_STATE)

    @workflow.update
    async def failover(self, request: FailoverRequest) -> Ack:
        self.epoch += 1
        self.reason = request.reason + ("" if request.save_first else ", unsaved")
        return Ack(phase=Phase.FAILING_OVER, detail=self.reason)

    @workflow.update
    async def stop(self, request: StopRequest) -> Ack:
        self.phase, self.reason = Phase.STOPPED, request.reason
        return Ack(phase=Phase.STOPPING, detail=request.reason)

    @workflow.update
    async def checkpoint(self) -> CheckpointRef:
        return a_checkpoint(self.name, 4)

    @workflow.query
    def status(self) -> WorkloadStatus:
        return WorkloadStatus(
            name=self.name,
            phase=self.phase,
            reason=self.reason,
            since=NOON,
            epoch=self.epoch,
            lease=a_lease(self.name, self.epoch),
            head=a_checkpoint(self.name),
            incidents=self.epoch - 1,
        )

    @workflow.query
    def timeline(self) -> list[Event]:
        return [Event(at=NOON, what="placed", epoch=1)]


@workflow.defn(name=names.JOB)
class StandInJob:
    """Runs until it is cancelled, or told how to end."""

    @workflow.init
    def __init__(self, order: JobInput) -> None:
        self.order = order
        self.phase, self.cause, self.reason = JobPhase.RUNNING, JobCause.DONE, "runs"
        self.budget = order.spec.budget

    @workflow.run
    async def run(self, order: JobInput) -> JobStatus:
        await workflow.wait_condition(lambda: self.phase.is_final)
        return self.progress()

    @workflow.signal
    def end(self, phase: JobPhase, cause: JobCause) -> None:
        self.phase, self.cause, self.reason = phase, cause, f"it is {cause}"

    @workflow.update
    def cancel(self, request: CancelJob) -> JobStatus:
        self.phase, self.cause = JobPhase.CANCELLED, JobCause.ASKED
        self.reason = request.reason + ("" if request.save else ", unsaved")
        return self.progress()

    @workflow.update
    def change_budget(self, change: ChangeBudget) -> JobStatus:
        self.budget = change.amount
        return self.progress()

    @workflow.query
    def progress(self) -> JobStatus:
        spec = self.order.spec
        attempt = JobAttempt(number=1, workload=attempt_name(spec.name, 1), began_at=NOON)
        return JobStatus(
            name=spec.name,
            phase=self.phase,
            reason=self.reason,
            since=NOON,
            submitted_at=NOON,
            tenant=spec.tenant,
            priority=spec.queue.priority,
            fairness_key=spec.fairness_key,
            cause=self.cause if self.phase.is_final else None,
            attempts=(attempt,),
            lease=a_lease(attempt.workload),
            budget=self.budget,
            place=self.order.place,
        )


def _lies_in(moment: datetime | None, order: LossesInput) -> bool:
    return moment is None or ((order.since is None or moment >= order.since) and moment < order.until)


@dataclass
class World:
    """What the stand-in activities answer; tests change it."""

    offers: list[Offer] = field(default_factory=lambda: [an_offer("0.45", 2), an_offer("0.31", 1)])
    offers_told: int = 64  # in one answer
    remembered: list[MachineMemory] = field(default_factory=list)
    failure: ApplicationError | None = None
    silent: dict[str, ApplicationError] = field(default_factory=dict)  # by provider
    log: str = "epoch 1\nepoch 2\nepoch 3\n"
    series: str = ""
    jobs: list[JobStatus] = field(default_factory=list)  # on record
    recorded: set[str] = field(default_factory=set)
    records: Records | None = None  # real ones, instead of what is recorded above
    verified: list[str] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    charged: Decimal = Decimal("0.51")
    lives: list[MachineLife] = field(default_factory=list)
    losses: list[LossLine] = field(default_factory=list)
    writing: asyncio.Event = field(default_factory=asyncio.Event)  # somebody has prices to write down
    stalled: asyncio.Event | None = None  # they are written when this is set

    @activity.defn
    async def search_offers(self, order: SearchInput) -> list[Offer]:
        if self.failure is not None:
            raise self.failure
        if order.provider in self.silent:
            raise self.silent[order.provider]
        now, avoid = datetime.now(UTC), frozenset[str]()
        theirs = (each for each in self.offers if each.provider == order.provider)
        fitting = (each for each in theirs if not misfit(each, order.requirements, now=now, avoid_machines=avoid))
        cheapest = sorted(fitting, key=lambda offer: offer.hourly)
        return [each for each in cheapest if each.gpu_count == order.requirements.gpu_count][: self.offers_told]

    @activity.defn
    async def list_machines(self, order: ListMachinesInput) -> list[MachineMemory]:
        return [each for each in self.remembered if each.banned_until or not order.banned_only]

    @activity.defn
    async def report_workload(self, order: ReportInput) -> WorkloadReport | None:
        if self.records is not None:
            return self.records.report_workload(order)
        return a_report(order.workload) if order.workload in self.recorded else None

    @activity.defn
    async def forget_checkpoints(self, order: ForgetInput) -> ForgetResult | None:
        if self.records is not None:
            return self.records.forget_checkpoints(order)
        return ForgetResult(forgotten=2 - order.keep, kept=order.keep) if order.workload in self.recorded else None

    @activity.defn
    async def read_logs(self, order: ReadLogsInput) -> ReadLogsResult:
        start = int(order.cursor.rpartition(":")[2] or 0)
        told = self.series if order.series else self.log
        text = told[start : start + (1000 if order.series else 10)]  # a small piece, so that readers must ask again
        return ReadLogsResult(text=text, cursor=str(start + len(text)))

    @activity.defn
    async def list_jobs(self, order: ListJobsInput) -> JobPage:
        return JobPage(jobs=tuple(self.jobs))

    @activity.defn
    async def read_job(self, name: str) -> JobStatus | None:
        return next((each for each in self.jobs if each.name == name), None)

    @activity.defn
    async def forget_job(self, order: ForgetJobInput) -> int:
        self.jobs = [each for each in self.jobs if each.name != order.job]
        return 2

    @activity.defn
    async def forget_logs(self, workloads: list[str]) -> int:
        return 3 * len(workloads)

    @activity.defn
    async def plan_input(self, wanted: InputSpec) -> PlannedInput:
        if "none" in wanted.source:
            raise ApplicationError(f"{wanted.source} is not there", type=ErrorType.SOURCE_REFUSED, non_retryable=True)
        return PlannedInput(source=wanted.source, files=1, bytes_total=1)

    @activity.defn
    async def verify_checkpoint(self, order: VerifyInput) -> VerifySummary:
        corrupt = ("c1",) if order.manifest.endswith("0-abc") else ()
        return VerifySummary(
            manifest=order.manifest, chunks=2, bytes_read=4096, corrupt=corrupt, duration=timedelta(seconds=1)
        )

    @activity.defn
    async def mark_verified(self, order: MarkVerifiedInput) -> None:
        self.verified.append(order.manifest)

    @activity.defn
    async def set_budget(self, order: SetBudgetInput) -> list[Standing]:
        self.standings = [each for each in self.standings if each.budget.name != order.name]
        if order.amount is None:
            return []
        limit = Budget(scope=order.scope, name=order.name, span=order.span, amount=order.amount)
        self.standings.append(Standing(budget=limit, spent=Decimal("0.25"), reserved=Decimal("0.5")))
        return self.standings[-1:]

    @activity.defn
    async def read_budgets(self, order: StandingsInput) -> list[Standing]:
        wanted = {order.workload, order.tenant} - {None}
        return [each for each in self.standings if not wanted or each.budget.name in wanted]

    @activity.defn
    async def read_costs(self, order: CostsInput) -> CostPage:
        return CostPage(lines=(a_cost_line("train"),), last="")

    @activity.defn
    async def read_lives(self, order: LivesInput) -> LivesPage:
        """A page for each row of a meter, so that readers must put lives together."""
        rows = [(life, (row,)) for life in self.lives for row in life.meter]
        index = order.number
        told = tuple(replace(life, meter=meter) for life, meter in rows[index : index + 1])
        more = index + 1 < len(rows)
        return LivesPage(
            lives=told, now=NOON + timedelta(hours=10), next=LivesInput(after="x", number=index + 1) if more else None
        )

    @activity.defn
    async def read_losses(self, order: LossesInput) -> list[LossLine]:
        return [each for each in self.losses if _lies_in(each.first_at, order)]

    def _on_record(self) -> Records:
        assert self.records is not None, "a test about prices brings records"
        return self.records

    @activity.defn
    async def record_prices(self, order: RecordPricesInput) -> RecordedPrices:
        self.writing.set()
        if self.stalled is not None:
            await self.stalled.wait()
        return self._on_record().record_prices(order)

    @activity.defn
    async def read_prices(self, order: PricesInput) -> PricePage:
        return self._on_record().prices_after(order)

    @activity.defn
    async def list_prices(self, order: ListPricesInput) -> list[PricedSeries]:
        return self._on_record().priced_series(order)

    @activity.defn
    async def list_priced_gpus(self, order: ListPricesInput) -> list[str]:
        return self._on_record().priced_gpus()

    @activity.defn
    async def list_forecasts(self, order: ListForecastsInput) -> list[RecordedForecast]:
        return self._on_record().forecasts(order)

    @activity.defn
    async def list_askings(self, order: AskingsInput) -> list[Asking]:
        return self._on_record().askings(order)

    @activity.defn
    async def read_charges(self, order: ChargesInput) -> list[Charge] | None:
        return [Charge(instance_id="1", amount=self.charged)]

    @activity.defn
    async def reconcile_charges(self, order: ReconcileInput) -> Drift:
        charged = sum((each.amount for each in order.charges), Decimal(0))
        beyond = charged > 1
        worst = "train.e1" if beyond else ""
        metered = Decimal("0.5")
        return Drift(provider="vast", metered=metered, charged=charged, machines=1, beyond=beyond, worst=worst)


@asynccontextmanager
async def stand_in_workers(client: Client, world: World) -> AsyncIterator[None]:
    """Workers on every queue, under the real names."""
    activities: dict[str, list[Callable[..., Any]]] = {
        names.CONTROL_QUEUE: [
            world.list_machines,
            *(world.list_jobs, world.read_job, world.forget_job),
            *(world.report_workload, world.forget_checkpoints, world.mark_verified),
            *(world.set_budget, world.read_budgets, world.read_costs, world.read_lives, world.reconcile_charges),
            *(world.read_losses, world.record_prices, world.read_prices, world.list_prices, world.list_askings),
            world.list_forecasts,
            world.list_priced_gpus,
        ],
        names.HOSTS_QUEUE: [world.read_logs, world.forget_logs, world.plan_input, watch_machine],
        names.ANALYSIS_QUEUE: [world.verify_checkpoint],
        names.provider_queue("vast"): [world.search_offers, world.read_charges],
        names.provider_queue("pebble"): [world.search_offers],
    }
    async with AsyncExitStack() as stack:
        for queue, bodies in activities.items():
            worker = Worker(
                client,
                task_queue=queue,
                activities=bodies,
                workflows=[StandInWorkload, StandInJob, JobQueueWorkflow] if queue == names.CONTROL_QUEUE else [],
                workflow_runner=UnsandboxedWorkflowRunner(),
                max_heartbeat_throttle_interval=timedelta(milliseconds=200),
            )
            await stack.enter_async_context(worker)
        yield
