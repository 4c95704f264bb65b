"""What is known about one workload at this moment, from the best source that answers."""

from dataclasses import dataclass
from datetime import datetime

from temporalio.client import WorkflowExecutionDescription

from holdfast.contracts.activities import Telemetry, watch_machine
from holdfast.contracts.reports import Part, WorkloadReport
from holdfast.contracts.workload import Phase, WorkloadStatus


@dataclass(frozen=True, kw_only=True)
class WorkloadView:
    """A workload's status with the freshest facts on its work."""

    status: WorkloadStatus
    live: Telemetry | None  # None while no machine is watched
    started_at: datetime
    closed_at: datetime | None
    from_records: bool = False  # True when the server has forgotten it and the records answered
    run_id: str = ""


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
        phase=Phase(report.phase),
        reason=report.reason,
        since=report.closed_at or report.opened_at,
        epoch=report.epoch,
        lease=None,
        head=newest,
        incidents=report.total(Part.INCIDENTS),
    )
    return WorkloadView(
        status=status, live=None, started_at=report.opened_at, closed_at=report.closed_at, from_records=True
    )
