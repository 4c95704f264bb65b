"""What losses a warm pool is there for: how many workloads name it, what they lost, and when standbys were taken."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median

from sqlmodel import Session, col, select

from holdfast.contracts.incidents import LOSSES
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.names import pool_record
from holdfast.contracts.pools import PoolDemand
from holdfast.policy import interruption
from holdfast.records import experience
from holdfast.records.pools import TAKEN
from holdfast.records.tables import GenerationRow, IncidentRow, LeaseRow, MeterRow

DAYS = 7
AHEAD = timedelta(hours=24)
"""What a pool is sized for: it shrinks within hours, and grows at once."""


def of(session: Session, pool: str, now: datetime) -> PoolDemand:
    """Of the last week, up to now."""
    since = now - timedelta(days=DAYS)
    served = _served(session, pool)
    standbys = session.exec(
        select(LeaseRow).where(LeaseRow.workload == pool_record(pool), LeaseRow.opened_at >= since)
    ).all()
    taken = [row.closed_at for row in standbys if row.closed_at is not None and row.closed_because.startswith(TAKEN)]
    return PoolDemand(
        days=DAYS,
        served=len(served),
        losses=_losses(session, served, since),
        machine_hours=_machine_hours(session, served, since, now),
        claims=tuple(sorted(taken)),
        hazard=_hazard(session, served, now),
        refill=_refill(session, [row for row in standbys if row.launched_at is not None]),
    )


def _served(session: Session, pool: str) -> set[tuple[str, int]]:
    """Workloads that run now and name the pool."""
    query = select(GenerationRow).where(col(GenerationRow.closed_at).is_(None))
    named = (row for row in session.exec(query) if (row.spec.get("failover") or {}).get("pool") == pool)
    return {(row.workload, row.number) for row in named}


def _losses(session: Session, served: set[tuple[str, int]], since: datetime) -> int:
    query = select(IncidentRow.workload, IncidentRow.generation).where(
        IncidentRow.decided_at >= since, col(IncidentRow.cause).in_([cause.value for cause in LOSSES])
    )
    return sum((workload, generation) in served for workload, generation in session.exec(query))


def _machine_hours(session: Session, served: set[tuple[str, int]], since: datetime, now: datetime) -> float:
    query = select(LeaseRow).where(
        col(LeaseRow.launched_at).is_not(None), (col(LeaseRow.closed_at) >= since) | col(LeaseRow.closed_at).is_(None)
    )
    total = timedelta()
    for row in session.exec(query):
        if (row.workload, row.generation) in served and row.launched_at is not None:
            total += max((row.closed_at or now) - max(row.launched_at, since), timedelta())
    return total / timedelta(hours=1)


def _hazard(session: Session, served: set[tuple[str, int]], now: datetime) -> float | None:
    """Losses an hour that the machines which run now may expect of the next day; None where no region is known."""
    query = select(LeaseRow).where(col(LeaseRow.closed_at).is_(None), col(LeaseRow.launched_at).is_not(None))
    places = [
        experience.Place(row.provider, row.region, row.gpu)
        for row in session.exec(query)
        if (row.workload, row.generation) in served
    ]
    risks = experience.place_risks(session, now) if places else []
    known = {experience.Place(each.provider, each.region, each.gpu): each for each in risks}
    hazards = [interruption.Risk(each.hour, each.six_hours, each.day) for place in places if (each := known.get(place))]
    found = interruption.mean(hazards)
    return None if found is None else round(found.per_hour(AHEAD), 6)


def _refill(session: Session, standbys: Iterable[LeaseRow]) -> timedelta | None:
    """From the claim of an offer until its machine ran, in the middle of all."""
    wanted_at = {row.label: row.opened_at for row in standbys}
    query = select(MeterRow).where(
        col(MeterRow.label).in_(list(wanted_at)), MeterRow.state == InstanceState.RUNNING.value
    )
    first: dict[str, datetime] = {}
    for row in session.exec(query):
        first[row.label] = min(row.since, first.get(row.label, row.since))
    took = [(ran - wanted_at[label]).total_seconds() for label, ran in first.items()]
    return timedelta(seconds=median(took)) if took else None
