"""A generation's whole record, and whether it kept its objectives."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlmodel import Session, col, select

from holdfast.contracts.incidents import Incident
from holdfast.contracts.reports import LeaseLine, WorkloadReport
from holdfast.records import checkpoints, journal, leases
from holdfast.records.tables import GenerationRow, LeaseRow, WorkloadRow


def report_workload(session: Session, name: str, generation: int | None, now: datetime) -> WorkloadReport | None:
    """The report of one generation, the newest by default; None when there is no such name or generation."""
    workload = session.get(WorkloadRow, name)
    if workload is None:
        return None
    number = workload.generation if generation is None else generation
    run = session.get(GenerationRow, (name, number))
    if run is None:
        return None
    lines = _lines(session, run, now)
    incidents = journal.incidents(session, name, number)
    return WorkloadReport(
        workload=name,
        phase=run.phase,
        reason=run.reason,
        opened_at=run.opened_at,
        closed_at=run.closed_at,
        epoch=workload.epoch if number == workload.generation else max((line.epoch for line in lines), default=0),
        rto=run.rto,
        rpo=run.rpo,
        rto_met=met_rto(incidents, run.rto, run.closed_at or now),
        rpo_met=met_rpo(incidents, run.rpo),
        cost=sum((line.cost for line in lines), Decimal(0)),
        incidents=incidents,
        leases=lines,
        checkpoints=tuple(checkpoints.of_generation(session, name, number)),
        decisions=journal.decisions(session, name, number),
    )


def met_rto(incidents: tuple[Incident, ...], objective: timedelta | None, now: datetime) -> bool | None:
    """Whether every recovery was in time; None while none was measured. One that goes on is late once time is up."""
    if objective is None:
        return None
    if any(_time_without_progress(each, now) > objective for each in incidents):
        return False
    return True if any(each.recovery_time is not None for each in incidents) else None


def met_rpo(incidents: tuple[Incident, ...], objective: timedelta | None) -> bool | None:
    """Whether no loss cost more work than the objective allows; None while none was measured."""
    measured = [each.work_lost for each in incidents if each.work_lost is not None]
    if objective is None or not measured:
        return None
    return max(measured) <= objective


def _time_without_progress(incident: Incident, now: datetime) -> timedelta:
    return now - incident.silent_since if incident.recovery_time is None else incident.recovery_time


def _lines(session: Session, run: GenerationRow, now: datetime) -> tuple[LeaseLine, ...]:
    query = select(LeaseRow).where(LeaseRow.workload == run.workload, LeaseRow.generation == run.number)
    return tuple(leases.line(row, now) for row in session.exec(query.order_by(col(LeaseRow.epoch))))
