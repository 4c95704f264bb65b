"""Incidents and decisions: what happened to a workload, and why each machine was chosen."""

from typing import Any

from pydantic import TypeAdapter
from sqlmodel import Session, col, select

from holdfast.contracts.failover import Decision
from holdfast.contracts.incidents import Incident
from holdfast.records.tables import DecisionRow, IncidentRow, LeaseRow
from holdfast.records.workloads import locked

_INCIDENT: TypeAdapter[Incident] = TypeAdapter(Incident)
_DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


def record_incident(session: Session, incident: Incident) -> None:
    """Keep the incident, instead of what was recorded on the same loss before."""
    facts: dict[str, Any] = {
        "cause": incident.cause.value,
        "strategy": incident.strategy,
        "decided_at": incident.decided_at,
        "recovery_time": incident.recovery_time,
        "work_lost": incident.work_lost,
        "cost": incident.cost,
        "document": _INCIDENT.dump_python(incident, mode="json"),
    }
    newest = locked(session, incident.workload).generation
    row = session.get(IncidentRow, (incident.workload, incident.epoch_lost))
    if row is None:
        generation = _generation_of(session, incident.workload, incident.epoch_lost) or newest
        session.add(
            IncidentRow(workload=incident.workload, epoch_lost=incident.epoch_lost, generation=generation, **facts)
        )
    else:
        row.sqlmodel_update(facts)


def record_decision(session: Session, decision: Decision) -> None:
    """Keep the decision; the same one again changes nothing."""
    newest = locked(session, decision.workload).generation
    key = (decision.workload, decision.epoch, decision.made_at, decision.strategy)
    if session.get(DecisionRow, key) is None:
        session.add(
            DecisionRow(
                workload=decision.workload,
                epoch=decision.epoch,
                made_at=decision.made_at,
                strategy=decision.strategy,
                generation=newest,
                document=_DECISION.dump_python(decision, mode="json"),
            )
        )


def incidents(session: Session, workload: str, generation: int) -> tuple[Incident, ...]:
    """In the order in which the machines were lost."""
    query = select(IncidentRow).where(IncidentRow.workload == workload, IncidentRow.generation == generation)
    found = session.exec(query.order_by(col(IncidentRow.epoch_lost)))
    return tuple(_INCIDENT.validate_python(row.document) for row in found)


def decisions(session: Session, workload: str, generation: int) -> tuple[Decision, ...]:
    """In the order in which they were made."""
    query = select(DecisionRow).where(DecisionRow.workload == workload, DecisionRow.generation == generation)
    found = session.exec(query.order_by(col(DecisionRow.made_at), col(DecisionRow.epoch)))
    return tuple(_DECISION.validate_python(row.document) for row in found)


def _generation_of(session: Session, workload: str, epoch: int) -> int | None:
    query = select(LeaseRow.generation).where(LeaseRow.workload == workload, LeaseRow.epoch == epoch)
    return session.exec(query).first()
