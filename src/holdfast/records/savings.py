"""What every workload's machine was charged for, and when: the facts that savings are computed from."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import and_, tuple_
from sqlalchemy import select as columns
from sqlmodel import Session, col, func, select

from holdfast.contracts.endpoints import endpoint_of
from holdfast.contracts.incidents import Incident
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.names import pool_record
from holdfast.contracts.savings import LivesInput, LivesPage, LossesInput, LossLine, MachineLife, MeterLine
from holdfast.records.tables import CheckpointRow, EndpointRow, GenerationRow, IncidentRow, LeaseRow, MeterRow

ROWS_TOLD = 2000
"""In one page: a lease with one row of its meter has a few hundred bytes."""
_INCIDENT = TypeAdapter(Incident)
_Row = tuple[LeaseRow, GenerationRow, MeterRow | None]


def page(session: Session, order: LivesInput, now: datetime) -> LivesPage:
    """As they were opened, each with its meter. A machine of a pool is nobody's yet, and is left out."""
    number = func.coalesce(col(MeterRow.number), 0)
    place = (col(LeaseRow.opened_at), col(LeaseRow.label), number)
    mine = and_(
        col(GenerationRow.workload) == col(LeaseRow.workload), col(GenerationRow.number) == col(LeaseRow.generation)
    )
    query = (
        select(LeaseRow, GenerationRow, MeterRow)
        .join(GenerationRow, mine)
        .join(MeterRow, col(MeterRow.label) == col(LeaseRow.label), isouter=True)
        .where(~col(LeaseRow.workload).startswith(pool_record(""), autoescape=True))
    )
    if last := session.get(LeaseRow, order.after):
        query = query.where(tuple_(*place) > (last.opened_at, last.label, order.number))
    rows = session.exec(query.order_by(*place).limit(ROWS_TOLD)).all()
    endpoints = frozenset(session.exec(select(EndpointRow.name)))
    lives: dict[str, list[_Row]] = {}
    for row in rows:
        lives.setdefault(row[0].label, []).append(row)
    return LivesPage(lives=tuple(_life(each, endpoints) for each in lives.values()), now=now, next=_next(rows))


def _next(rows: Collection[_Row]) -> LivesInput | None:
    if len(rows) < ROWS_TOLD:
        return None
    lease, _, metered = list(rows)[-1]
    return LivesInput(after=lease.label, number=metered.number if metered else 0)


def _life(rows: list[_Row], endpoints: Collection[str]) -> MachineLife:
    lease, generation, _ = rows[0]
    owner = endpoint_of(lease.workload)
    return MachineLife(
        label=lease.label,
        workload=lease.workload,
        endpoint=owner if owner in endpoints else "",
        generation=lease.generation,
        opened_at=lease.opened_at,
        wanted_at=lease.wanted_at,
        closed_at=lease.closed_at,
        asleep=lease.asleep,
        over_at=generation.closed_at,
        meter=tuple(_line(metered) for _, _, metered in rows if metered is not None),
        gpu=lease.gpu,
        gpu_count=lease.gpu_count,
        provider=lease.provider,
        failed=bool(lease.failed_in),
    )


def losses(session: Session, order: LossesInput) -> list[LossLine]:
    """By workload. Work that was lost while nothing is known of it counts as none."""
    found: dict[str, LossLine] = {}
    for row in session.exec(_within(select(IncidentRow), col(IncidentRow.decided_at), order)):
        phases = _INCIDENT.validate_python(row.document).phases
        line = found.get(row.workload, LossLine(workload=row.workload))
        found[row.workload] = replace(
            line,
            losses=line.losses + 1,
            first_at=_earlier(line.first_at, row.decided_at),
            work_lost=line.work_lost + (row.work_lost or timedelta()),
            recovering=line.recovering + phases.connect + phases.restore + phases.start,
        )
    sums = (func.sum(CheckpointRow.bytes_uploaded), func.min(CheckpointRow.committed_at))
    sent = columns(col(CheckpointRow.workload), *sums).group_by(CheckpointRow.workload)
    for workload, count, first in session.connection().execute(_within(sent, col(CheckpointRow.committed_at), order)):
        line = found.get(workload, LossLine(workload=workload))
        found[workload] = replace(line, bytes_sent=int(count), first_at=_earlier(line.first_at, first))
    return [found[name] for name in sorted(found)]


def _earlier(known: datetime | None, moment: datetime) -> datetime:
    return moment if known is None else min(known, moment)


def _within(query: Any, moment: Any, order: LossesInput) -> Any:
    if order.since is not None:
        query = query.where(moment >= order.since)
    return query.where(moment < order.until)


def _line(row: MeterRow) -> MeterLine:
    return MeterLine(
        number=row.number, state=InstanceState(row.state), hourly=row.hourly, since=row.since, until=row.until
    )
