"""Activities on the records. Plain functions: the database client blocks, so each runs in a thread."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from temporalio import activity

from holdfast.activities.translation import translated
from holdfast.contracts import activities as acts
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.failover import Decision
from holdfast.contracts.incidents import Incident
from holdfast.contracts.machines import Lease, OpenLease
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
from holdfast.contracts.money import MeterInput
from holdfast.contracts.notifications import ListNotificationsInput, Notification
from holdfast.contracts.reports import WorkloadReport
from holdfast.policy import frailty
from holdfast.policy.retention import retain
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics

EARLIER_TOLD = 8
"""Checkpoints that a failover may fall back on."""

LEASES_TOLD = 100
"""In one answer: whoever asks lets them go and asks again."""
AN_HOUR = timedelta(hours=1)


class RecordActivities:
    """Every method may be repeated: the records know what has been written already."""

    def __init__(
        self,
        records: Records,
        *,
        providers: tuple[str, ...],
        metrics: Metrics,
        surveyed_every: timedelta = AN_HOUR,
    ) -> None:
        self._records = records
        self._providers = providers
        self._metrics = metrics
        self._fresh = 2 * surveyed_every

    @activity.defn
    def open_workload(self, order: acts.OpenWorkloadInput) -> acts.OpenWorkloadResult:
        with translated():
            opened = self._records.open_workload(order)
        return acts.OpenWorkloadResult(epoch=opened.epoch, head=opened.head, providers=self._providers)

    @activity.defn
    def claim_epoch(self, order: acts.ClaimEpochInput) -> acts.ClaimEpochResult:
        with translated():
            if order.decision is not None:
                self._records.record_decision(order.decision)
            claimed = self._records.claim_epoch(order)
            saved = self._records.list_checkpoints(order.workload) if claimed.head else []
        earlier = tuple(each for each in reversed(saved) if claimed.head and each.sequence < claimed.head.sequence)
        return replace(claimed, earlier=earlier[:EARLIER_TOLD])

    @activity.defn
    def record_lease(self, lease: Lease) -> None:
        with translated():
            self._records.record_lease(lease)

    @activity.defn
    def meter_lease(self, order: MeterInput) -> None:
        with translated():
            self._records.meter_lease(order)

    @activity.defn
    def close_lease(self, order: acts.CloseLeaseInput) -> Decimal:
        with translated():
            return self._records.close_lease(order)

    @activity.defn
    def open_leases(self, workload: str) -> list[OpenLease]:
        with translated():
            found = self._records.open_leases(workload=workload)
        return [
            OpenLease(provider=line.provider, label=line.label, instance_id=line.instance_id)
            for line in found[:LEASES_TOLD]
        ]

    @activity.defn
    def recall_machines(self, order: RecallInput) -> list[MachineMemory]:
        with translated():
            return self._records.recall_machines(order)

    @activity.defn
    def recall(self, order: RecallInput) -> Recollection:
        with translated():
            machines = self._records.recall_machines(order)
            places, risks = self._records.closed_places(), self._records.place_risks(lost=order.lost)
            ahead = self._records.prices_ahead(order.gpus, fresh=self._fresh) if order.gpus else []
            per_loss = None
            if order.saved_every is not None:
                per_loss = self._records.cost_of_loss(order.workload, order.saved_every)
        return Recollection(
            machines=tuple(machines),
            places=tuple(places),
            risks=tuple(risks),
            ahead=tuple(ahead),
            per_loss=per_loss,
            usual_risk=frailty.USUAL,
        )

    @activity.defn
    def closed_places(self) -> list[PlaceMemory]:
        with translated():
            return self._records.closed_places()

    @activity.defn
    def place_risks(self, order: PlaceRisksInput) -> list[PlaceRisk]:
        with translated():
            found = self._records.place_risks()
        return [each for each in found if order.provider in (None, each.provider)]

    @activity.defn
    def strategy_records(self) -> list[StrategyRecord]:
        with translated():
            return self._records.strategy_records()

    @activity.defn
    def list_machines(self, order: ListMachinesInput) -> list[MachineMemory]:
        with translated():
            return self._records.list_machines(order)

    @activity.defn
    def list_notifications(self, order: ListNotificationsInput) -> list[Notification]:
        with translated():
            return self._records.list_notifications(order)

    @activity.defn
    def machine_history(self, order: MachineKey) -> MachineHistory | None:
        with translated():
            return self._records.machine_history(order)

    @activity.defn
    def ban_machine(self, order: BanInput) -> MachineMemory:
        with translated():
            return self._records.ban_machine(order)

    @activity.defn
    def read_head(self, workload: str) -> CheckpointRef | None:
        with translated():
            saved = self._records.list_checkpoints(workload)
        return saved[-1] if saved else None

    @activity.defn
    def commit_checkpoint(self, order: acts.CommitCheckpointInput) -> CheckpointRef:
        with translated():
            committed = self._records.commit_checkpoint(order)
            if order.keep:
                self._retire(committed, order.keep)
        return committed

    def _retire(self, head: CheckpointRef, keep: int) -> None:
        """Take out of use what the policy no longer keeps; the bytes go later, with the garbage."""
        retention = retain(self._records.list_checkpoints(head.workload), newest=keep, head=head)
        if retention.retire:
            self._records.retire_checkpoints(head.workload, [each.sequence for each in retention.retire])

    @activity.defn
    def mark_verified(self, order: acts.MarkVerifiedInput) -> None:
        with translated():
            self._records.mark_verified(order.workload, order.manifest, order.verified_at)

    @activity.defn
    def forget_checkpoints(self, order: acts.ForgetInput) -> acts.ForgetResult | None:
        with translated():
            return self._records.forget_checkpoints(order)

    @activity.defn
    def live_manifests(self) -> list[str]:
        with translated():
            workloads = self._records.workload_names()
            of_work = {each for name in workloads for each in self._records.live_manifests(name)}
            return sorted(of_work.union(self._records.live_model_manifests()))

    @activity.defn
    def list_live_manifests(self, order: acts.ListLiveInput) -> acts.ListLiveResult:
        with translated():
            return self._records.live_after(order.after)

    @activity.defn
    def record_incident(self, incident: Incident) -> None:
        with translated():
            self._records.record_incident(incident)
        if incident.recovered_at is not None:
            self._metrics.incident(incident)

    @activity.defn
    def record_decision(self, decision: Decision) -> None:
        with translated():
            self._records.record_decision(decision)

    @activity.defn
    def close_workload(self, order: acts.CloseWorkloadInput) -> None:
        with translated():
            self._records.close_workload(order)

    @activity.defn
    def report_workload(self, order: acts.ReportInput) -> WorkloadReport | None:
        with translated():
            return self._records.report_workload(order)
