"""Cost lines: what each machine was, how long we had it, and what that cost."""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from sqlmodel import Session, col, select

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.contracts.machines import Lease
from holdfast.contracts.reports import LeaseLine
from holdfast.records.errors import UnknownWorkload
from holdfast.records.tables import LeaseRow

_HOUR_US = 3_600_000_000
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
        row.cost = cost_until(row, row.closed_at)


def close_lease(session: Session, order: CloseLeaseInput) -> Decimal:
    """End the line and return its cost in USD, exact to a millionth. The first close stands."""
    row = _line(session, order.label)
    if row.closed_at is None:
        row.closed_at = order.closed_at
        row.closed_because = order.reason
        row.cost = cost_until(row, order.closed_at)
    return row.cost if row.cost is not None else cost_until(row, row.closed_at)


def open_leases(session: Session, provider: str | None = None, workload: str | None = None) -> list[LeaseRow]:
    """Lines that were not closed, oldest first, of one provider or of all, of one workload or of all."""
    query = select(LeaseRow).where(col(LeaseRow.closed_at).is_(None))
    if workload is not None:
        query = query.where(LeaseRow.workload == workload)
    if provider is not None:
        query = query.where(LeaseRow.provider == provider)
    return list(session.exec(query.order_by(col(LeaseRow.opened_at), col(LeaseRow.label))))


def cost_until(row: LeaseRow, moment: datetime) -> Decimal:
    """What the lease costs up to `moment`: its hourly price from its launch on; nothing if it never launched."""
    if row.launched_at is None:
        return Decimal(0)
    microseconds = max(moment - row.launched_at, timedelta()) // timedelta(microseconds=1)
    return (row.hourly * microseconds / _HOUR_US).quantize(_MICRODOLLAR, rounding=ROUND_HALF_EVEN)


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
        cost=row.cost if row.cost is not None else cost_until(row, now),
    )


def _line(session: Session, label: str) -> LeaseRow:
    row = session.exec(select(LeaseRow).where(LeaseRow.label == label).with_for_update()).first()
    if row is None:
        raise UnknownWorkload(f"no lease {label!r} was ever claimed")
    return row
