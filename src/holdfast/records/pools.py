"""A standby of a warm pool becomes a workload's machine."""

from datetime import datetime

from sqlmodel import Session, select

from holdfast.contracts.names import is_pool_record, label
from holdfast.contracts.pools import HandOverInput, HandOverResult
from holdfast.records import budgets, installation, leases, meter, workloads
from holdfast.records.errors import Fenced, OfferTaken
from holdfast.records.tables import GenerationRow, LeaseRow, WorkloadRow

TAKEN = "taken as "
"""How the cost line of a standby that was taken says so."""
_CARRIED = (
    "provider",
    "offer_id",
    "instance_id",
    "machine_id",
    "host_id",
    "gpu",
    "gpu_count",
    "region",
    "terms",
    "hourly",
    "bid",
    "storage_hourly",
    "exclusive",
    "launched_at",
)


def hand_over(session: Session, order: HandOverInput, now: datetime) -> HandOverResult:
    """Close the pool's cost line and open the workload's at the same moment: no second has two owners, and none has no.

    The machine goes on to wear the pool's label: not every provider lets one be changed. Its id is what finds it.

    Raises:
        Fenced: the epoch is not newer than the fence, or the workload is over.
        OfferTaken: the standby was claimed before, or let go.
        BudgetExceeded: what is left of the workload's budget does not pay for it.
    """
    workload = workloads.locked(session, order.workload)
    standby = _line(session, order.standby)
    if done := _done_before(session, order, standby):
        return done
    generation = workloads.newest_generation(session, workload)
    _require_newest(order, workload, generation)
    if standby.closed_at is not None or not standby.instance_id:
        raise OfferTaken(f"{order.standby} stands by no more: {standby.closed_because or 'it was never rented'}")
    workload.epoch, workload.claimed_by = order.epoch, workload.generation
    taken = _taken(session, order, standby, generation, now)
    budgets.claim(session, workload, taken, now)
    return HandOverResult(label=taken.label)


def _done_before(session: Session, order: HandOverInput, standby: LeaseRow) -> HandOverResult | None:
    query = select(LeaseRow).where(LeaseRow.workload == order.workload, LeaseRow.epoch == order.epoch)
    line = session.exec(query).first()
    if line is None or line.instance_id != standby.instance_id:
        return None
    return HandOverResult(label=line.label)


def _require_newest(order: HandOverInput, workload: WorkloadRow, generation: GenerationRow) -> None:
    if order.epoch <= workload.epoch:
        raise Fenced(f"epoch {order.epoch} of {order.workload!r} comes too late: epoch {workload.epoch} is claimed")
    if generation.closed_at is not None:
        raise Fenced(f"{order.workload!r} is over")


def _taken(
    session: Session, order: HandOverInput, standby: LeaseRow, generation: GenerationRow, now: datetime
) -> LeaseRow:
    """The new line; the old one is closed first, because an offer has one open line."""
    worn = label(order.workload, order.epoch, installation.mark(session))
    last = meter.of(session, [standby.label]).get(standby.label, [])
    standby.closed_at, standby.closed_because = now, f"{TAKEN}{worn}"
    meter.stop(session, standby.label, now)
    standby.cost = leases.metered(session, standby, now)
    session.flush()
    row = LeaseRow(
        label=worn,
        workload=order.workload,
        generation=generation.number,
        epoch=order.epoch,
        opened_at=now,
        tenant=generation.tenant,
        **{name: getattr(standby, name) for name in _CARRIED},
    )
    session.add(row)
    session.flush()
    if last:
        meter.turn(session, row.label, last[-1].state, last[-1].hourly, now)
    return row


def _line(session: Session, name: str) -> LeaseRow:
    query = select(LeaseRow).where(LeaseRow.label == name).with_for_update()
    row = session.exec(query, execution_options={"populate_existing": True}).first()
    if row is None or not is_pool_record(row.workload):
        raise OfferTaken(f"{name!r} is no standby of a warm pool")
    return row
