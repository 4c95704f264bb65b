"""Cost lines: what each machine was, how long we had it, and what that cost."""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from pydantic import TypeAdapter
from sqlmodel import Session, col, func, select

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.contracts.machines import Lease
from holdfast.contracts.reports import LeaseLine
from holdfast.records.errors import UnknownWorkload
from holdfast.records.pages import Page, Window, newest
from holdfast.records.tables import LeaseRow

_HOUR_US = 3_600_000_000
_LINE: TypeAdapter[LeaseLine] = TypeAdapter(LeaseLine)
_MICRODOLLAR = Decimal("0.000001")


def record_lease(session: Session, lease: Lease) -> None:
    """Write what was rented onto the line that its claim opened.

    A line that was closed stays closed; a launch that becomes known only afterwards is still charged for.
    """
    row = _line(session, lease.label)
    row.instance_id = lease.instance_id
    row.machine_id = lease.machine_id
    row.host_id = lease.host_id
    row.gpu, row.gpu_count = lease.gpu, lease.gpu_count
    row.region = lease.region
    row.terms = lease.terms.value
    row.hourly = lease.hourly
    row.launched_at = lease.since
    if row.closed_at is not None:
        row.cost = cost_until(row.closed_at, hourly=row.hourly, launched_at=row.launched_at)


def close_lease(session: Session, order: CloseLeaseInput) -> Decimal:
    """End the line and return its cost in USD, exact to a millionth. The first close stands."""
    row = _line(session, order.label)
    if row.closed_at is None:
        row.closed_at = order.closed_at
        row.closed_because = order.reason
        row.conduct, row.failed_in = order.conduct.value, order.failed_in
        row.cost = cost_until(order.closed_at, hourly=row.hourly, launched_at=row.launched_at)
    return _cost(row, row.closed_at)


def open_leases(session: Session, provider: str | None = None, workload: str | None = None) -> list[LeaseRow]:
    """Lines that were not closed, oldest first, of one provider or of all, of one workload or of all."""
    query = select(LeaseRow).where(col(LeaseRow.closed_at).is_(None))
    if workload is not None:
        query = query.where(LeaseRow.workload == workload)
    if provider is not None:
        query = query.where(LeaseRow.provider == provider)
    return list(session.exec(query.order_by(col(LeaseRow.opened_at), col(LeaseRow.label))))


def cost_until(moment: datetime, *, hourly: Decimal, launched_at: datetime | None) -> Decimal:
    """What a lease costs up to `moment`: its hourly price from its launch on; nothing if it never launched."""
    if launched_at is None:
        return Decimal(0)
    microseconds = max(moment - launched_at, timedelta()) // timedelta(microseconds=1)
    return (hourly * microseconds / _HOUR_US).quantize(_MICRODOLLAR, rounding=ROUND_HALF_EVEN)


def of_generation(session: Session, workload: str, generation: int, window: Window, now: datetime) -> Page[LeaseLine]:
    """In the order in which they were claimed."""
    query = select(LeaseRow).where(LeaseRow.workload == workload, LeaseRow.generation == generation)
    return newest(session, query.order_by(col(LeaseRow.epoch).desc()), lambda row: line(row, now), _LINE, window)


def cost_of_generation(session: Session, workload: str, generation: int, now: datetime) -> Decimal:
    """What all its leases cost, open ones up to `now`."""
    query = select(col(LeaseRow.cost), col(LeaseRow.hourly), col(LeaseRow.launched_at)).where(
        LeaseRow.workload == workload, LeaseRow.generation == generation
    )
    costs = (
        cost if cost is not None else cost_until(now, hourly=hourly, launched_at=launched_at)
        for cost, hourly, launched_at in session.exec(query)
    )
    return sum(costs, Decimal(0))


def newest_epoch(session: Session, workload: str, generation: int) -> int:
    """The last under which the generation rented; 0 when it never did."""
    query = select(func.max(LeaseRow.epoch)).where(LeaseRow.workload == workload, LeaseRow.generation == generation)
    return session.exec(query).one() or 0


def line(row: LeaseRow, now: datetime) -> LeaseLine:
    """The line as reports show it; an open one costs up to `now`."""
    return LeaseLine(
        label=row.label,
        epoch=row.epoch,
        provider=row.provider,
        instance_id=row.instance_id,
        machine_id=row.machine_id,
        gpu=row.gpu,
        region=row.region,
        hourly=row.hourly,
        opened_at=row.opened_at,
        launched_at=row.launched_at,
        closed_at=row.closed_at,
        closed_because=row.closed_because,
        cost=_cost(row, now),
    )


def _cost(row: LeaseRow, now: datetime) -> Decimal:
    return row.cost if row.cost is not None else cost_until(now, hourly=row.hourly, launched_at=row.launched_at)


def _line(session: Session, label: str) -> LeaseRow:
    row = session.exec(select(LeaseRow).where(LeaseRow.label == label).with_for_update()).first()
    if row is None:
        raise UnknownWorkload(f"no lease {label!r} was ever claimed")
    return row
