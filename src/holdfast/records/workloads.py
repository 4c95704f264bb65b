"""A workload's name, its generations and its fence."""

from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from holdfast.contracts.activities import (
    ClaimEpochInput,
    ClaimEpochResult,
    CloseWorkloadInput,
    OpenWorkloadInput,
    OpenWorkloadResult,
)
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.machines import Offer
from holdfast.contracts.money import Scope, SetBudgetInput, Span
from holdfast.contracts.names import is_job_record, is_model_record, is_pool_record, label
from holdfast.contracts.spec import WorkloadSpec
from holdfast.records import budgets, installation, outbox, rows
from holdfast.records.errors import Fenced, OfferTaken, UnknownWorkload
from holdfast.records.tables import CheckpointRow, GenerationRow, LeaseRow, WorkloadRow

OPEN = "open"
_SPEC: TypeAdapter[WorkloadSpec] = TypeAdapter(WorkloadSpec)


def open_workload(session: Session, order: OpenWorkloadInput, now: datetime) -> OpenWorkloadResult:
    """Start a generation for this run, unless it has one already.

    The newest opener owns the name. Two live runs cannot meet here: Temporal lets only one workflow with the id
    `workload/<name>` run. A generation that was never closed (its run was terminated) is closed by its successor.
    """
    name = order.spec.name
    if is_pool_record(name) is not order.pool:
        raise Fenced(f"{name!r} is a name for the machines of a warm pool, not for a workload")
    if is_model_record(name):
        raise Fenced(f"{name!r} is a name for a registered model, not for a workload")
    if is_job_record(name):
        raise Fenced(f"{name!r} is a name for the files of a job, not for a workload")
    session.connection().execute(_insert_new(session, name))
    workload = locked(session, name)
    opened = session.exec(
        select(GenerationRow).where(GenerationRow.workload == name, GenerationRow.run_id == order.run_id)
    ).first()
    if opened is None:
        _next_generation(session, workload, order, now)
    elif opened.number != workload.generation:
        raise Fenced(f"run {order.run_id} of {name!r} was followed by a newer run")
    return OpenWorkloadResult(epoch=workload.epoch, head=head_of(session, workload))


def claim_epoch(session: Session, order: ClaimEpochInput, now: datetime) -> ClaimEpochResult:
    """Raise the fence, reserve what the machine is going to cost, and note the intent to rent: all or nothing.

    A claim without an offer opens no cost line: the machine that we have goes on under a new epoch. The same claim
    again changes nothing. The same epoch for another offer is refused: the first offer's machine may exist already,
    under the label that both would wear.

    Raises:
        OfferTaken: another workload has claimed the same machine.
        BudgetExceeded: what is left of a budget does not pay for the machine.
    """
    raised = session.connection().execute(
        update(WorkloadRow)
        .where(col(WorkloadRow.name) == order.workload, col(WorkloadRow.epoch) < order.epoch)
        .values(epoch=order.epoch, claimed_by=WorkloadRow.generation)
    )
    workload = locked(session, order.workload)
    if not raised.rowcount:
        _require_same_claim(session, order, workload)
    else:
        _reserve(session, order, workload, now)
    intent = _line_of(session, order)
    return ClaimEpochResult(head=head_of(session, workload), label=intent.label if intent else "")


def close_workload(session: Session, order: CloseWorkloadInput, now: datetime) -> None:
    """Close the newest generation. The first close stands, and is told to those who want to know."""
    generation = newest_generation(session, locked(session, order.workload))
    if generation.closed_at is None:
        generation.closed_at = order.closed_at
        generation.phase = order.phase.value
        generation.reason = order.reason
        if not is_pool_record(order.workload):
            outbox.ended(session, generation, now)


def locked(session: Session, name: str) -> WorkloadRow:
    """The workload's row as it is now; until this transaction ends nobody else changes what belongs to it.

    Raises:
        UnknownWorkload: the name was never opened.
    """
    query = select(WorkloadRow).where(WorkloadRow.name == name).with_for_update()
    workload = session.exec(query, execution_options={"populate_existing": True}).first()
    if workload is None:
        raise UnknownWorkload(f"no workload {name!r} is recorded")
    return workload


def newest_generation(session: Session, workload: WorkloadRow) -> GenerationRow:
    """The generation that the name stands for at present."""
    return session.get_one(GenerationRow, (workload.name, workload.generation))


def head_of(session: Session, workload: WorkloadRow) -> CheckpointRef | None:
    """The newest committed checkpoint of the newest generation, or None."""
    if workload.head_sequence is None:
        return None
    key = (workload.name, workload.generation, workload.head_sequence)
    return rows.checkpoint(session.get_one(CheckpointRow, key))


def _insert_new(session: Session, name: str) -> Insert:
    # Both dialects know the clause; SQLAlchemy has no common word for it.
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(WorkloadRow).values(name=name, epoch=0, generation=0, claimed_by=0).on_conflict_do_nothing()


def _next_generation(session: Session, workload: WorkloadRow, order: OpenWorkloadInput, now: datetime) -> None:
    if workload.generation:
        before = newest_generation(session, workload)
        if before.closed_at is None:
            before.closed_at, before.phase = now, "abandoned"
            before.reason = f"its run ended without a word; run {order.run_id} took the name"
    workload.generation += 1
    workload.head_sequence = order.workdir.sequence if order.workdir else None
    session.add(
        GenerationRow(
            workload=workload.name,
            number=workload.generation,
            run_id=order.run_id,
            spec=_SPEC.dump_python(order.spec, mode="json"),
            rto=order.spec.objectives.rto,
            rpo=order.spec.objectives.rpo,
            opened_at=now,
            phase=OPEN,
            tenant=order.spec.tenant,
        )
    )
    session.flush()
    limit = SetBudgetInput(scope=Scope.SPEC, name=workload.name, span=Span.TOTAL, amount=order.spec.budget)
    budgets.put(session, limit, now)
    if order.workdir:
        session.add(rows.checkpoint_row(order.workdir, workload.generation))
        session.flush()


def _reserve(session: Session, order: ClaimEpochInput, workload: WorkloadRow, now: datetime) -> None:
    intent = None
    if order.offer is not None:
        _require_free(session, order.offer)
        worn = label(workload.name, order.epoch, installation.mark(session))
        intent = _intent(newest_generation(session, workload), worn, order.epoch, order.offer, now)
        intent.wanted_at = order.wanted_at
        session.add(intent)
        session.flush()
    budgets.claim(session, workload, intent, now)


def _require_free(session: Session, offer: Offer) -> None:
    """Who comes at the very same moment is refused by the index, and finds the other's line when it tries again."""
    query = select(LeaseRow.label).where(
        LeaseRow.provider == offer.provider,
        LeaseRow.offer_id == offer.offer_id,
        col(LeaseRow.closed_at).is_(None),
        col(LeaseRow.exclusive),
    )
    if offer.exclusive and (holder := session.exec(query).first()):
        raise OfferTaken(f"offer {offer.offer_id} of {offer.provider} is claimed as {holder}")


def _intent(generation: GenerationRow, worn: str, epoch: int, offer: Offer, now: datetime) -> LeaseRow:
    return LeaseRow(
        label=worn,
        workload=generation.workload,
        generation=generation.number,
        epoch=epoch,
        provider=offer.provider,
        offer_id=offer.offer_id,
        machine_id=offer.machine_id,
        host_id=offer.host_id,
        gpu=offer.gpu,
        gpu_count=offer.gpu_count,
        region=offer.region,
        terms=offer.terms.value,
        hourly=offer.hourly,
        bid=offer.bid,
        storage_hourly=offer.storage_hourly,
        opened_at=now,
        tenant=generation.tenant,
        exclusive=offer.exclusive,
    )


def _require_same_claim(session: Session, order: ClaimEpochInput, workload: WorkloadRow) -> None:
    if order.epoch < workload.epoch:
        raise Fenced(f"epoch {order.epoch} of {order.workload!r} comes too late: epoch {workload.epoch} is claimed")
    if workload.claimed_by != workload.generation:
        raise Fenced(f"epoch {order.epoch} of {order.workload!r} belongs to an earlier run")
    intent = _line_of(session, order)
    claimed_for = (intent.provider, intent.offer_id) if intent else None
    asked_for = (order.offer.provider, order.offer.offer_id) if order.offer else None
    if claimed_for != asked_for:
        raise Fenced(f"epoch {order.epoch} of {order.workload!r} is claimed for something else: {claimed_for}")


def _line_of(session: Session, order: ClaimEpochInput) -> LeaseRow | None:
    """The cost line of this epoch, if it rents anything."""
    query = select(LeaseRow).where(LeaseRow.workload == order.workload, LeaseRow.epoch == order.epoch)
    return session.exec(query).first()
