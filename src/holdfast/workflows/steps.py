"""Each durable step once, with its queue and its patience. No other workflow file names a time-out.

Three tempers:

- A step that spends or reads gets a time box: when it ends, the story goes on another way.
- A step that ends spending, or writes down what happened, is never given up.
- A step that watches has no end of its own, only a heartbeat.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason
from holdfast.contracts.deployments import SmokeRequest, SmokeVerdict
from holdfast.contracts.disks import (
    CopyPlan,
    DiskCopy,
    DropCopyInput,
    JudgeCopiesInput,
    PlanCopyInput,
    TakeCopyInput,
    TakenCopy,
)
from holdfast.contracts.endpoints import EndpointSpec, Pass, Wake
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import Decision, Ended
from holdfast.contracts.fine_tuning import AdoptTunedInput, TunedModel
from holdfast.contracts.forecasts import (
    FitInput,
    Fitted,
    ForecastKey,
    HourlyPrices,
    PlanRefitsInput,
    ReadHourlyInput,
    RecordedForecast,
)
from holdfast.contracts.incidents import Incident
from holdfast.contracts.jobs import InputSpec, JobOutputs, JobSpec, JobStatus, StagedInput
from holdfast.contracts.machines import (
    Awaited,
    Conduct,
    Instance,
    InstanceState,
    LaunchResult,
    Lease,
    Offer,
    OpenLease,
    Requirements,
)
from holdfast.contracts.market import (
    AdviseStartInput,
    MarketPoint,
    PlanSurveyInput,
    PricedOffers,
    PriceOffersInput,
    ReadFeedInput,
    RecordedPrices,
    RecordPricesInput,
    StartWord,
    SurveyPlan,
    ThinInput,
    Thinned,
)
from holdfast.contracts.memory import (
    MachineKey,
    MachineMemory,
    PlaceLoss,
    PlaceMemory,
    RecallInput,
    Recollection,
    StrategyRecord,
)
from holdfast.contracts.models import (
    AddModelInput,
    FindModelInput,
    ModelPlan,
    ModelVersion,
    RegisterModelInput,
    StoredModel,
)
from holdfast.contracts.money import (
    BudgetWord,
    Charge,
    ChargesInput,
    Drift,
    MeterInput,
    ReconcileInput,
    SetBudgetInput,
    Standing,
)
from holdfast.contracts.pools import ClaimAnswer, ClaimRequest, HandOverInput, PoolDemand
from holdfast.contracts.spec import Alone, ServiceSpec, WorkloadSpec
from holdfast.contracts.sweeping import Finding, JudgeInput, Look, LookInput, Stock
from holdfast.contracts.workload import Phase
from holdfast.workflows import changes

Order = TypeVar("Order")
Answer = TypeVar("Answer")

_HOST_ANSWERS = [
    ErrorType.HOST_UNREACHABLE,
    ErrorType.HOST_REFUSED,
    ErrorType.HOST_KEY_CHANGED,
    ErrorType.AGENT_FAILED,
    ErrorType.SERVICE_NOT_READY,
]
_FOR_EVER = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))
_BRISK = RetryPolicy(initial_interval=timedelta(milliseconds=250), maximum_interval=timedelta(seconds=5))
_SOME_TRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=250), maximum_interval=timedelta(seconds=5), maximum_attempts=5
)
_ONCE = RetryPolicy(maximum_attempts=1)
# A host that says no is an answer; only a lost worker or a store that is down is worth another try.
_HOST = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    maximum_interval=timedelta(seconds=15),
    non_retryable_error_types=[*_HOST_ANSWERS],
)


def unheard(handle: "asyncio.Task[Any]") -> None:
    """Nobody waits for this outcome: it is in the history, and no news to the log."""
    handle.add_done_callback(lambda done: None if done.cancelled() else done.exception())


# --- records -----------------------------------------------------------------------------------------------------


async def _on_record(body: Callable[[Order], Awaitable[Answer]], order: Order, *, summary: str) -> Answer:
    """What happened is written down, however long the database takes to come back."""
    return await workflow.execute_activity(
        body,
        order,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_FOR_EVER,
        summary=summary,
    )


async def open_workload(order: acts.OpenWorkloadInput) -> acts.OpenWorkloadResult:
    return await _on_record(acts.open_workload, order, summary=f"open the record of {order.spec.name}")


async def claim_epoch(
    workload: str,
    epoch: int,
    offer: Offer | None,
    decision: Decision | None = None,
    *,
    wanted_at: datetime | None = None,
) -> acts.ClaimEpochResult:
    order = acts.ClaimEpochInput(workload=workload, epoch=epoch, offer=offer, decision=decision, wanted_at=wanted_at)
    return await _on_record(acts.claim_epoch, order, summary=f"raise the fence to epoch {epoch}")


async def record_lease(lease: Lease, *, known: bool = False) -> None:
    """Nothing is done where this is `known` to be on record."""
    if known:
        return
    summary = f"record {lease.label} on {lease.provider} {lease.instance_id}"
    await _on_record(acts.record_lease, lease, summary=summary)


async def meter_lease(lease: Lease, state: InstanceState, *, charged: Decimal | None) -> None:
    order = MeterInput(label=lease.label, state=state, at=workflow.now(), charged=charged)
    await _on_record(acts.meter_lease, order, summary=f"{lease.label} is charged for as {state}")


async def keep_budget(workload: str) -> BudgetWord:
    return await _on_record(acts.keep_budget, workload, summary=f"what {workload} may still spend")


async def reconcile_charges(order: ReconcileInput) -> Drift:
    return await _on_record(
        acts.reconcile_charges, order, summary=f"our meter beside {len(order.charges)} charges of {order.provider}"
    )


async def plan_survey(provider: str, at: datetime) -> SurveyPlan:
    order = PlanSurveyInput(provider=provider, at=at)
    return await _on_record(acts.plan_survey, order, summary=f"what is worth asking {provider} for")


async def record_prices(order: RecordPricesInput) -> RecordedPrices:
    asking = order.asking
    about = f"{len(order.points)} prices" if asking is None or asking.answered else f"that {asking.provider} was silent"
    return await _on_record(acts.record_prices, order, summary=f"write down {about}")


async def thin_prices(order: ThinInput) -> Thinned:
    return await _on_record(acts.thin_prices, order, summary="one point a day for what is old")


async def plan_refits(at: datetime) -> list[ForecastKey]:
    return await _on_record(acts.plan_refits, PlanRefitsInput(at=at), summary="which prices to forecast anew")


async def read_hourly(keys: Sequence[ForecastKey]) -> list[HourlyPrices]:
    order = ReadHourlyInput(keys=tuple(keys))
    return await _on_record(acts.read_hourly, order, summary=f"four weeks of {len(keys)} series of prices")


async def record_forecasts(made: Sequence[RecordedForecast]) -> int:
    return await _on_record(acts.record_forecasts, list(made), summary=f"write down {len(made)} forecasts")


async def fit_forecasts(histories: Sequence[HourlyPrices], *, within: timedelta) -> Fitted:
    """Work for the CPU. The next survey tries again what is not done in time.

    Raises:
        ActivityError: no analysis worker took it, or none could do it.
    """
    return await workflow.execute_activity(
        acts.fit_forecasts,
        FitInput(histories=tuple(histories)),
        task_queue=names.ANALYSIS_QUEUE,
        start_to_close_timeout=min(within, timedelta(minutes=3)),
        schedule_to_close_timeout=within,
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=_SOME_TRIES,
        summary=f"forecast {len(histories)} series of prices",
    )


async def close_lease(label: str, reason: str, conduct: Conduct, failed_in: str, *, ended: Ended, asleep: bool) -> None:
    order = acts.CloseLeaseInput(
        label=label,
        closed_at=workflow.now(),
        reason=reason,
        conduct=conduct,
        failed_in=failed_in,
        existed=ended.existed,
        heard=ended.heard,
        running_since=ended.running_since,
        asleep=asleep,
    )
    await _on_record(acts.close_lease, order, summary=f"close the cost line of {label}")


async def recall_machines(machines: tuple[MachineKey, ...]) -> list[MachineMemory]:
    order = RecallInput(machines=machines)
    return await _on_record(acts.recall_machines, order, summary=f"what is remembered of {len(machines)} machines")


async def recall(
    machines: tuple[MachineKey, ...], lost: PlaceLoss | None, *, gpus: tuple[str, ...], spec: WorkloadSpec
) -> Recollection:
    order = RecallInput(machines=machines, lost=lost, gpus=gpus, workload=spec.name, saved_every=spec.checkpoint.every)
    return await _on_record(acts.recall, order, summary=f"recall {len(machines)} machines, and places")


async def closed_places() -> list[PlaceMemory]:
    return await workflow.execute_activity(
        acts.closed_places,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_FOR_EVER,
        summary="where one machine after the other fails",
    )


async def strategy_records() -> list[StrategyRecord]:
    return await workflow.execute_activity(
        acts.strategy_records,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_FOR_EVER,
        summary="how long each strategy took before",
    )


async def pool_demand(pool: str) -> PoolDemand:
    return await _on_record(acts.pool_demand, pool, summary=f"what losses the pool {pool} is there for")


async def open_leases(workload: str) -> list[OpenLease]:
    return await _on_record(acts.open_leases, workload, summary=f"which machines of {workload} may still cost money")


async def take_stock(provider: str) -> Stock:
    return await workflow.execute_activity(
        acts.take_stock,
        provider,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(minutes=2),
        heartbeat_timeout=timedelta(seconds=60),
        retry_policy=_FOR_EVER,
        summary=f"what is owned at {provider}",
    )


async def judge_strangers(order: JudgeInput) -> list[Finding]:
    return await _on_record(acts.judge_strangers, order, summary=f"judge {len(order.strangers)} strangers")


async def claim_standby(order: ClaimRequest) -> ClaimAnswer:
    """Soon or not at all: there are other ways to a machine."""
    return await workflow.execute_activity(
        acts.claim_standby,
        order,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(seconds=20),
        schedule_to_close_timeout=timedelta(minutes=1),
        retry_policy=_BRISK,
        summary=f"ask the pool {order.pool} for a standby",
    )


async def hand_over_standby(order: HandOverInput) -> str:
    """The label of the workload's cost line."""
    summary = f"{order.standby} becomes the machine of {order.workload}, epoch {order.epoch}"
    return (await _on_record(acts.hand_over_standby, order, summary=summary)).label


async def commit_checkpoint(checkpoint: CheckpointRef, expected_sequence: int | None, keep: int) -> CheckpointRef:
    order = acts.CommitCheckpointInput(checkpoint=checkpoint, expected_sequence=expected_sequence, keep=keep)
    summary = f"move the head to checkpoint {checkpoint.sequence}"
    return await _on_record(acts.commit_checkpoint, order, summary=summary)


async def find_model(order: FindModelInput) -> ModelVersion | None:
    return await _on_record(acts.find_model, order, summary=f"is {order.name} of this revision registered already")


async def add_model(order: AddModelInput) -> ModelVersion:
    return await _on_record(acts.add_model, order, summary=f"give {order.name} a version")


async def read_head(workload: str) -> CheckpointRef | None:
    return await _on_record(acts.read_head, workload, summary=f"which checkpoint is the head of {workload}")


async def record_incident(incident: Incident) -> None:
    summary = f"record the loss of epoch {incident.epoch_lost}: {incident.cause}"
    await _on_record(acts.record_incident, incident, summary=summary)


async def record_decision(decision: Decision) -> None:
    summary = f"record why: {len(decision.chosen)} offers fit, {decision.rejected_total} do not"
    await _on_record(acts.record_decision, decision, summary=summary)


async def close_workload(workload: str, phase: Phase, reason: str) -> None:
    order = acts.CloseWorkloadInput(workload=workload, phase=phase, reason=reason, closed_at=workflow.now())
    await _on_record(acts.close_workload, order, summary=f"close the record: {phase}")


async def live_manifests() -> list[str]:
    return await workflow.execute_activity(
        acts.live_manifests,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(minutes=2),
        retry_policy=_FOR_EVER,
        summary="which checkpoints live",
    )


async def plan_disk_copy(order: PlanCopyInput) -> CopyPlan:
    return await _on_record(acts.plan_disk_copy, order, summary=f"whether a copy of {order.workload}'s disk is due")


async def record_disk_copy(copy: DiskCopy) -> list[DiskCopy]:
    return await _on_record(acts.record_disk_copy, copy, summary=f"copy {copy.name} is whole")


async def open_disk_copies(workload: str) -> list[DiskCopy]:
    return await _on_record(acts.open_disk_copies, workload, summary=f"which copies of {workload}'s disk there are")


async def close_disk_copy(name: str) -> None:
    await _on_record(acts.close_disk_copy, name, summary=f"copy {name} is gone")


async def judge_disk_copies(order: JudgeCopiesInput) -> list[str]:
    return await _on_record(acts.judge_disk_copies, order, summary=f"judge {len(order.names)} copies of disks")


async def record_endpoint(spec: EndpointSpec, token_hashes: tuple[str, ...], deployment: str) -> None:
    order = acts.RecordEndpointInput(spec=spec, token_hashes=token_hashes, at=workflow.now(), deployment=deployment)
    await _on_record(acts.record_endpoint, order, summary=f"gateways may know {spec.name}")


async def close_endpoint(name: str) -> None:
    await _on_record(acts.close_endpoint, name, summary=f"{name} is no more")


async def shift_traffic(deployment: str, endpoint: str) -> None:
    order = acts.ShiftTrafficInput(deployment=deployment, endpoint=endpoint, at=workflow.now())
    await _on_record(acts.shift_traffic, order, summary=f"{deployment} leads to {endpoint} from now on")


async def close_deployment(name: str) -> None:
    await _on_record(acts.close_deployment, name, summary=f"{name} leads nowhere any more")


async def wake_endpoint(endpoint: str, caller: str, within: timedelta) -> Pass:
    """Until it can serve.

    Raises:
        ActivityError: it cannot, or not within that time.
    """
    return await workflow.execute_activity(
        acts.wake_endpoint,
        acts.WakeEndpointInput(endpoint=endpoint, caller=caller),
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=within,
        schedule_to_close_timeout=within,
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_BRISK,
        summary=f"until {endpoint} can serve",
    )


async def record_wake(wake: Wake) -> None:
    await _on_record(
        acts.record_wake, wake, summary=f"{wake.replica} woke in {wake.phases.total().total_seconds():.1f} s"
    )


async def until_ended(workflow_ids: tuple[str, ...]) -> None:
    """However long that takes: each of them ends when its machine is gone."""
    await workflow.execute_activity(
        acts.until_ended,
        list(workflow_ids),
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(days=30),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_FOR_EVER,
        summary=f"until {', '.join(workflow_ids)[:150] or 'nothing'} ended",
    )


async def mark_verified(workload: str, checkpoint: CheckpointRef) -> None:
    """Read back, and found sound, just now."""
    order = acts.MarkVerifiedInput(workload=workload, manifest=checkpoint.manifest, verified_at=workflow.now())
    await _on_record(acts.mark_verified, order, summary=f"checkpoint {checkpoint.sequence} was read back")


async def record_job(status: JobStatus, spec: JobSpec, manifests: Sequence[str]) -> None:
    order = acts.RecordJobInput(status=status, spec=spec, manifests=tuple(manifests), at=workflow.now())
    await _on_record(acts.record_job, order, summary=f"{status.name} is {status.phase}")


async def cost_of_attempt(workload: str) -> Decimal:
    return await _on_record(acts.cost_of_attempt, workload, summary=f"what {workload} has cost")


async def set_budget(order: SetBudgetInput) -> list[Standing]:
    told = "no limit" if order.amount is None else f"${order.amount:.2f}"
    return await _on_record(acts.set_budget, order, summary=f"{order.scope} budget of {order.name}: {told}")


async def gone_jobs(jobs: list[str]) -> list[str]:
    """Soon or not at all: the next look asks again."""
    return await workflow.execute_activity(
        acts.gone_jobs,
        jobs,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(minutes=5),
        schedule_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_BRISK,
        summary=f"which of {len(jobs)} jobs run no more",
    )


# --- providers ---------------------------------------------------------------------------------------------------


async def search_offers(provider: str, requirements: Requirements) -> Sequence[Offer]:
    return await workflow.execute_activity(
        acts.search_offers,
        acts.SearchInput(provider=provider, requirements=requirements),
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(seconds=60),
        schedule_to_close_timeout=timedelta(minutes=3),
        retry_policy=_BRISK,
        summary=f"search {provider} for {requirements.gpu_count} x {requirements.gpu or 'any GPU'}",
    )


async def price_offers(provider: str, gpus: tuple[str, ...]) -> PricedOffers:
    """Soon or not at all: a survey that comes late says nothing of its hour, and a gap is no harm. Most of the time is
    for waiting aside until the provider's pace has room."""
    return await workflow.execute_activity(
        acts.price_offers,
        PriceOffersInput(provider=provider, gpus=gpus),
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(minutes=5),
        schedule_to_start_timeout=timedelta(minutes=1),
        schedule_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=_SOME_TRIES,
        summary=f"what {provider} asks for {gpus[0] if gpus else 'any GPU'}",
    )


async def read_feed(provider: str, gpu: str, since: datetime) -> list[MarketPoint] | None:
    """Soon or not at all: tomorrow it is asked for again."""
    return await workflow.execute_activity(
        acts.read_feed,
        ReadFeedInput(provider=provider, gpu=gpu, since=since),
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_start_timeout=timedelta(minutes=1),
        schedule_to_close_timeout=timedelta(minutes=4),
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=_SOME_TRIES,
        summary=f"what {provider} tells of the past prices of {gpu}",
    )


async def launch(offer: Offer, lease: Lease, spec: WorkloadSpec, *, from_snapshot: str = "") -> LaunchResult:
    """Rent it under the label of the lease, and put it on record, if the records answer soon."""
    return await workflow.execute_activity(
        acts.launch,
        acts.LaunchInput(
            offer=offer,
            label=lease.label,
            image=spec.image,
            disk_gb=spec.resources.disk_gb,
            lease=lease if changes.fewer_steps() else None,
            from_snapshot=from_snapshot,
        ),
        task_queue=names.provider_queue(offer.provider),
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=timedelta(minutes=5),  # after that the offer and its price are stale
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_BRISK,
        summary=f"rent {offer.gpu_count} x {offer.gpu} at ${offer.hourly:.3f}/h as {lease.label}",
    )


async def await_running(lease: Lease, patience: timedelta, *, restarted: bool, ordered_at: datetime) -> Awaited:
    """Until it runs, or will not; put on record since when it runs, if the records answer soon."""
    return await workflow.execute_activity(
        acts.await_running,
        acts.AwaitRunningInput(
            provider=lease.provider,
            instance_id=lease.instance_id,
            patience=patience,
            restarted=restarted,
            lease=lease if changes.fewer_steps() else None,
            ordered_at=ordered_at if changes.fewer_steps() else None,
        ),
        task_queue=names.provider_queue(lease.provider),
        start_to_close_timeout=patience + timedelta(minutes=2),
        schedule_to_close_timeout=patience + timedelta(minutes=2),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_BRISK,
        summary=f"wait for {lease.label} to boot",
    )


async def inspect(provider: str, instance_id: str, label: str, *, hurry: bool = False) -> Instance:
    """One look at the provider's word, soon or not at all; before others if somebody's work stands still meanwhile."""
    return await workflow.execute_activity(
        acts.inspect,
        acts.MachineInput(provider=provider, instance_id=instance_id, hurry=hurry),
        task_queue=names.provider_queue(provider),
        schedule_to_close_timeout=timedelta(seconds=15),
        retry_policy=_BRISK,
        summary=f"ask {provider} about {label}",
    )


async def reap(provider: str, label: str, *, wait_out_lag: bool) -> int:
    """How many machines wore the label."""
    return await workflow.execute_activity(
        acts.reap,
        acts.ReapInput(provider=provider, label=label, wait_out_lag=wait_out_lag),
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(minutes=1),
        retry_policy=_FOR_EVER,
        summary=f"destroy whatever wears {label}",
    )


async def look_for_strangers(provider: str, stock: Stock) -> Look:
    """One listing, begun soon or not at all: the next sweep looks again. Thousands of machines fill many pages."""
    return await workflow.execute_activity(
        acts.look_for_strangers,
        LookInput(provider=provider, stock=stock),
        task_queue=names.provider_queue(provider),
        schedule_to_start_timeout=timedelta(minutes=5),
        start_to_close_timeout=timedelta(minutes=30),
        schedule_to_close_timeout=timedelta(minutes=40),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=250), maximum_attempts=4),
        summary=f"list {provider} and look for machines that nobody owns",
    )


async def read_charges(provider: str, since: datetime) -> list[Charge] | None:
    """Soon or not at all: the next run asks again."""
    return await workflow.execute_activity(
        acts.read_charges,
        ChargesInput(provider=provider, since=since),
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(minutes=5),
        schedule_to_close_timeout=timedelta(minutes=15),
        retry_policy=_BRISK,
        summary=f"what {provider} charges",
    )


async def destroy(provider: str, instance_id: str) -> datetime | None:
    """Since when it ran, by the provider's last word."""
    return await workflow.execute_activity(
        acts.destroy,
        acts.MachineInput(provider=provider, instance_id=instance_id),
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(minutes=1),
        retry_policy=_FOR_EVER,
        summary=f"destroy {instance_id} until {provider} does not know it",
    )


async def destroy_soon(provider: str, instance_id: str) -> None:
    """As `destroy`, for who looks again later: asked for at least, and waited for a little."""
    await workflow.execute_activity(
        acts.destroy,
        acts.MachineInput(provider=provider, instance_id=instance_id),
        task_queue=names.provider_queue(provider),
        schedule_to_close_timeout=timedelta(seconds=30),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_BRISK,
        summary=f"destroy {instance_id}",
    )


def take_disk_copy(lease: Lease, name: str) -> workflow.ActivityHandle[TakenCopy]:
    """A cancel is over when nobody asks for the copy any more, so that what is dropped then stays away.

    A provider may want many minutes between two copies, and a big disk takes long.
    """
    return workflow.start_activity(
        acts.take_disk_copy,
        TakeCopyInput(provider=lease.provider, instance_id=lease.instance_id, name=name),
        task_queue=names.provider_queue(lease.provider),
        schedule_to_close_timeout=timedelta(hours=12),
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5)),
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=f"copy the disk of {lease.label} as {name}",
    )


async def drop_disk_copy(copy: DiskCopy) -> None:
    await workflow.execute_activity(
        acts.drop_disk_copy,
        DropCopyInput(provider=copy.provider, name=copy.name),
        task_queue=names.provider_queue(copy.provider),
        start_to_close_timeout=timedelta(minutes=10),
        heartbeat_timeout=timedelta(minutes=1),
        retry_policy=_FOR_EVER,
        summary=f"drop {copy.name} until {copy.provider} does not know it",
    )


async def drop_disk_copy_soon(provider: str, name: str) -> None:
    """As `drop_disk_copy`, for who looks again later."""
    await workflow.execute_activity(
        acts.drop_disk_copy,
        DropCopyInput(provider=provider, name=name),
        task_queue=names.provider_queue(provider),
        schedule_to_close_timeout=timedelta(seconds=30),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_BRISK,
        summary=f"drop {name}",
    )


async def require_pausing(provider: str) -> None:
    await workflow.execute_activity(
        acts.require_pausing,
        provider,
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(seconds=10),
        schedule_to_close_timeout=timedelta(minutes=1),
        retry_policy=_BRISK,
        summary=f"whether {provider} can pause a machine",
    )


async def stop_instance(lease: Lease) -> None:
    await workflow.execute_activity(
        acts.stop_instance,
        acts.MachineInput(provider=lease.provider, instance_id=lease.instance_id),
        task_queue=names.provider_queue(lease.provider),
        start_to_close_timeout=timedelta(minutes=2),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_FOR_EVER,
        summary=f"stop {lease.label}, keep its disk",
    )


async def start_instance(lease: Lease) -> Instance:
    return await workflow.execute_activity(
        acts.start_instance,
        acts.MachineInput(provider=lease.provider, instance_id=lease.instance_id),
        task_queue=names.provider_queue(lease.provider),
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=timedelta(minutes=5),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_BRISK,
        summary=f"start {lease.label} again",
    )


async def watch_provider(provider: str, every: timedelta) -> None:
    await workflow.execute_activity(
        acts.watch_provider,
        acts.WatchProviderInput(provider=provider, every=every),
        task_queue=names.provider_queue(provider),
        start_to_close_timeout=timedelta(days=1),
        heartbeat_timeout=timedelta(minutes=1),
        retry_policy=_FOR_EVER,
        summary=f"list {provider} every {every.total_seconds():g} s",
    )


# --- hosts -------------------------------------------------------------------------------------------------------


async def settle_in(lease: Lease, spec: WorkloadSpec, patience: timedelta | None = None) -> acts.SettleResult:
    """`patience`: how long a machine may take to let us in; None: as long as it may take to boot."""
    patience = patience or spec.failover.boot_timeout
    return await workflow.execute_activity(
        acts.settle_in,
        acts.SettleInput(
            lease=lease,
            requirements=spec.requirements(),
            patience=patience,
            deadman=spec.failover.deadman,
            alone=_left_alone(spec),
        ),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=patience + timedelta(minutes=5),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_HOST,
        summary=f"reach {lease.label}, place the agent, probe",
    )


def _left_alone(spec: WorkloadSpec) -> acts.LeftAlone:
    return acts.LeftAlone(finish=spec.failover.alone is Alone.FINISH, end_after=spec.failover.end_after)


async def restore(lease: Lease, spec: WorkloadSpec, checkpoint: CheckpointRef) -> RestoreSummary:
    return await workflow.execute_activity(
        acts.restore_checkpoint,
        _restore_input(lease, spec, checkpoint),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=12),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_HOST,
        summary=f"restore checkpoint {checkpoint.sequence} on {lease.label}",
    )


async def resume_work(lease: Lease, spec: WorkloadSpec, checkpoint: CheckpointRef) -> acts.ResumeResult:
    """As `restore` and then `start_work`."""
    order = acts.ResumeInput(
        restore=_restore_input(lease, spec, checkpoint),
        start=acts.StartWorkInput(lease=lease, spec=spec, sequence=checkpoint.sequence),
    )
    return await workflow.execute_activity(
        acts.resume_work,
        order,
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=16),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_HOST,
        summary=f"restore checkpoint {checkpoint.sequence} on {lease.label}, and start the work",
    )


def _restore_input(lease: Lease, spec: WorkloadSpec, checkpoint: CheckpointRef) -> acts.RestoreInput:
    return acts.RestoreInput(
        lease=lease,
        workspace=spec.workspace,
        manifest=checkpoint.manifest,
        deadman=spec.failover.deadman,
        alone=_left_alone(spec),
    )


async def start_work(lease: Lease, spec: WorkloadSpec, checkpoint: CheckpointRef | None) -> datetime:
    result = await workflow.execute_activity(
        acts.start_work,
        acts.StartWorkInput(lease=lease, spec=spec, sequence=checkpoint.sequence if checkpoint else None),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=4),  # the setup command may build things
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_HOST,
        summary=f"start the work on {lease.label}",
    )
    return result.started_at


def watch_machine(
    lease: Lease,
    spec: WorkloadSpec,
    *,
    started_at: datetime,
    announce_progress: bool,
    reports_progress: bool = False,
    stalled_since: datetime | None = None,
) -> workflow.ActivityHandle[acts.MachineReport]:
    return workflow.start_activity(
        acts.watch_machine,
        acts.WatchMachineInput(
            lease=lease,
            spec=spec,
            started_at=started_at,
            announce_progress=announce_progress,
            deadman=spec.failover.deadman,
            reports_progress=reports_progress,
            stalled_since=stalled_since,
        ),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(days=365),
        heartbeat_timeout=timedelta(seconds=15),
        retry_policy=_BRISK,
        summary=f"watch {lease.label}",
    )


async def try_reach(lease: Lease) -> acts.ReachResult:
    return await workflow.execute_activity(
        acts.try_reach,
        acts.ReachInput(lease=lease),
        task_queue=names.HOSTS_QUEUE,
        schedule_to_close_timeout=timedelta(seconds=20),
        retry_policy=_ONCE,
        summary=f"try to reach {lease.label}",
    )


async def stop_work(lease: Lease, grace: timedelta) -> None:
    await workflow.execute_activity(
        acts.stop_work,
        acts.StopWorkInput(lease=lease, grace=grace),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=grace + timedelta(minutes=1),
        schedule_to_close_timeout=grace + timedelta(minutes=5),
        retry_policy=_HOST,
        summary=f"stop the work on {lease.label}",
    )


def save_checkpoint(
    lease: Lease, spec: WorkloadSpec, *, reason: SaveReason, base: CheckpointRef | None, sequence: int
) -> workflow.ActivityHandle[CheckpointRef]:
    """Upload a checkpoint. A save for which nobody waits is given up after three tries; the others wait for the store.

    A workspace that never held still is not waited for: each try has read it several times.
    """
    patient = reason not in (SaveReason.CADENCE, SaveReason.BEFORE_PAUSE)
    return workflow.start_activity(
        acts.save_checkpoint,
        acts.SaveInput(lease=lease, spec=spec, reason=reason, base=base, sequence=sequence),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=12),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=1),
            maximum_interval=timedelta(seconds=15),
            maximum_attempts=0 if patient else 3,
            non_retryable_error_types=[*_HOST_ANSWERS, ErrorType.SOURCE_UNSTABLE],
        ),
        summary=f"save checkpoint {sequence} ({reason})",
    )


async def require_sound(workload: str, checkpoint: CheckpointRef) -> None:
    """Read a checkpoint back from the store, whole.

    Raises:
        ApplicationError: some of it is not what was saved.
        ActivityError: nobody could read it in a day.
    """
    read = await workflow.execute_activity(
        acts.verify_checkpoint,
        acts.VerifyInput(workload=workload, manifest=checkpoint.manifest),
        task_queue=names.ANALYSIS_QUEUE,
        start_to_close_timeout=timedelta(hours=12),
        schedule_to_close_timeout=timedelta(days=1),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_BRISK,
        summary=f"read checkpoint {checkpoint.sequence} back",
    )
    if read.corrupt:
        message = (
            f"checkpoint {checkpoint.sequence} cannot be read back: {len(read.corrupt)} of its chunks are not sound"
        )
        raise ApplicationError(message, type=ErrorType.CHECKPOINT_CORRUPT)


async def await_service(lease: Lease, service: ServiceSpec) -> acts.ServiceReady:
    """Until the work on a machine answers its health check.

    Raises:
        ActivityError: it does not within `service.ready_within`, or its machine cannot be reached.
    """
    return await workflow.execute_activity(
        acts.await_service,
        acts.AwaitServiceInput(lease=lease, service=service),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=service.ready_within + timedelta(minutes=1),
        schedule_to_close_timeout=service.ready_within + timedelta(minutes=2),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_HOST,
        summary=f"until the service on {lease.label} can serve",
    )


async def smoke_test(lease: Lease, port: int, request: SmokeRequest) -> SmokeVerdict:
    """What callers would ask. An answer that is no good is an answer.

    Raises:
        ActivityError: the machine cannot be reached.
    """
    return await workflow.execute_activity(
        acts.smoke_test,
        acts.SmokeTestInput(lease=lease, port=port, request=request),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=request.within + timedelta(minutes=1),
        schedule_to_close_timeout=request.within + timedelta(minutes=5),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_HOST,
        summary=f"{request.method} {request.path} on {lease.label}",
    )


async def collect_garbage(live: list[str], grace: timedelta) -> acts.CollectGarbageResult:
    return await workflow.execute_activity(
        acts.collect_garbage,
        acts.CollectGarbageInput(live=live, grace=grace),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=12),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_FOR_EVER,
        summary=f"collect garbage beside {len(live)} live checkpoints",
    )


async def collect_unneeded(grace: timedelta) -> acts.CollectGarbageResult:
    return await workflow.execute_activity(
        acts.collect_unneeded,
        acts.CollectUnneededInput(grace=grace),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=12),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_FOR_EVER,
        summary="delete what no checkpoint needs",
    )


async def fill_mirror(mirror: str) -> acts.FillMirrorResult:
    return await workflow.execute_activity(
        acts.fill_mirror,
        acts.FillMirrorInput(mirror=mirror),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=12),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_FOR_EVER,
        summary=f"copy to mirror {mirror} what it lacks",
    )


async def plan_model(order: RegisterModelInput) -> ModelPlan:
    """A person waits: a source that is away is told soon."""
    return await workflow.execute_activity(
        acts.plan_model,
        order,
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(minutes=2),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=replace(_BRISK, maximum_attempts=3),
        summary=f"what there is at {order.source}",
    )


async def fetch_model(order: RegisterModelInput, plan: ModelPlan) -> StoredModel:
    """Each try goes on where the last one ended; what a person must change ends it at once."""
    return await workflow.execute_activity(
        acts.fetch_model,
        acts.FetchModelInput(order=order, plan=plan),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=48),
        schedule_to_close_timeout=timedelta(hours=72),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=replace(_FOR_EVER, maximum_attempts=100),
        summary=f"fetch {len(plan.files)} files, {plan.bytes_total / 1e9:.1f} GB",
    )


async def adopt_tuned(order: AdoptTunedInput) -> TunedModel:
    """Its files are in the store: it can be done whenever that is there."""
    return await workflow.execute_activity(
        acts.adopt_tuned,
        order,
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=12),
        schedule_to_close_timeout=timedelta(hours=72),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=replace(_FOR_EVER, maximum_attempts=100),
        summary=f"make files of the model {order.name} of what was trained",
    )


async def order_release(order: acts.OrderReleaseInput) -> acts.OrderedRelease:
    """Raises ActivityError: another release was under way all the time that it may take to serve."""
    return await workflow.execute_activity(
        acts.order_release,
        order,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(minutes=1),
        schedule_to_close_timeout=order.order.within,
        retry_policy=_FOR_EVER,
        summary=f"{order.order.model} version {order.order.version} for {order.deployment}",
    )


async def stage_input(job: str, wanted: InputSpec) -> StagedInput:
    """It goes on where the last try ended; what a person must change ends it at once."""
    return await workflow.execute_activity(
        acts.stage_input,
        acts.StageInput(job=job, wanted=wanted),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=48),
        schedule_to_close_timeout=timedelta(hours=72),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=replace(_FOR_EVER, maximum_attempts=100),
        summary=f"fetch {wanted.source[:100]}, and prove it",
    )


async def advise_start(order: AdviseStartInput) -> StartWord:
    return await workflow.execute_activity(
        acts.advise_start,
        order,
        task_queue=names.CONTROL_QUEUE,
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=timedelta(minutes=30),
        retry_policy=_FOR_EVER,
        summary=f"whether {order.gpu} gets cheaper",
    )


async def lay_out(job: str, workdir: CheckpointRef | None, staged: Sequence[StagedInput]) -> CheckpointRef:
    return await workflow.execute_activity(
        acts.lay_out,
        acts.LayOutInput(job=job, workdir=workdir, staged=tuple(staged)),
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=1),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_FOR_EVER,
        summary=f"make checkpoint zero of {len(staged)} inputs",
    )


async def keep_outputs(order: acts.KeepOutputsInput) -> JobOutputs:
    """Of what is committed and in the store: it can be done whenever the store is there."""
    return await workflow.execute_activity(
        acts.keep_outputs,
        order,
        task_queue=names.HOSTS_QUEUE,
        start_to_close_timeout=timedelta(hours=1),
        heartbeat_timeout=timedelta(seconds=20),
        retry_policy=_FOR_EVER,
        summary=f"keep the outputs of attempt {order.attempt}",
    )
