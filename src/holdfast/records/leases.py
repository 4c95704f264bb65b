"""Cost lines: what each machine was, how long we had it, and what that cost."""

from datetime import datetime
from decimal import Decimal

from pydantic import TypeAdapter
from sqlmodel import Session, col, func, select

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.contracts.machines import InstanceState, Lease
from holdfast.contracts.money import MeterInput
from holdfast.contracts.reports import LeaseLine
from holdfast.policy import metering
from holdfast.records import meter
from holdfast.records.errors import UnknownWorkload
from holdfast.records.pages import Page, Window, newest
from holdfast.records.tables import LeaseRow

_LINE: TypeAdapter[LeaseLine] = TypeAdapter(LeaseLine)


def record_lease(session: Session, lease: Lease) -> None:
    """Write what was rented onto the line that its claim opened, and let its meter run.

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
    row.bid = lease.bid if lease.bid is not None else row.bid
    row.storage_hourly = lease.storage_hourly if lease.storage_hourly is not None else row.storage_hourly
    row.launched_at = lease.since
    _meter(session, row, InstanceState.STARTING, lease.since)
    if lease.running_since is not None:
        _meter(session, row, InstanceState.RUNNING, lease.running_since)
    if row.closed_at is not None:
        meter.stop(session, row.label, row.closed_at)
        row.cost = metered(session, row, row.closed_at)


def meter_lease(session: Session, order: MeterInput) -> None:
    """From a moment on the machine is charged for in another way. A line that is closed is charged for no more."""
    row = _line(session, order.label)
    if row.closed_at is None and row.launched_at is not None and order.state is not InstanceState.UNKNOWN:
        _meter(session, row, order.state, order.at, charged=order.charged)


def close_lease(session: Session, order: CloseLeaseInput) -> Decimal:
    """End the line and return its cost in USD, exact to a millionth. The first close stands.

    A machine whose launch nobody heard of is charged for in full from the claim on, and one of which its provider said
    nothing since then likewise: that may be too much, never too little.
    """
    row = _line(session, order.label)
    if row.closed_at is None:
        if order.existed and row.launched_at is None:
            _meter(session, row, InstanceState.RUNNING, row.opened_at)
        elif order.running_since is not None:
            _meter(session, row, InstanceState.RUNNING, order.running_since)
        elif order.existed and not order.heard and meter.never_ran(session, row.label):
            _meter(session, row, InstanceState.RUNNING, row.opened_at)
        row.closed_at = order.closed_at
        row.closed_because, row.asleep = order.reason, order.asleep
        row.conduct, row.failed_in = order.conduct.value, order.failed_in
        meter.stop(session, row.label, order.closed_at)
        row.cost = metered(session, row, order.closed_at)
    return row.cost if row.cost is not None else metered(session, row, row.closed_at)


def open_leases(session: Session, provider: str | None = None, workload: str | None = None) -> list[LeaseRow]:
    """Lines that were not closed, oldest first, of one provider or of all, of one workload or of all."""
    query = select(LeaseRow).where(col(LeaseRow.closed_at).is_(None))
    if workload is not None:
        query = query.where(LeaseRow.workload == workload)
    if provider is not None:
        query = query.where(LeaseRow.provider == provider)
    return list(session.exec(query.order_by(col(LeaseRow.opened_at), col(LeaseRow.label))))


def of_generation(session: Session, workload: str, generation: int, window: Window, now: datetime) -> Page[LeaseLine]:
    """In the order in which they were claimed."""
    query = select(LeaseRow).where(LeaseRow.workload == workload, LeaseRow.generation == generation)
    query = query.order_by(col(LeaseRow.epoch).desc())
    return newest(session, query, lambda row: line(session, row, now), _LINE, window)


def cost_of_generation(session: Session, workload: str, generation: int, now: datetime) -> Decimal:
    """What all its leases cost, open ones up to `now`."""
    query = select(col(LeaseRow.label), col(LeaseRow.cost)).where(
        LeaseRow.workload == workload, LeaseRow.generation == generation
    )
    costs = dict(session.exec(query).all())
    meters = meter.of(session, [label for label, cost in costs.items() if cost is None])
    running = (metering.cost(intervals, now=now) for intervals in meters.values())
    return sum((cost for cost in costs.values() if cost is not None), Decimal(0)) + sum(running, Decimal(0))


def newest_epoch(session: Session, workload: str, generation: int) -> int:
    """The last under which the generation rented; 0 when it never did."""
    query = select(func.max(LeaseRow.epoch)).where(LeaseRow.workload == workload, LeaseRow.generation == generation)
    return session.exec(query).one() or 0


def line(session: Session, row: LeaseRow, now: datetime) -> LeaseLine:
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
        cost=row.cost if row.cost is not None else metered(session, row, now),
        bid=row.bid,
        storage_hourly=row.storage_hourly,
    )


def _meter(
    session: Session, row: LeaseRow, state: InstanceState, at: datetime, *, charged: Decimal | None = None
) -> None:
    told = charged is not None and state is not InstanceState.RUNNING  # running, the lease has the price by now
    rate = metering.rate(state, hourly=row.hourly, storage_hourly=row.storage_hourly)
    meter.turn(session, row.label, state, charged if told and charged is not None else rate, at)


def metered(session: Session, row: LeaseRow, now: datetime) -> Decimal:
    """What the line costs up to `now`, by its meter."""
    return metering.cost(meter.of(session, [row.label])[row.label], now=now)


def _line(session: Session, label: str) -> LeaseRow:
    row = session.exec(select(LeaseRow).where(LeaseRow.label == label).with_for_update()).first()
    if row is None:
        raise UnknownWorkload(f"no lease {label!r} was ever claimed")
    return row
