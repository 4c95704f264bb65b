"""What is known about one workload at this moment, from the best source that answers."""

from dataclasses import dataclass
from datetime import datetime

from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus

from holdfast.contracts.activities import Telemetry, watch_machine
from holdfast.contracts.reports import Part, WorkloadReport
from holdfast.contracts.workload import Phase, WorkloadStatus

OPEN = "open"  # in the records, of a run that has not closed its record


@dataclass(frozen=True, kw_only=True)
class WorkloadView:
    """A workload's status with the freshest facts on its work."""

    status: WorkloadStatus
    live: Telemetry | None  # None while no machine is watched
    started_at: datetime
    closed_at: datetime | None
    from_records: bool = False  # True when the server has forgotten it and the records answered
    run_id: str = ""
    ended_by_force: str = ""
    """How its run ended without an end of its own: `terminated`, say. Its machine may still cost money. Else empty."""


async def telemetry_of(description: WorkflowExecutionDescription) -> Telemetry | None:
    """The last heartbeat of the activity that watches the machine, None where there is none yet."""
    for pending in description.raw_description.pending_activities:
        if pending.activity_type.name == watch_machine.__name__ and pending.heartbeat_details.payloads:
            decoded = await description.data_converter.decode(pending.heartbeat_details.payloads[:1], [Telemetry])
            beat: Telemetry = decoded[0]
            return beat
    return None


def view_of_record(report: WorkloadReport) -> WorkloadView:
    """A view for a workload that only the records remember."""
    newest = max(report.checkpoints, key=lambda each: each.sequence, default=None)
    status = WorkloadStatus(
        name=report.workload,
        phase=Phase.FAILED if report.phase == OPEN else Phase(report.phase),
        reason="it ended without a word" if report.phase == OPEN else report.reason,
        since=report.closed_at or report.opened_at,
        epoch=report.epoch,
        lease=None,
        head=newest,
        incidents=report.total(Part.INCIDENTS),
    )
    return WorkloadView(
        status=status,
        live=None,
        started_at=report.opened_at,
        closed_at=report.closed_at,
        from_records=True,
        ended_by_force="forgotten" if report.phase == OPEN else "",
    )


def end_by_force(description: WorkflowExecutionDescription, status: WorkloadStatus) -> str:
    """The server's word on a run that is over, when the workload itself had come to no end; else empty."""
    if status.phase.is_final or description.status in (None, WorkflowExecutionStatus.RUNNING):
        return ""
    return description.status.name.lower().replace("_", " ")
