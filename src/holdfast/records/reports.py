"""A generation's record, and whether it kept its objectives.

The sums are over all of it. Its lists are cut to what one answer holds; whoever wants more asks for a list alone, page
by page.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlmodel import Session

from holdfast.contracts.activities import ReportInput
from holdfast.contracts.reports import Part, WorkloadReport
from holdfast.policy import objectives
from holdfast.records import checkpoints, journal, leases
from holdfast.records.journal import Losses
from holdfast.records.pages import ROOM, Window
from holdfast.records.tables import GenerationRow, WorkloadRow


def report_workload(
    session: Session, order: ReportInput, generation: int | None, now: datetime
) -> WorkloadReport | None:
    """The report of one generation, the newest by default; None when there is no such name or generation."""
    name = order.workload
    workload = session.get(WorkloadRow, name)
    if workload is None:
        return None
    number = workload.generation if generation is None else generation
    run = session.get(GenerationRow, (name, number))
    if run is None:
        return None
    losses = journal.losses(session, name, number)
    lost = journal.incidents(session, name, number, _window(order, Part.INCIDENTS))
    rented = leases.of_generation(session, name, number, _window(order, Part.LEASES), now)
    saved = checkpoints.page(session, name, number, _window(order, Part.CHECKPOINTS))
    decided = journal.decisions(session, name, number, _window(order, Part.DECISIONS))
    report = WorkloadReport(
        workload=name,
        phase=run.phase,
        reason=run.reason,
        opened_at=run.opened_at,
        closed_at=run.closed_at,
        epoch=workload.epoch if number == workload.generation else leases.newest_epoch(session, name, number),
        rto=run.rto,
        rpo=run.rpo,
        rto_met=met_rto(losses, run.rto, run.closed_at or now),
        rpo_met=met_rpo(losses, run.rpo),
        cost=leases.cost_of_generation(session, name, number, now),
        incidents=lost.entries,
        leases=rented.entries,
        checkpoints=saved.entries,
        decisions=decided.entries,
        incidents_total=lost.total,
        leases_total=rented.total,
        checkpoints_total=saved.total,
        decisions_total=decided.total,
        worst_recovery_time=losses.worst_recovery_time,
        worst_work_lost=losses.worst_work_lost,
    )
    return _with_spreads(session, report, number) if order.part is None else report


def met_rto(losses: Losses, objective: timedelta | None, now: datetime) -> bool | None:
    """Whether every recovery was in time; None while none was measured. One that goes on is late once time is up."""
    if objective is None:
        return None
    worst = losses.worst_recovery_time
    going_on = now - losses.silent_since if losses.silent_since is not None else timedelta()
    if max(worst or timedelta(), going_on) > objective:
        return False
    return None if worst is None else True


def met_rpo(losses: Losses, objective: timedelta | None) -> bool | None:
    """Whether no loss cost more work than the objective allows; None while none was measured."""
    if objective is None or losses.worst_work_lost is None:
        return None
    return losses.worst_work_lost <= objective


def _with_spreads(session: Session, report: WorkloadReport, generation: int) -> WorkloadReport:
    """With what takes a look at every incident."""
    incidents = list(journal.every_incident(session, report.workload, generation))
    times = [each.recovery_time for each in incidents if each.recovery_time is not None]
    lost = [each.work_lost for each in incidents if each.work_lost is not None]
    return replace(
        report,
        recovery=objectives.spread(times, report.rto),
        loss=objectives.spread(lost, report.rpo),
        strategies=objectives.by_strategy(incidents),
    )


def _window(order: ReportInput, part: Part) -> Window:
    """All the room for the list that is asked for, or the same for each."""
    if order.part is None:
        return Window(room=ROOM // len(Part))
    return Window(room=ROOM if part is order.part else 0, oldest=order.oldest)
