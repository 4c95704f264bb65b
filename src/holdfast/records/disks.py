"""Copies of machines' disks. What the provider may be asked for is written down before it is asked.

A copy is open, and may be billed, from its intent until somebody has heard that the provider does not know it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, func, select

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.disks import CopyPlan, DiskCopy, JudgeCopiesInput, PlanCopyInput
from holdfast.contracts.names import copy_name
from holdfast.contracts.sweeping import Known, Ruling
from holdfast.policy import sweeping
from holdfast.records import installation, workloads
from holdfast.records.errors import UnknownWorkload
from holdfast.records.tables import DiskCopyRow, GenerationRow, WorkloadRow


@dataclass(frozen=True, kw_only=True)
class OpenCopy:
    """A copy that may be billed, and whose it is."""

    name: str
    workload: str
    current: bool  # of the newest run of the name: those of earlier runs are nobody's


def plan(session: Session, order: PlanCopyInput, now: datetime) -> CopyPlan:
    """Whether a copy of this machine is due; one that is, is written down. The same order again names the same copy.

    Only the machine that holds the newest epoch is copied, and only after a save that it has committed since the last
    copy: else there is nothing on its disk that the next machine would want.
    """
    workload = workloads.locked(session, order.workload)
    head = workloads.head_of(session, workload)
    if not _may_be_copied(session, order, workload) or head is None or head.epoch != order.epoch:
        return CopyPlan()
    mine = [row for row in _open(session, order.workload) if row.generation == workload.generation]
    if asked := next((row for row in mine if row.taken_at is None and _is_of(row, order)), None):
        return CopyPlan(copy=_told(asked))
    newest = next((row for row in reversed(mine) if row.taken_at is not None), None)
    if newest is not None and newest.provider == order.provider and (wait := _not_yet(newest, order, head, now)):
        return wait
    return CopyPlan(copy=_told(_intent(session, order, workload, now)))


def record(session: Session, copy: DiskCopy) -> list[DiskCopy]:
    """A copy is whole. Returns those that are of no use any more: all but the newest whole one of the present run."""
    row = _named(session, copy.name)
    workload = workloads.locked(session, row.workload)
    row.taken_at = copy.taken_at or row.asked_at
    row.disk_gb = copy.disk_gb
    session.flush()
    still = _open(session, row.workload)
    whole = [each for each in still if each.taken_at is not None and each.generation == workload.generation]
    return [_told(each) for each in still if not whole or each.name != whole[-1].name]


def newest(session: Session, workload: WorkloadRow, provider: str) -> DiskCopy | None:
    """The newest whole copy that the present run has at a provider."""
    whole = [
        row
        for row in _open(session, workload.name)
        if row.taken_at is not None and row.generation == workload.generation and row.provider == provider
    ]
    return _told(whole[-1]) if whole else None


def open_copies(session: Session, workload: str) -> list[DiskCopy]:
    """Those that may be billed, of any run of the name, oldest first."""
    return [_told(row) for row in _open(session, workload)]


def open_at(session: Session, provider: str) -> list[OpenCopy]:
    """Those that may be billed at a provider."""
    query = (
        select(DiskCopyRow, WorkloadRow.generation)
        .join(WorkloadRow, col(WorkloadRow.name) == col(DiskCopyRow.workload))
        .where(DiskCopyRow.provider == provider, col(DiskCopyRow.dropped_at).is_(None))
        .order_by(col(DiskCopyRow.name))
    )
    return [
        OpenCopy(name=row.name, workload=row.workload, current=row.generation == generation)
        for row, generation in session.exec(query)
    ]


def close(session: Session, name: str, now: datetime) -> None:
    """The provider does not know it any more. The first close stands."""
    row = _named(session, name)
    row.dropped_at = row.dropped_at or now


def judge(session: Session, order: JudgeCopiesInput) -> list[str]:
    """Which of these, that a sweep finds without an owner, are to be dropped now. The others are remembered.

    One of which nothing is on record is never dropped: it may be another installation's, or the records were lost. One
    that was asked for while the sweep looked around has an owner.
    """
    ending = []
    for name in order.names:
        row = session.exec(select(DiskCopyRow).where(DiskCopyRow.name == name).with_for_update()).first()
        if row is None or (row.dropped_at is None and row.asked_at >= order.asked_at):
            continue
        known = Known.ABANDONED if row.dropped_at is None else Known.CLOSED
        first_seen = row.left_since or order.listed_at
        if sweeping.rule(known, first_seen=first_seen, asked_at=order.asked_at, grace=order.grace) is Ruling.END:
            ending.append(name)
        if not order.dry_run:
            row.left_since = first_seen
    if not order.dry_run:
        _forget_others(session, order.provider, order.names)
    return ending


def _forget_others(session: Session, provider: str, names: Sequence[str]) -> None:
    """Whatever has an owner again, or is gone, begins its grace anew if it is found once more."""
    query = select(DiskCopyRow).where(DiskCopyRow.provider == provider, col(DiskCopyRow.left_since).is_not(None))
    for row in session.exec(query):
        if row.name not in names:
            row.left_since = None


def _may_be_copied(session: Session, order: PlanCopyInput, workload: WorkloadRow) -> bool:
    generation = session.get_one(GenerationRow, (workload.name, workload.generation))
    holds_it = workload.epoch == order.epoch and workload.claimed_by == workload.generation
    return holds_it and generation.closed_at is None


def _not_yet(newest: DiskCopyRow, order: PlanCopyInput, head: CheckpointRef, now: datetime) -> CopyPlan | None:
    """How long to wait: the last one is fresh enough, or nothing was saved since. None: it is due."""
    due = newest.asked_at + order.every
    if now < due:
        return CopyPlan(look_again_after=due - now)
    return CopyPlan() if head.committed_at <= newest.asked_at else None


def _intent(session: Session, order: PlanCopyInput, workload: WorkloadRow, now: datetime) -> DiskCopyRow:
    last = session.exec(select(func.max(DiskCopyRow.number)).where(DiskCopyRow.workload == workload.name)).one()
    number = (last or 0) + 1
    row = DiskCopyRow(
        workload=workload.name,
        number=number,
        name=copy_name(workload.name, number, installation.mark(session)),
        generation=workload.generation,
        provider=order.provider,
        instance_id=order.instance_id,
        asked_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _open(session: Session, workload: str) -> list[DiskCopyRow]:
    """In the order in which they were asked for."""
    query = select(DiskCopyRow).where(DiskCopyRow.workload == workload, col(DiskCopyRow.dropped_at).is_(None))
    return list(session.exec(query.order_by(col(DiskCopyRow.number))))


def _is_of(row: DiskCopyRow, order: PlanCopyInput) -> bool:
    return (row.provider, row.instance_id) == (order.provider, order.instance_id)


def _named(session: Session, name: str) -> DiskCopyRow:
    row = session.exec(select(DiskCopyRow).where(DiskCopyRow.name == name).with_for_update()).first()
    if row is None:
        raise UnknownWorkload(f"no copy {name!r} was ever asked for")
    return row


def _told(row: DiskCopyRow) -> DiskCopy:
    return DiskCopy(name=row.name, provider=row.provider, taken_at=row.taken_at, disk_gb=row.disk_gb)
