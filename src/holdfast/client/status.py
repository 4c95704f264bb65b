"""What is known about one workload at this moment, from the best source that answers."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from temporalio.api.failure.v1 import Failure
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.activities import Telemetry, save_checkpoint, watch_machine
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.reports import Part, WorkloadReport
from holdfast.contracts.workload import Catalog, Phase, WorkloadStatus

TOLD_WITHIN = timedelta(seconds=10)
OPEN = "open"  # in the records, of a run that has not closed its record


@dataclass(frozen=True, kw_only=True)
class SaveTrouble:
    """Why the newest save has not come to a checkpoint yet."""

    reason: str
    attempt: int | None  # of the save that is under way; None when it was given up until the next is due


@dataclass(frozen=True, kw_only=True)
class WorkloadView:
    """A workload's status with the freshest facts on its work."""

    status: WorkloadStatus
    live: Telemetry | None  # None while no machine is watched
    started_at: datetime
    closed_at: datetime | None
    from_records: bool = False  # True when the server can no longer tell it and the records answered
    run_id: str = ""
    ended_by_force: str = ""
    """How its run ended without an end of its own: `terminated`, say. Its machine may still cost money. Else empty."""
    left_behind: tuple[str, ...] = ()
    """Then: the machines that the records hold open, each by its provider, its id there and its label."""
    save_trouble: SaveTrouble | None = None


async def telemetry_of(description: WorkflowExecutionDescription) -> Telemetry | None:
    """The last heartbeat of the activity that watches the machine, None where there is none yet."""
    for pending in description.raw_description.pending_activities:
        if pending.activity_type.name == watch_machine.__name__ and pending.heartbeat_details.payloads:
            decoded = await description.data_converter.decode(pending.heartbeat_details.payloads[:1], [Telemetry])
            beat: Telemetry = decoded[0]
            return beat
    return None


async def trouble_with_saves(client: Client, name: str) -> SaveTrouble | None:
    """What its saver struggles with at this moment, as far as somebody can tell; None while saves succeed."""
    saver = client.get_workflow_handle(names.checkpoints_id(name))
    try:
        description = await saver.describe()
        if description.status is not WorkflowExecutionStatus.RUNNING:
            return None
        for pending in description.raw_description.pending_activities:
            if pending.activity_type.name == save_checkpoint.__name__ and pending.HasField("last_failure"):
                return SaveTrouble(reason=_in_words(pending.last_failure), attempt=pending.attempt)
        catalog = await saver.query("catalog", result_type=Catalog, rpc_timeout=TOLD_WITHIN)
    except (RPCError, WorkflowQueryFailedError):
        return None
    return SaveTrouble(reason=catalog.last_error, attempt=None) if catalog.last_error else None


def _in_words(failure: Failure) -> str:
    of_the_store = failure.application_failure_info.type == ErrorType.STORE_UNAVAILABLE
    return f"the store does not answer: {failure.message}" if of_the_store else failure.message


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
        left_behind=left_behind(report) if report.phase == OPEN else (),
    )


def left_behind(report: WorkloadReport) -> tuple[str, ...]:
    """The machines that nobody has seen gone, in the words by which a person finds them at their provider."""
    still = (each for each in report.leases if each.closed_at is None)
    return tuple(f"{each.provider} {each.instance_id or 'of an unknown id'} ({each.label})" for each in still)


def view_without_history(report: WorkloadReport, description: WorkflowExecutionDescription) -> WorkloadView:
    """A view for a run that is over and whose history no worker can play: the server knows how it ended, no more."""
    view = view_of_record(report)
    forced = _word(description) if report.phase == OPEN else ""
    return replace(view, run_id=description.run_id, closed_at=description.close_time, ended_by_force=forced)


def end_by_force(description: WorkflowExecutionDescription, status: WorkloadStatus) -> str:
    """The server's word on a run that is over, when the workload itself had come to no end; else empty."""
    if status.phase.is_final or description.status in (None, WorkflowExecutionStatus.RUNNING):
        return ""
    return _word(description)


def _word(description: WorkflowExecutionDescription) -> str:
    return description.status.name.lower().replace("_", " ") if description.status else ""
