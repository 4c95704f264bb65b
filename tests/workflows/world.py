"""A small world for the durable stories: every activity under its real name, over plain Python state.

It stands where providers, machines and records would be. Tests change it while a story runs (`world.outbid(...)`),
and read from it what the story did. Nothing in it decides anything that the product decides.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from holdfast.activities.beating import beating
from holdfast.activities.endpoints import until_it_serves
from holdfast.activities.machines import put_on_record
from holdfast.activities.pools import ask_pool
from holdfast.activities.recording import recorded
from holdfast.activities.releases import ReleaseActivities
from holdfast.activities.resuming import restore_then_start
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason, VerifySummary
from holdfast.contracts.deployments import Compared, SmokeVerdict
from holdfast.contracts.disks import (
    CopyOutcome,
    CopyPlan,
    DiskCopy,
    DropCopyInput,
    PlanCopyInput,
    TakeCopyInput,
    TakenCopy,
)
from holdfast.contracts.endpoints import Pass, Wake
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import Decision
from holdfast.contracts.fine_tuning import AdoptTunedInput, Answer, TunedModel
from holdfast.contracts.incidents import Incident, Reach
from holdfast.contracts.jobs import JobOutputs, JobStatus, StagedInput
from holdfast.contracts.machines import (
    Awaited,
    Conduct,
    Gpu,
    Instance,
    InstanceState,
    LaunchResult,
    Lease,
    Offer,
    OpenLease,
    Probe,
    SshAddress,
    Terms,
)
from holdfast.contracts.market import AdviseStartInput, StartWord
from holdfast.contracts.memory import MachineMemory, PlaceMemory, PlaceRisk, RecallInput, Recollection, StrategyRecord
from holdfast.contracts.models import AddModelInput, ModelKind, ModelNeeds, ModelVersion, StoredModel
from holdfast.contracts.money import BudgetWord, MeterInput, SetBudgetInput, Standing
from holdfast.contracts.pools import ClaimAnswer, ClaimRequest, HandOverInput, HandOverResult, PoolDemand
from holdfast.contracts.spec import WorkloadSpec
from holdfast.contracts.workload import Phase
from holdfast.policy.renting import taken
from tests.workflows.moments import Moments

PROVIDER = "toy"


def a_risk(region: str, hour: float, *, lost_at: datetime | None = None) -> PlaceRisk:
    """Of losing an interruptible machine at `toy`."""
    return PlaceRisk(
        provider="toy",
        region=region,
        hour=hour,
        six_hours=min(0.9, 4 * hour),
        day=min(0.95, 8 * hour),
        age=timedelta(hours=1),
        losses=0,
        watched=timedelta(hours=1),
        lost_at=lost_at,
    )


def an_offer(number: int, hourly: str = "0.30", **changes: Any) -> Offer:
    offer = Offer(
        provider=PROVIDER,
        offer_id=f"o{number}",
        machine_id=f"m{number}",
        gpu="RTX 4090",
        gpu_count=1,
        gpu_memory_gb=24,
        disk_gb=100,
        region="DE",
        place="Berlin, DE",
        terms=Terms.INTERRUPTIBLE,
        hourly=Decimal(hourly),
        bid=Decimal(hourly),
        reliability=0.99,
        download_mbps=1000,
    )
    return replace(offer, **changes)


@dataclass
class Machine:
    """One rented machine of the toy provider."""

    instance: Instance
    host_is_up: bool = True
    work: asyncio.Event = field(default_factory=asyncio.Event)  # set: the watch has something to report
    report: acts.MachineReport | None = None
    running: bool = False
    restored: str | None = None
    began_with: str = ""  # the copy of a disk


class World:
    def __init__(self) -> None:
        self.offers: list[Offer] = [an_offer(n, f"0.{30 + n}") for n in range(1, 6)]
        self.machines: dict[str, Machine] = {}
        self.refusals: dict[str, str] = {}  # offer id → why it refuses us
        self.search_fails = False
        self.search_is_down = False
        self.save_fails = False
        self.saves_hang = False
        self.saves_rot = False  # what is saved cannot be read back
        self.restless = ""  # a file that changes whenever it is read
        self.api_is_down = False
        self.key_is_refused = False
        self.setup_fails = False
        self.breaks: Counter[str] = Counter()  # step → how many conversations break in its middle
        self.dies_in: str | None = None  # the step in whose middle the host dies
        self.rotten: set[str] = set()  # manifests that cannot be restored
        self.gpu_is_taken = False
        self.firm_too = False  # a provider that knows no spot offers what it has, whatever terms are asked for
        self.store_is_down = False
        self.boots = True
        self.serves = True  # what runs answers its health check
        self.endpoint: acts.RecordEndpointInput | None = None  # as gateways know it
        self.wakes: list[Wake] = []
        self.traffic: list[str] = []  # the endpoints to which a deployment's name led, "" for none
        self.jobs: list[JobStatus] = []  # as they were written down
        self.kept: tuple[str, ...] = ()  # manifests that are kept for a job's sake
        self.adopted: list[AdoptTunedInput] = []  # results of trainings
        self.result_is_odd = ""  # why it cannot be registered
        self.releases_ordered: list[acts.OrderReleaseInput] = []
        self.registering_waits: asyncio.Event | None = None
        self.refused_inputs: dict[str, str] = {}  # by source: why it says no
        self.advice: list[StartWord] = [StartWord(wait=False, reason="is cheap", at=datetime.now(UTC))]
        self.asked_when: list[AdviseStartInput] = []
        self.prices_fail = ""
        self.lacking: tuple[str, ...] = ()  # outputs that are not there
        self.cost_of_each = Decimal("0.25")  # attempt
        self.budgets: list[SetBudgetInput] = []
        self.zeros: list[CheckpointRef | None] = []  # with which workloads began
        self.specs: list[WorkloadSpec] = []
        self.unfit: set[str] = set()  # replicas that answer a smoke test badly
        self.smoke_tests: list[str] = []  # the machines that were asked
        self.slow_to_boot: set[str] = set()  # machine ids
        self.age = timedelta()  # of work that starts: it may have started long ago, and be watched since
        self.work_takes: list[int] = []  # exit codes: a started work that ends at once, in order
        self.heads: list[CheckpointRef] = []
        self.saves: list[CheckpointRef] = []
        self.bases: list[CheckpointRef | None] = []  # what each save was built on
        self.workspaces: list[str] = []  # what each save was of
        self.epoch = 0
        self.lines: dict[str, str] = {}  # label → instance id, "" until it is known
        self.leases: dict[str, Lease] = {}
        self.metered: list[tuple[str, InstanceState]] = []
        self.budget_looks = timedelta(minutes=15)
        self.budget_is_used_up = ""  # the reason with which the records end the work
        self.put_to_sleep: list[str] = []  # labels whose cost lines were closed because the work sleeps
        self.wanted: dict[int, datetime | None] = {}  # by epoch: when the sleeper was told to wake, as the claim says
        self.taken: set[str] = set()  # offers that another workload has claimed
        self.claims_are_refused = ""  # why no budget allows a claim
        self.claims_are_refused_after: int | None = None  # the last epoch for which a budget pays
        self.closed: dict[str, str] = {}
        self.incidents: list[Incident] = []  # that were answered
        self.losses: list[Incident] = []  # as they were told before that
        self.memories: list[MachineMemory] = []
        self.places: list[PlaceMemory] = []
        self.risks: list[PlaceRisk] = []
        self.recoveries: list[StrategyRecord] = []
        self.stops: Counter[str] = Counter()  # by instance
        self.demand = PoolDemand(days=7, served=0, losses=0, machine_hours=0.0)
        self.conduct: dict[str, tuple[Conduct, str]] = {}  # label → how its machine behaved
        self.decisions: list[Decision] = []
        self.ended: tuple[Phase, str] | None = None
        self.calls: Counter[str] = Counter()
        self.cannot_pause = False
        self.copies: dict[str, DiskCopy] = {}  # of disks, that are on record as open
        self.copies_kept: list[str] = []  # by the provider, whole or not
        self.copied: CheckpointRef | None = None  # the head when a copy was last asked for
        self.cannot_copy = False
        self.copies_fail = False
        self.copies_hang = False
        self.copies_stay = False  # the provider drops none
        self.claims_are_given_up = False  # no answer of a warm pool arrives in time
        self.claims_are_not_heard = 0  # so many answers of a warm pool are lost
        self.moments = Moments()
        self.order: list[str] = []  # what happened, in words that tests can compare

    # --- what tests do ---------------------------------------------------------------------------------------

    @property
    def alive(self) -> list[str]:
        """Instances that still cost something."""
        return [each for each, machine in self.machines.items() if machine.instance.state is not InstanceState.GONE]

    def newest(self) -> Machine:
        return list(self.machines.values())[-1]

    def outbid(self, machine: Machine) -> None:
        machine.instance = replace(machine.instance, state=InstanceState.INTERRUPTED, ssh=None)
        self.fall_silent(machine)

    def fall_silent(self, machine: Machine, *, last_sign: datetime | None = None) -> None:
        machine.host_is_up = machine.running = False
        self._report(machine, Reach.SILENT, last_sign=last_sign)

    def blink(self, machine: Machine) -> None:
        """The connection breaks for a moment; machine and work are fine."""
        self._report(machine, Reach.SILENT)

    def recover(self, machine: Machine) -> None:
        """Silent no more."""
        machine.host_is_up = machine.running = True
        machine.work.clear()

    def lose_work(self, machine: Machine) -> None:
        """The machine restarted: it answers, and the work is not running."""
        machine.running = False
        self._report(machine, Reach.NO_AGENT)

    def finish(self, machine: Machine, exit_code: int = 0) -> None:
        machine.running = False
        self._report(machine, Reach.ANSWERS, finished=True, exit_code=exit_code)

    def vanish(self, machine: Machine) -> None:
        """Its provider knows nothing of it any more."""
        machine.instance = replace(machine.instance, state=InstanceState.GONE, ssh=None)
        machine.host_is_up = machine.running = False

    def give_notice(self, machine: Machine, *, left: timedelta) -> None:
        """Its provider says when it takes the machine back."""
        self._report(machine, Reach.ANSWERS, taken_at=datetime.now(UTC) + left)

    def stall(self, machine: Machine, *, for_: timedelta) -> None:
        """The work runs, and has made no progress for so long."""
        self._report(machine, Reach.ANSWERS, stalled_since=datetime.now(UTC) - for_)

    def fall_unused(self, machine: Machine) -> None:
        """Nobody has used it for as long as the spec wants."""
        self._report(machine, Reach.ANSWERS, unused=True)

    def get_on(self, machine: Machine) -> None:
        """Work that had stalled makes progress again."""
        self._report(machine, Reach.ANSWERS, gets_on=True)

    def _report(self, machine: Machine, reach: Reach, *, last_sign: datetime | None = None, **more: Any) -> None:
        sign = last_sign or datetime.now(UTC)
        machine.report = acts.MachineReport(reach=reach, last_sign=sign, detail=f"{reach}", **more)
        machine.work.set()

    # --- records ---------------------------------------------------------------------------------------------

    @activity.defn
    async def open_workload(self, order: acts.OpenWorkloadInput) -> acts.OpenWorkloadResult:
        self.zeros.append(order.workdir)
        self.specs.append(order.spec)
        if order.workdir and not self.heads:
            self.heads.append(order.workdir)
        return acts.OpenWorkloadResult(epoch=self.epoch, head=self._head(), providers=(PROVIDER,))

    @activity.defn
    async def claim_epoch(self, order: acts.ClaimEpochInput) -> acts.ClaimEpochResult:
        if order.decision is not None:
            self.decisions.append(order.decision)
        if names.is_pool_record(order.workload):
            self.lines[names.label(order.workload, order.epoch)] = ""
            return acts.ClaimEpochResult(head=None)
        if order.epoch < self.epoch:
            raise ApplicationError("older than the fence", type=ErrorType.FENCED, non_retryable=True)
        if order.offer is not None and order.offer.offer_id in self.taken:
            raise ApplicationError("claimed by another", type=ErrorType.OFFER_TAKEN, non_retryable=True)
        if self.claims_are_refused or (
            self.claims_are_refused_after is not None
            and order.offer is not None
            and order.epoch > self.claims_are_refused_after
        ):
            raise ApplicationError(
                self.claims_are_refused or "used up", type=ErrorType.BUDGET_EXCEEDED, non_retryable=True
            )
        self.epoch = order.epoch
        self.wanted[order.epoch] = order.wanted_at
        if order.offer is not None:
            self.lines[names.label(order.workload, order.epoch)] = ""
        self.order.append(f"claim {order.epoch}")
        whole = [each for each in self.copies.values() if each.taken_at is not None]
        disk = whole[-1] if whole and order.offer is not None else None
        return acts.ClaimEpochResult(head=self._head(), earlier=tuple(reversed(self.heads[:-1])), disk=disk)

    @activity.defn
    async def recall_machines(self, order: RecallInput) -> list[MachineMemory]:
        asked = {each.machine_id for each in order.machines}
        return [each for each in self.memories if each.machine_id in asked]

    @activity.defn
    async def recall(self, order: RecallInput) -> Recollection:
        machines = await self.recall_machines(order)
        risks = [a_risk(order.lost.region, 0.5, lost_at=order.lost.at)] if order.lost is not None else self.risks
        return Recollection(machines=tuple(machines), places=tuple(self.places), risks=tuple(risks))

    @activity.defn
    async def closed_places(self) -> list[PlaceMemory]:
        return list(self.places)

    @activity.defn
    async def strategy_records(self) -> list[StrategyRecord]:
        return list(self.recoveries)

    @activity.defn
    async def record_endpoint(self, order: acts.RecordEndpointInput) -> None:
        self.endpoint = order

    @activity.defn
    async def close_endpoint(self, name: str) -> None:
        self.endpoint = None

    @activity.defn
    async def shift_traffic(self, order: acts.ShiftTrafficInput) -> None:
        self.traffic.append(order.endpoint)

    @activity.defn
    async def close_deployment(self, name: str) -> None:
        self.traffic.append("")

    @activity.defn
    async def wake_endpoint(self, order: acts.WakeEndpointInput) -> Pass:
        async with beating():
            return await until_it_serves(activity.client(), order)

    @activity.defn
    async def smoke_test(self, order: acts.SmokeTestInput) -> SmokeVerdict:
        self.smoke_tests.append(order.lease.workload)
        if order.lease.workload in self.unfit:
            return SmokeVerdict(passed=False, said=f"{order.request.path}: it answered 500")
        probes = order.request.comparison.probes if order.request.comparison else ()
        compared = tuple(
            Compared(prompt=each.prompt, base="five", tuned="four", trained=each.tuned, differs=True) for each in probes
        )
        return SmokeVerdict(passed=True, said=f"{order.request.path} was answered", compared=compared)

    @activity.defn
    async def order_release(self, order: acts.OrderReleaseInput) -> acts.OrderedRelease:
        self.releases_ordered.append(order)
        return await ReleaseActivities(activity.client()).order_release(order)

    @activity.defn
    async def record_wake(self, wake: Wake) -> None:
        self.wakes.append(wake)

    @activity.defn
    async def until_ended(self, workflow_ids: list[str]) -> None:
        for each in workflow_ids:
            with suppress(WorkflowFailureError, RPCError):  # RPCError: it never began
                await activity.client().get_workflow_handle(each).result()

    @activity.defn
    async def record_lease(self, lease: Lease) -> None:
        assert lease.label in self.lines, "nobody claimed it"
        self.leases[lease.label] = lease
        self.lines[lease.label] = lease.instance_id

    @activity.defn
    async def meter_lease(self, order: MeterInput) -> None:
        self.metered.append((order.label, order.state))

    @activity.defn
    async def keep_budget(self, workload: str) -> BudgetWord:
        self.calls["budget"] += 1
        return BudgetWord(look_again_after=self.budget_looks, used_up=self.budget_is_used_up)

    @activity.defn
    async def mark_verified(self, order: acts.MarkVerifiedInput) -> None:
        assert order.manifest in [each.manifest for each in self.heads], "it is not committed"
        self.order.append(f"verified {order.manifest}")

    @activity.defn
    async def record_job(self, order: acts.RecordJobInput) -> None:
        self.jobs.append(order.status)
        self.kept = order.manifests

    @activity.defn
    async def cost_of_attempt(self, workload: str) -> Decimal:
        return self.cost_of_each

    @activity.defn
    async def set_budget(self, order: SetBudgetInput) -> list[Standing]:
        self.budgets.append(order)
        return []

    @activity.defn
    async def gone_jobs(self, jobs: list[str]) -> list[str]:
        handles = {each: activity.client().get_workflow_handle(names.job_id(each)) for each in jobs}
        found = {each: await handle.describe() for each, handle in handles.items()}
        return [each for each, told in found.items() if told.status is not WorkflowExecutionStatus.RUNNING]

    @activity.defn
    async def open_leases(self, workload: str) -> list[OpenLease]:
        return [
            OpenLease(provider=PROVIDER, label=label, instance_id=instance_id)
            for label, instance_id in self.lines.items()
            if label not in self.closed and label.startswith(f"{workload}.")
        ]

    @activity.defn
    async def claim_standby(self, order: ClaimRequest) -> ClaimAnswer:
        answer = await ask_pool(activity.client(), order)
        if self.claims_are_not_heard > 0:
            self.claims_are_not_heard -= 1
            raise ApplicationError("the worker that asked has died")
        if self.claims_are_given_up:
            raise ApplicationError("too late", non_retryable=True)
        return answer

    @activity.defn
    async def hand_over_standby(self, order: HandOverInput) -> HandOverResult:
        if order.epoch <= self.epoch:
            raise ApplicationError("older than the fence", type=ErrorType.FENCED, non_retryable=True)
        if order.standby in self.closed:
            raise ApplicationError("taken", type=ErrorType.OFFER_TAKEN, non_retryable=True)
        label = names.label(order.workload, order.epoch)
        self.epoch = order.epoch
        self.closed[order.standby] = f"taken as {label}"
        self.lines[label] = self.lines[order.standby]
        self.order.append(f"hand over {order.standby}")
        return HandOverResult(label=label)

    @activity.defn
    async def pool_demand(self, pool: str) -> PoolDemand:
        return self.demand

    @activity.defn
    async def close_lease(self, order: acts.CloseLeaseInput) -> Decimal:
        self.closed[order.label] = order.reason
        if order.asleep:
            self.put_to_sleep.append(order.label)
        self.conduct[order.label] = (order.conduct, order.failed_in)
        self.order.append(f"close {order.label}")
        return Decimal(0)

    @activity.defn
    async def commit_checkpoint(self, order: acts.CommitCheckpointInput) -> CheckpointRef:
        if order.checkpoint.epoch < self.epoch:
            raise ApplicationError("an older epoch", type=ErrorType.FENCED, non_retryable=True)
        head = self._head()
        if order.expected_sequence != (head.sequence if head else None):
            raise ApplicationError("another save was first", type=ErrorType.SUPERSEDED, non_retryable=True)
        self.heads.append(order.checkpoint)
        self.order.append(f"commit {order.checkpoint.reason}")
        return order.checkpoint

    @activity.defn
    async def read_head(self, workload: str) -> CheckpointRef | None:
        return self._head()

    @activity.defn
    async def plan_disk_copy(self, order: PlanCopyInput) -> CopyPlan:
        head = self._head()
        if head is None or not head.epoch == self.epoch == order.epoch or head == self.copied:
            return CopyPlan()
        self.copied = head
        self.calls["copy"] += 1
        name = f"copy-{self.calls['copy']}"
        self.copies[name] = DiskCopy(name=name, provider=order.provider)
        return CopyPlan(copy=self.copies[name])

    @activity.defn
    async def record_disk_copy(self, copy: DiskCopy) -> list[DiskCopy]:
        self.copies[copy.name] = copy
        return [each for each in self.copies.values() if each.name != copy.name]

    @activity.defn
    async def open_disk_copies(self, workload: str) -> list[DiskCopy]:
        return list(self.copies.values())

    @activity.defn
    async def close_disk_copy(self, name: str) -> None:
        self.copies.pop(name, None)

    @activity.defn
    async def record_incident(self, incident: Incident) -> None:
        if incident.epoch_gained is None:
            self.losses.append(incident)
            return
        self.incidents = [each for each in self.incidents if each.epoch_lost != incident.epoch_lost]
        self.incidents.append(incident)

    @activity.defn
    async def record_decision(self, decision: Decision) -> None:
        self.decisions.append(decision)

    @activity.defn
    async def close_workload(self, order: acts.CloseWorkloadInput) -> None:
        self.ended = (order.phase, order.reason)

    # --- provider --------------------------------------------------------------------------------------------

    @activity.defn
    async def search_offers(self, order: acts.SearchInput) -> list[Offer]:
        self.calls["search"] += 1
        if self.search_is_down:
            raise ApplicationError("no answer", type=ErrorType.PROVIDER_UNAVAILABLE, non_retryable=True)
        if self.search_fails:
            raise ApplicationError("wrong key", type=ErrorType.CREDENTIALS_REFUSED, non_retryable=True)
        firm_too = (Terms.ON_DEMAND,) if self.firm_too else ()
        return [each for each in self.offers if each.terms in (order.requirements.terms, *firm_too)]

    @activity.defn
    async def launch(self, order: acts.LaunchInput) -> LaunchResult:
        if why := self.refusals.get(order.offer.offer_id):
            return LaunchResult(refusal=why)
        instance = Instance(
            provider=PROVIDER,
            instance_id=f"i{len(self.machines) + 1}",
            state=InstanceState.RUNNING if self.boots else InstanceState.STARTING,
            label=order.label,
            machine_id=order.offer.machine_id,
            hourly=order.offer.hourly,
            ssh=SshAddress(host="127.0.0.1", port=22),
        )
        began_with = order.from_snapshot if order.from_snapshot in self.copies_kept else ""
        self.machines[instance.instance_id] = Machine(instance, began_with=began_with)
        self.order.append(f"launch {order.label}")
        launched = LaunchResult(instance=instance, from_snapshot=began_with)
        if order.lease is None:
            return launched
        return replace(launched, recorded=await recorded(taken(order.lease, instance)))

    @activity.defn
    async def await_running(self, order: acts.AwaitRunningInput) -> Awaited:
        while self.machines[order.instance_id].instance.machine_id in self.slow_to_boot:
            activity.heartbeat()
            await asyncio.sleep(0.02)
        return await put_on_record(order, self.machines[order.instance_id].instance)

    @activity.defn
    async def inspect(self, order: acts.MachineInput) -> Instance:
        self.calls["inspect"] += 1
        self._ask_provider()
        return self.machines[order.instance_id].instance

    @activity.defn
    async def destroy(self, order: acts.MachineInput) -> None:
        self.calls["destroy"] += 1
        self._use_key()
        self._destroy(order.instance_id)

    @activity.defn
    async def reap(self, order: acts.ReapInput) -> int:
        found = [each for each in self.alive if self.machines[each].instance.label == order.label]
        for instance_id in found:
            self._destroy(instance_id)
        return len(found)

    @activity.defn
    async def take_disk_copy(self, order: TakeCopyInput) -> TakenCopy:
        if self.cannot_copy:
            return TakenCopy(outcome=CopyOutcome.UNABLE, detail=f"{order.provider} cannot copy a disk")
        assert order.name in self.copies, "it is not on record yet"
        self.copies_kept.append(order.name)
        while self.copies_hang:
            activity.heartbeat()
            await asyncio.sleep(0.02)
        self.order.append(f"take {order.name}")
        if self.copies_fail:
            return TakenCopy(outcome=CopyOutcome.FAILED, detail="failed: a disk that is broken")
        return TakenCopy(outcome=CopyOutcome.READY, taken_at=datetime.now(UTC), disk_gb=50)

    @activity.defn
    async def drop_disk_copy(self, order: DropCopyInput) -> None:
        if self.copies_stay:
            self.calls["drop refused"] += 1
            raise ApplicationError("wrong key", type=ErrorType.CREDENTIALS_REFUSED, non_retryable=True)
        if order.name in self.copies_kept:
            self.copies_kept.remove(order.name)
            self.order.append(f"drop {order.name}")

    @activity.defn
    async def require_pausing(self, provider: str) -> None:
        if self.cannot_pause:
            self.calls["pause refused"] += 1
            raise ApplicationError(f"{provider} cannot pause", type=ErrorType.REQUEST_REJECTED, non_retryable=True)

    @activity.defn
    async def stop_instance(self, order: acts.MachineInput) -> None:
        self._use_key()
        machine = self.machines[order.instance_id]
        machine.instance = replace(machine.instance, state=InstanceState.STOPPED, ssh=None)
        self.stops[order.instance_id] += 1
        machine.host_is_up = False
        self.order.append("stop machine")

    @activity.defn
    async def start_instance(self, order: acts.MachineInput) -> Instance:
        self._ask_provider()
        self._use_key()
        machine = self.machines[order.instance_id]
        if machine.instance.state is InstanceState.GONE:
            raise ApplicationError("no such instance", type=ErrorType.REQUEST_REJECTED, non_retryable=True)
        if self.gpu_is_taken:
            return replace(machine.instance, state=InstanceState.WAITING)
        address = SshAddress(host="127.0.0.1", port=23)
        machine.instance = replace(machine.instance, state=InstanceState.RUNNING, ssh=address)
        machine.host_is_up = True
        machine.work.clear()
        return machine.instance

    def _ask_provider(self) -> None:
        if self.api_is_down:
            raise ApplicationError("no answer", type=ErrorType.PROVIDER_UNAVAILABLE, non_retryable=True)

    def _use_key(self) -> None:
        """To change something, which takes more rights than a look."""
        if self.key_is_refused:
            raise ApplicationError("wrong key", type=ErrorType.CREDENTIALS_REFUSED, non_retryable=True)

    def _destroy(self, instance_id: str) -> None:
        machine = self.machines[instance_id]
        machine.instance = replace(machine.instance, state=InstanceState.GONE)
        machine.host_is_up = False
        self.order.append(f"destroy {instance_id}")

    # --- hosts -----------------------------------------------------------------------------------------------

    @activity.defn
    async def settle_in(self, order: acts.SettleInput) -> acts.SettleResult:
        self._converse("settle_in", order.lease)
        gpu = Gpu(name="NVIDIA GeForce RTX 4090", memory_mb=24564)
        probe = Probe(gpus=(gpu,), cpu_cores=8, memory_mb=64_000, disk_free_mb=90_000, python="3.11")
        return acts.SettleResult(host_key="ssh-ed25519 AAAA", probe=probe, reachable_after=timedelta())

    @activity.defn
    async def restore_checkpoint(self, order: acts.RestoreInput) -> RestoreSummary:
        if order.manifest in self.rotten:
            raise ApplicationError("chunk 17 is damaged", type=ErrorType.CHECKPOINT_CORRUPT, non_retryable=True)
        self._converse("restore", order.lease).restored = order.manifest
        self.order.append(f"restore {order.manifest}")
        return RestoreSummary(manifest=order.manifest, files=1, bytes_total=1, bytes_fetched=1, duration=timedelta())

    @activity.defn
    async def start_work(self, order: acts.StartWorkInput) -> acts.StartWorkResult:
        machine = self._converse("start_work", order.lease)
        if self.setup_fails:
            raise ApplicationError("setup ended with code 4", type=ErrorType.SETUP_FAILED, non_retryable=True)
        machine.running = True
        machine.work.clear()
        self.order.append(f"start {order.lease.label}")
        if self.work_takes:
            self.finish(machine, self.work_takes.pop(0))
        return acts.StartWorkResult(started_at=datetime.now(UTC) - self.age)

    @activity.defn
    async def resume_work(self, order: acts.ResumeInput) -> acts.ResumeResult:
        return await restore_then_start(order, self.restore_checkpoint, self.start_work)

    @activity.defn
    async def watch_machine(self, order: acts.WatchMachineInput) -> acts.MachineReport:
        machine = self.machines[order.lease.instance_id]
        self.calls["watch"] += 1
        if order.announce_progress and machine.running and not order.reports_progress:
            handle = activity.client().get_workflow_handle(f"workload/{order.lease.workload}")
            await handle.signal("progressed", datetime.now(UTC))
        while not machine.work.is_set() or (machine.report and machine.report.stalled_since and order.stalled_since):
            activity.heartbeat()
            await _a_moment(machine.work)
        report = machine.report
        assert report is not None
        if (report.reach is Reach.SILENT or report.gets_on) and machine.running:
            machine.work.clear()  # a blink is told once; what lasts is told to every watch, like a real machine's state
        return report

    @activity.defn
    async def try_reach(self, order: acts.ReachInput) -> acts.ReachResult:
        machine = self.machines[order.lease.instance_id]
        reach = Reach.SILENT
        if machine.host_is_up:
            reach = Reach.ANSWERS if machine.running or (machine.report and machine.report.finished) else Reach.NO_AGENT
        return acts.ReachResult(reach=reach, at=datetime.now(UTC))

    @activity.defn
    async def await_service(self, order: acts.AwaitServiceInput) -> acts.ServiceReady:
        if not self.serves:
            raise ApplicationError("port 8000 is not open yet", type=ErrorType.SERVICE_NOT_READY, non_retryable=True)
        self._converse("await_service", order.lease)
        return acts.ServiceReady(port=8000, after=timedelta(), first_byte=timedelta(milliseconds=3))

    @activity.defn
    async def verify_checkpoint(self, order: acts.VerifyInput) -> VerifySummary:
        corrupt = ("chunk 17",) if order.manifest in self.rotten or self.saves_rot else ()
        self.order.append(f"verify {order.manifest}")
        return VerifySummary(manifest=order.manifest, chunks=1, bytes_read=1, corrupt=corrupt, duration=timedelta())

    @activity.defn
    async def stage_input(self, order: acts.StageInput) -> StagedInput:
        if why := self.refused_inputs.get(order.wanted.source):
            raise ApplicationError(why, type=ErrorType.SOURCE_REFUSED, non_retryable=True)
        at = order.wanted.at
        return StagedInput(
            source=order.wanted.source, at=at, sha256="ab" * 32, manifest=f"staged/{at}", files=1, bytes_total=1
        )

    @activity.defn
    async def advise_start(self, order: AdviseStartInput) -> StartWord:
        self.asked_when.append(order)
        if self.prices_fail:
            raise ApplicationError(self.prices_fail, type=ErrorType.REQUEST_REJECTED, non_retryable=True)
        advice = self.advice.pop(0) if len(self.advice) > 1 else self.advice[0]
        return replace(advice, at=datetime.now(UTC))

    @activity.defn
    async def lay_out(self, order: acts.LayOutInput) -> CheckpointRef:
        self.order.append(f"lay out {', '.join(each.at for each in order.staged)}")
        return a_checkpoint(names.job_record(order.job), 0, 0, SaveReason.WORKDIR)

    @activity.defn
    async def adopt_tuned(self, order: AdoptTunedInput) -> TunedModel:
        self.adopted.append(order)
        while self.registering_waits is not None and not self.registering_waits.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.02)
        if self.result_is_odd:
            raise ApplicationError(self.result_is_odd, type=ErrorType.SOURCE_REFUSED, non_retryable=True)
        stored = StoredModel(
            digest="dd" * 32, files=(), manifest="manifests/tuned", kind=ModelKind.OTHER, needs=ModelNeeds()
        )
        return TunedModel(
            stored=stored,
            steps=12,
            loss=0.5,
            held_out_loss=None,
            differs=(),
            place={"device": "cpu"},
            answers=(Answer(prompt="two?", base="", tuned="four"),),
        )

    @activity.defn
    async def add_model(self, order: AddModelInput) -> ModelVersion:
        return ModelVersion(
            name=order.name,
            version=1,
            kind=order.stored.kind,
            source=order.source,
            revision=order.revision,
            licence="",
            gated=False,
            digest=order.stored.digest,
            manifest=order.stored.manifest,
            files=0,
            bytes_total=0,
            needs=order.stored.needs,
            registered_at=datetime.now(UTC),
            lineage=order.lineage,
        )

    @activity.defn
    async def keep_outputs(self, order: acts.KeepOutputsInput) -> JobOutputs:
        self.order.append(f"keep {order.head.manifest}")
        return JobOutputs(
            manifest=f"outputs/{order.attempt}", sha256="cd" * 32, files=1, bytes_total=1, missing=self.lacking
        )

    @activity.defn
    async def stop_work(self, order: acts.StopWorkInput) -> None:
        self._converse("stop_work", order.lease).running = False
        self.order.append("stop work")

    @activity.defn
    async def save_checkpoint(self, order: acts.SaveInput) -> CheckpointRef:
        if self.save_fails:
            raise ApplicationError("there is no folder", type=ErrorType.AGENT_FAILED)
        if self.restless:
            raise ApplicationError(f"changed whenever they were read: {self.restless}", type=ErrorType.SOURCE_UNSTABLE)
        if self.store_is_down:
            raise ApplicationError("the store does not answer", type=ErrorType.STORE_UNAVAILABLE)
        while self.saves_hang:
            activity.heartbeat()
            await asyncio.sleep(0.02)
        self._converse("save", order.lease)
        saved = a_checkpoint(order.lease.workload, order.lease.epoch, order.sequence, order.reason)
        self.saves.append(saved)
        self.bases.append(order.base)
        self.workspaces.append(order.spec.workspace)
        return saved

    def _machine(self, lease: Lease) -> Machine:
        machine = self.machines[lease.instance_id]
        if not machine.host_is_up:
            raise ApplicationError("nobody answers", type=ErrorType.HOST_UNREACHABLE)
        return machine

    def _converse(self, step: str, lease: Lease) -> Machine:
        """As `_machine`, and the conversation may break on the way."""
        machine = self._machine(lease)
        if self.dies_in == step:
            self.dies_in, machine.host_is_up = None, False
            machine.instance = replace(machine.instance, state=InstanceState.EXITED, ssh=None)
        elif self.breaks[step] > 0:
            self.breaks[step] -= 1
        else:
            return machine
        self.order.append(f"{step} breaks off")
        raise ApplicationError("the conversation broke", type=ErrorType.HOST_UNREACHABLE)

    def _head(self) -> CheckpointRef | None:
        return self.heads[-1] if self.heads else None

    def control_activities(self) -> list[Any]:
        return [
            self.open_workload,
            self.claim_epoch,
            self.recall_machines,
            self.closed_places,
            self.recall,
            self.strategy_records,
            self.record_lease,
            self.meter_lease,
            self.keep_budget,
            self.open_leases,
            self.close_lease,
            self.claim_standby,
            self.pool_demand,
            self.hand_over_standby,
            self.record_endpoint,
            self.close_endpoint,
            self.shift_traffic,
            self.close_deployment,
            self.wake_endpoint,
            self.record_wake,
            self.until_ended,
            self.order_release,
            self.mark_verified,
            self.record_job,
            self.advise_start,
            self.add_model,
            self.cost_of_attempt,
            self.set_budget,
            self.gone_jobs,
            self.commit_checkpoint,
            self.read_head,
            self.plan_disk_copy,
            self.record_disk_copy,
            self.open_disk_copies,
            self.close_disk_copy,
            self.record_incident,
            self.record_decision,
            self.close_workload,
        ]

    def provider_activities(self) -> list[Any]:
        return [
            self.search_offers,
            self.launch,
            self.await_running,
            self.inspect,
            self.destroy,
            self.reap,
            self.take_disk_copy,
            self.drop_disk_copy,
            self.require_pausing,
            self.stop_instance,
            self.start_instance,
        ]

    def host_activities(self) -> list[Any]:
        return [
            self.settle_in,
            self.restore_checkpoint,
            self.start_work,
            self.resume_work,
            self.watch_machine,
            self.try_reach,
            self.stop_work,
            self.save_checkpoint,
            self.await_service,
            self.smoke_test,
            self.stage_input,
            self.lay_out,
            self.keep_outputs,
            self.adopt_tuned,
        ]

    def analysis_activities(self) -> list[Any]:
        return [self.verify_checkpoint]


async def _a_moment(news: asyncio.Event) -> None:
    """Until there is news, and for a tenth of a second at most; where it is no news, the same as a look of before."""
    if news.is_set():
        await asyncio.sleep(0.02)
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), 0.1)


def a_checkpoint(workload: str, epoch: int, sequence: int, reason: SaveReason) -> CheckpointRef:
    now = datetime.now(UTC)
    return CheckpointRef(
        workload=workload,
        epoch=epoch,
        sequence=sequence,
        manifest=f"manifests/{workload}/{epoch}-{sequence}",
        reason=reason,
        taken_at=now,
        committed_at=now,
        files=1,
        bytes_total=1,
        bytes_uploaded=1,
        duration=timedelta(),
    )
