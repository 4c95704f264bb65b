"""Committing a checkpoint: the head moves last, by compare-and-set, and only for the newest epoch."""

from collections.abc import Collection
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import tuple_, update
from sqlmodel import Session, col, select

from holdfast.contracts.activities import (
    CheckpointPlace,
    CommitCheckpointInput,
    ForgetInput,
    ForgetResult,
    ListLiveResult,
)
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.names import is_job_record, is_model_record
from holdfast.records import jobs, models, rows
from holdfast.records.errors import Fenced, Superseded, UnknownWorkload
from holdfast.records.pages import Page, Window, newest
from holdfast.records.tables import CheckpointRow, WorkloadRow
from holdfast.records.workloads import locked, newest_generation

LIVE_TOLD = 2_500
"""Manifests in one page: about as much as Temporal takes in one payload without a warning."""
_CHECKPOINT: TypeAdapter[CheckpointRef] = TypeAdapter(CheckpointRef)


def commit_checkpoint(session: Session, order: CommitCheckpointInput) -> CheckpointRef:
    """Make the checkpoint the head.

    One statement decides: the row of the workload must still have this epoch and the head that the save was built on,
    and the present generation must have claimed that epoch. A commit that happened before is returned as it
    stands, whatever happened since.

    Raises:
        Fenced: a newer epoch or a newer run owns the workload, or nobody ever claimed this epoch.
        Superseded: another save of the same epoch moved the head first.
    """
    wanted = order.checkpoint
    if wanted.sequence <= (order.expected_sequence if order.expected_sequence is not None else -1):
        raise ValueError(f"sequence {wanted.sequence} does not follow the head's {order.expected_sequence}")
    if _move_head(session, wanted, order.expected_sequence):
        row = rows.checkpoint_row(wanted, locked(session, wanted.workload).generation)
        session.add(row)
        session.flush()
        return rows.checkpoint(row)
    return _committed_before(session, wanted) or _refuse(session, order)


def of_generation(
    session: Session, workload: str, generation: int, *, include_retired: bool = False
) -> list[CheckpointRef]:
    """The checkpoints of one generation, oldest first."""
    query = select(CheckpointRow).where(CheckpointRow.workload == workload, CheckpointRow.generation == generation)
    if not include_retired:
        query = query.where(col(CheckpointRow.retired_at).is_(None))
    return [rows.checkpoint(row) for row in session.exec(query.order_by(col(CheckpointRow.sequence)))]


def page(session: Session, workload: str, generation: int, window: Window) -> Page[CheckpointRef]:
    """Those of one generation that were not retired, in the order of their commits."""
    query = select(CheckpointRow).where(
        CheckpointRow.workload == workload,
        CheckpointRow.generation == generation,
        col(CheckpointRow.retired_at).is_(None),
    )
    return newest(session, query.order_by(col(CheckpointRow.sequence).desc()), rows.checkpoint, _CHECKPOINT, window)


def live_manifests(session: Session, workload: str) -> frozenset[str]:
    """The manifests of every generation that were not retired."""
    query = select(CheckpointRow.manifest).where(
        CheckpointRow.workload == workload, col(CheckpointRow.retired_at).is_(None)
    )
    return frozenset(session.exec(query))


def live_after(session: Session, after: CheckpointPlace | None) -> ListLiveResult:
    """A page of the manifests that were not retired: of all workloads and generations, then of all registered models,
    then of jobs.

    Rows keep their place, so a checkpoint that lives from the first page to the last is told exactly once. Manifests of
    a job may be exchanged for others meanwhile, which are younger than the page.
    """
    began_in = _part_of(after)
    found: list[tuple[CheckpointPlace, str]] = []
    for part, read in enumerate((_live_work, models.live_after, jobs.live_after)):
        if part < began_in or len(found) == LIVE_TOLD:
            continue
        found += read(session, after if part == began_in else None, LIVE_TOLD - len(found))
    last = found[-1][0] if len(found) == LIVE_TOLD else None
    return ListLiveResult(manifests=tuple(each for _, each in found), last=last)


def _part_of(place: CheckpointPlace | None) -> int:
    if place is None:
        return 0
    return 2 if is_job_record(place.workload) else int(is_model_record(place.workload))


def _live_work(session: Session, after: CheckpointPlace | None, at_most: int) -> list[tuple[CheckpointPlace, str]]:
    place = (col(CheckpointRow.workload), col(CheckpointRow.generation), col(CheckpointRow.sequence))
    query = select(*place, col(CheckpointRow.manifest)).where(col(CheckpointRow.retired_at).is_(None))
    if after is not None:
        query = query.where(tuple_(*place) > (after.workload, after.generation, after.sequence))
    return [
        (CheckpointPlace(workload=workload, generation=generation, sequence=sequence), manifest)
        for workload, generation, sequence, manifest in session.exec(query.order_by(*place).limit(at_most))
    ]


def mark_verified(session: Session, workload: str, manifest: str, at: datetime) -> None:
    """Note that every chunk of this checkpoint was read back and found sound; the newest time stands."""
    query = select(CheckpointRow).where(CheckpointRow.workload == workload, CheckpointRow.manifest == manifest)
    found = session.exec(query).all()
    if not found:
        raise UnknownWorkload(f"no checkpoint {manifest!r} of {workload!r} is recorded")
    for row in found:
        row.verified_at = max(row.verified_at or at, at)


def retire_checkpoints(session: Session, name: str, sequences: Collection[int], at: datetime) -> list[CheckpointRef]:
    """Take checkpoints of the newest generation out of use; the head never is. Returns those retired by this call.

    Their chunks may be collected from now on. The rows stay, so that a report can still tell what was saved.
    """
    workload = locked(session, name)
    query = select(CheckpointRow).where(
        CheckpointRow.workload == name,
        CheckpointRow.generation == workload.generation,
        col(CheckpointRow.sequence).in_(sequences),
        col(CheckpointRow.sequence) != workload.head_sequence,
        col(CheckpointRow.retired_at).is_(None),
    )
    retired = list(session.exec(query.order_by(col(CheckpointRow.sequence))))
    for row in retired:
        row.retired_at = at
    return [rows.checkpoint(row) for row in retired]


def forget_checkpoints(session: Session, order: ForgetInput, at: datetime) -> ForgetResult:
    """Retire whatever earlier generations left, and all but the newest of the last one, if that has ended.

    What a run that goes on has saved is its own to retire.
    """
    workload = locked(session, order.workload)
    query = select(CheckpointRow).where(
        CheckpointRow.workload == order.workload, col(CheckpointRow.retired_at).is_(None)
    )
    live = session.exec(query.order_by(col(CheckpointRow.sequence))).all()
    last = [row for row in live if row.generation == workload.generation]
    ended = newest_generation(session, workload).closed_at is not None
    kept = min(order.keep, len(last)) if ended else len(last)
    for row in [*(row for row in live if row.generation != workload.generation), *last[: len(last) - kept]]:
        row.retired_at = at
    return ForgetResult(forgotten=len(live) - kept, kept=kept)


def _move_head(session: Session, wanted: CheckpointRef, seen: int | None) -> bool:
    moved = session.connection().execute(
        update(WorkloadRow)
        .where(
            col(WorkloadRow.name) == wanted.workload,
            col(WorkloadRow.epoch) == wanted.epoch,
            col(WorkloadRow.head_sequence).is_not_distinct_from(seen),
            col(WorkloadRow.claimed_by) == col(WorkloadRow.generation),
        )
        .values(head_sequence=wanted.sequence)
    )
    return bool(moved.rowcount)


def _committed_before(session: Session, wanted: CheckpointRef) -> CheckpointRef | None:
    query = select(CheckpointRow).where(
        CheckpointRow.workload == wanted.workload,
        CheckpointRow.epoch == wanted.epoch,
        CheckpointRow.sequence == wanted.sequence,
        CheckpointRow.manifest == wanted.manifest,
    )
    row = session.exec(query).first()
    return rows.checkpoint(row) if row else None


def _refuse(session: Session, order: CommitCheckpointInput) -> CheckpointRef:
    wanted = order.checkpoint
    workload = locked(session, wanted.workload)
    if workload.epoch != wanted.epoch:
        raise Fenced(f"epoch {wanted.epoch} may not commit: {wanted.workload!r} is at epoch {workload.epoch}")
    if workload.head_sequence != order.expected_sequence:
        built_on = "no head" if order.expected_sequence is None else f"head {order.expected_sequence}"
        raise Superseded(f"the save was built on {built_on}, and the head is {workload.head_sequence} by now")
    raise Fenced(f"epoch {wanted.epoch} may not commit: the present run of {wanted.workload!r} never claimed it")
