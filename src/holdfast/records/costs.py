"""Every cost line there ever was, and our meter beside a provider's bill."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import tuple_
from sqlmodel import Session, col, select

from holdfast.contracts.money import CostLine, CostPage, DayCost, Drift, ReconcileInput
from holdfast.policy import metering, reconciling
from holdfast.policy.metering import Interval
from holdfast.records import meter
from holdfast.records.tables import LeaseRow

LINES_TOLD = 500
"""In one page: a line has a few hundred bytes, and one entry more for each day."""
_DAY = timedelta(days=1)


def page(session: Session, after: str, now: datetime) -> CostPage:
    """As they were opened. Lines keep their place, so each is told once, however long the reading takes."""
    place = (col(LeaseRow.opened_at), col(LeaseRow.label))
    query = select(LeaseRow)
    if last := session.get(LeaseRow, after):
        query = query.where(tuple_(*place) > (last.opened_at, last.label))
    rows = session.exec(query.order_by(*place).limit(LINES_TOLD)).all()
    meters = meter.of(session, [row.label for row in rows])
    lines = tuple(_line(row, meters.get(row.label, []), now) for row in rows)
    return CostPage(lines=lines, last=lines[-1].label if len(lines) == LINES_TOLD else "")


def reconcile(session: Session, order: ReconcileInput, now: datetime) -> Drift:
    """Machine by machine. A machine that only we know of may be too new for the bill, and is left out."""
    charged = {each.instance_id: each.amount for each in order.charges}
    query = select(LeaseRow).where(LeaseRow.provider == order.provider)
    known = [row for row in session.exec(query).all() if row.instance_id in charged]
    older = {row.instance_id for row in known if row.opened_at < order.since}
    rows = [row for row in known if row.instance_id not in older]
    meters = meter.of(session, [row.label for row in rows])
    machines: dict[str, list[LeaseRow]] = {}  # a standby that was claimed has two lines, and one bill
    for row in sorted(rows, key=lambda each: each.opened_at):
        machines.setdefault(row.instance_id, []).append(row)
    compared = [
        reconciling.Compared(
            label=lines[-1].label,
            intervals=[each for row in lines for each in meters.get(row.label, [])],
            charged=charged[instance_id],
        )
        for instance_id, lines in machines.items()
    ]
    unknown = len(charged.keys() - {row.instance_id for row in known})
    return reconciling.drift(order.provider, compared, unknown=unknown, now=now)


def _line(row: LeaseRow, intervals: Sequence[Interval], now: datetime) -> CostLine:
    return CostLine(
        label=row.label,
        workload=row.workload,
        tenant=row.tenant,
        provider=row.provider,
        instance_id=row.instance_id,
        gpu=f"{row.gpu_count}x {row.gpu}",
        terms=row.terms,
        hourly=row.hourly,
        bid=row.bid,
        storage_hourly=row.storage_hourly,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        running=metering.time_in(intervals, now=now, running=True),
        stopped=metering.time_in(intervals, now=now, running=False),
        cost=row.cost if row.cost is not None else metering.cost(intervals, now=now),
        days=tuple(_days(intervals, now)),
    )


def _days(intervals: Sequence[Interval], now: datetime) -> Iterator[DayCost]:
    """What each day cost, in UTC; days that cost nothing are left out."""
    if not intervals:
        return
    end = intervals[-1].until or now
    begin = intervals[0].since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while begin < end:
        if cost := metering.cost(intervals, since=begin, now=begin + _DAY if begin + _DAY < end else end):
            yield DayCost(day=begin.date().isoformat(), cost=cost)
        begin += _DAY
