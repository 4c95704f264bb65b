"""Incidents and decisions: what happened to a workload, and why each machine was chosen."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlmodel import Session, col, func, select

from holdfast.contracts.failover import Decision
from holdfast.contracts.incidents import Incident
from holdfast.records import outbox
from holdfast.records.pages import Page, Window, newest
from holdfast.records.tables import DecisionRow, IncidentRow, LeaseRow
from holdfast.records.workloads import locked

_INCIDENT: TypeAdapter[Incident] = TypeAdapter(Incident)
_DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


def record_incident(session: Session, incident: Incident, now: datetime) -> None:
    """Keep the incident, instead of what was recorded on the same loss before; those who want to know are told."""
    facts: dict[str, Any] = {
        "cause": incident.cause.value,
        "strategy": incident.strategy,
        "decided_at": incident.decided_at,
        "recovery_time": incident.recovery_time,
        "work_lost": incident.work_lost,
        "cost": incident.cost,
        "document": _INCIDENT.dump_python(incident, mode="json"),
    }
    present = locked(session, incident.workload).generation
    row = session.get(IncidentRow, (incident.workload, incident.epoch_lost))
    if row is None:
        generation = _generation_of(session, incident.workload, incident.epoch_lost) or present
        outbox.incident(session, incident, generation, now)
        session.add(
            IncidentRow(workload=incident.workload, epoch_lost=incident.epoch_lost, generation=generation, **facts)
        )
    else:
        outbox.incident(session, incident, row.generation, now)
        row.sqlmodel_update(facts)


def record_decision(session: Session, decision: Decision) -> None:
    """Keep the decision; the same one again changes nothing.

    A search that finds nothing, again and again, is one decision that came out so many times: a market may stay empty
    for days, and is asked every few minutes.
    """
    number = locked(session, decision.workload).generation
    key = (decision.workload, decision.epoch, decision.made_at, decision.strategy)
    if session.get(DecisionRow, key) is not None:
        return
    before = _newest_of_search(session, decision, number)
    if before is not None and _came_out_the_same(known := _DECISION.validate_python(before.document), decision):
        before.document = _DECISION.dump_python(_once_more(known, decision), mode="json")
        return
    session.add(
        DecisionRow(
            workload=decision.workload,
            epoch=decision.epoch,
            made_at=decision.made_at,
            strategy=decision.strategy,
            generation=number,
            document=_DECISION.dump_python(decision, mode="json"),
        )
    )


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What a generation's incidents come to, however many they are."""

    worst_recovery_time: timedelta | None  # None: none was measured
    worst_work_lost: timedelta | None
    silent_since: datetime | None  # of the first that nothing has recovered from yet


def losses(session: Session, workload: str, generation: int) -> Losses:
    """Measured over all incidents."""
    query = select(func.max(IncidentRow.recovery_time), func.max(IncidentRow.work_lost)).where(
        IncidentRow.workload == workload, IncidentRow.generation == generation
    )
    recovery_time, work_lost = session.exec(query).one()
    return Losses(
        worst_recovery_time=recovery_time,
        worst_work_lost=work_lost,
        silent_since=_unrecovered_since(session, workload, generation),
    )


def incidents(session: Session, workload: str, generation: int, window: Window) -> Page[Incident]:
    """In the order in which the machines were lost."""
    query = select(IncidentRow).where(IncidentRow.workload == workload, IncidentRow.generation == generation)
    query = query.order_by(col(IncidentRow.epoch_lost).desc())
    return newest(session, query, lambda row: _INCIDENT.validate_python(row.document), _INCIDENT, window)


def every_incident(session: Session, workload: str, generation: int) -> Iterator[Incident]:
    """All of them, however many, one after the other."""
    query = select(IncidentRow.document).where(IncidentRow.workload == workload, IncidentRow.generation == generation)
    for document in session.exec(query.order_by(col(IncidentRow.epoch_lost))):
        yield _INCIDENT.validate_python(document)


def decisions(session: Session, workload: str, generation: int, window: Window) -> Page[Decision]:
    """In the order in which they were made."""
    query = select(DecisionRow).where(DecisionRow.workload == workload, DecisionRow.generation == generation)
    order = (DecisionRow.epoch, DecisionRow.made_at, DecisionRow.strategy)  # as the index has it: epochs only rise
    query = query.order_by(*(col(each).desc() for each in order))
    return newest(session, query, lambda row: _DECISION.validate_python(row.document), _DECISION, window)


def _newest_of_search(session: Session, decision: Decision, generation: int) -> DecisionRow | None:
    query = select(DecisionRow).where(
        DecisionRow.workload == decision.workload,
        DecisionRow.epoch == decision.epoch,
        DecisionRow.strategy == decision.strategy,
        DecisionRow.generation == generation,
    )
    return session.exec(query.order_by(col(DecisionRow.made_at).desc()).limit(1)).first()


def _came_out_the_same(before: Decision, now: Decision) -> bool:
    """Nothing fitted, then as now, and the market was as empty, or as little of use."""
    nothing_fits = not before.chosen and not now.chosen
    return nothing_fits and before.occasion == now.occasion and bool(before.rejected_total) == bool(now.rejected_total)


def _once_more(before: Decision, now: Decision) -> Decision:
    last = before.last_made_at or before.made_at
    if now.made_at <= last:  # told again, or late: it is counted
        return before
    return replace(now, made_at=before.made_at, times=before.times + 1, last_made_at=now.made_at)


def _unrecovered_since(session: Session, workload: str, generation: int) -> datetime | None:
    query = select(IncidentRow).where(
        IncidentRow.workload == workload,
        IncidentRow.generation == generation,
        col(IncidentRow.recovery_time).is_(None),
    )
    row = session.exec(query.order_by(col(IncidentRow.epoch_lost)).limit(1)).first()
    return _INCIDENT.validate_python(row.document).silent_since if row else None


def _generation_of(session: Session, workload: str, epoch: int) -> int | None:
    query = select(LeaseRow.generation).where(LeaseRow.workload == workload, LeaseRow.epoch == epoch)
    return session.exec(query).first()
