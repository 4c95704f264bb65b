"""How a workload shows itself: phase, reason, timeline, search attributes and the page in the Web UI."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.machines import Lease
from holdfast.contracts.workload import Event, Phase

TIMELINE_KEPT = 60
_DETAILS_KEPT = 12


class Face:
    """What others see. It decides nothing."""

    def __init__(
        self,
        workload: str,
        phase: Phase,
        since: datetime,
        timeline: Iterable[Event],
        lease: Lease | None,
        *,
        reason: str = "",
    ) -> None:
        self._workload = workload
        self.phase = phase
        self.since = since
        self.reason = reason
        self.timeline: deque[Event] = deque(timeline, maxlen=TIMELINE_KEPT)
        self._lease = lease
        self._head: CheckpointRef | None = None

    def enter(self, phase: Phase, reason: str, lease: Lease | None) -> None:
        """Show a new phase, once."""
        if phase is not self.phase or lease != self._lease:
            workflow.upsert_search_attributes(_attributes(self._workload, phase, lease))
        if phase is not self.phase:
            self.phase, self.since = phase, workflow.now()
        self._lease = lease
        self.say(f"{phase}: {reason}" if reason else str(phase))
        self.reason = reason

    def say(self, what: str) -> None:
        """Add a line to the timeline."""
        self.reason = what
        self.note(what)

    def note(self, what: str) -> None:
        """Add a line to the timeline that is beside the point: it says nothing of the phase."""
        epoch = self._lease.epoch if self._lease else 0
        self.timeline.append(Event(at=workflow.now(), what=what, epoch=epoch))
        self._paint()

    def saved(self, head: CheckpointRef) -> None:
        self._head = head
        self._paint()

    def _paint(self) -> None:
        lines = [f"## {self._workload}: {self.phase}", self._machine(), self._checkpoint(), "", "| time (UTC) | what |"]
        lines += ["|---|---|", *(_row(event) for event in list(self.timeline)[: -_DETAILS_KEPT - 1 : -1])]
        workflow.set_current_details("\n".join(lines))

    def _machine(self) -> str:
        lease = self._lease
        if lease is None:
            return "No machine."
        return (
            f"**{lease.gpu_count} x {lease.gpu}** at {lease.provider} ({lease.region or 'region unknown'}), instance "
            f"{lease.instance_id}, ${lease.hourly:.3f}/h, label `{lease.label}`, since {lease.since:%H:%M:%S}"
        )

    def _checkpoint(self) -> str:
        if self._head is None:
            return "No checkpoint yet."
        head = self._head
        return f"Checkpoint {head.sequence} ({head.reason}) taken at {head.taken_at:%H:%M:%S} {head.progress}"


def _attributes(workload: str, phase: Phase, lease: Lease | None) -> list[SearchAttributeUpdate[Any]]:
    always = [names.SA_WORKLOAD.value_set(workload), names.SA_STATE.value_set(str(phase))]
    if lease is None:
        return [*always, names.SA_PROVIDER.value_unset(), names.SA_HOURLY_USD.value_unset()]
    return [
        *always,
        names.SA_PROVIDER.value_set(lease.provider),
        names.SA_GPU.value_set(f"{lease.gpu_count}x {lease.gpu}"),
        names.SA_EPOCH.value_set(lease.epoch),
        names.SA_HOURLY_USD.value_set(float(lease.hourly)),
    ]


def _row(event: Event) -> str:
    return f"| {event.at:%H:%M:%S} | {event.what.replace('|', '/')} |"
