"""Jobs: how each stood when it was last written down, and which manifests are kept for it."""

from collections.abc import Sequence

from pydantic import TypeAdapter
from sqlalchemy import delete, tuple_
from sqlmodel import Session, col, select

from holdfast.contracts.activities import CheckpointPlace, JobPage, ListJobsInput, RecordJobInput
from holdfast.contracts.jobs import JobStatus
from holdfast.contracts.names import is_job_record, job_record
from holdfast.records.tables import JobManifestRow, JobRow

_STATUS: TypeAdapter[JobStatus] = TypeAdapter(JobStatus)


def record(session: Session, order: RecordJobInput) -> None:
    """Keep these words of it instead of those before. A name that is used again stands for its newest job."""
    status = order.status
    row = session.get(JobRow, status.name, with_for_update=True)
    if row is not None and row.set_at > order.at:  # what is late is not the newest
        return
    facts = {
        "tenant": status.tenant,
        "array": status.place.array if status.place else "",
        "phase": status.phase.value,
        "submitted_at": status.submitted_at,
        "ended_at": status.ended_at,
        "set_at": order.at,
        "spec": order.spec.model_dump(mode="json"),
        "document": _STATUS.dump_python(status, mode="json"),
    }
    if row is None:
        session.add(JobRow(name=status.name, **facts))
        session.flush()
    else:
        row.sqlmodel_update(facts)
    _keep(session, status.name, order.manifests)


def read(session: Session, name: str) -> JobStatus | None:
    row = session.get(JobRow, name)
    return _STATUS.validate_python(row.document) if row else None


def page(session: Session, order: ListJobsInput) -> JobPage:
    """The newest first. Rows keep their place, so each is told once, however long the reading takes."""
    place = (col(JobRow.submitted_at), col(JobRow.name))
    query = select(JobRow).order_by(place[0].desc(), place[1].desc()).limit(order.at_most)
    if order.tenant:
        query = query.where(JobRow.tenant == order.tenant)
    if order.array:
        query = query.where(JobRow.array == order.array)
    if order.running is not None:
        query = query.where(col(JobRow.ended_at).is_(None) if order.running else col(JobRow.ended_at).is_not(None))
    if order.before and (last := session.get(JobRow, order.before)):
        query = query.where(tuple_(*place) < (last.submitted_at, last.name))
    rows = session.exec(query).all()
    told = tuple(_STATUS.validate_python(row.document) for row in rows)
    return JobPage(jobs=told, next=rows[-1].name if len(rows) == order.at_most else "")


def live_after(session: Session, after: CheckpointPlace | None, at_most: int) -> Sequence[tuple[CheckpointPlace, str]]:
    """So many manifests of jobs behind a place, with theirs."""
    place = (col(JobManifestRow.job), col(JobManifestRow.number))
    query = select(*place, col(JobManifestRow.manifest))
    if after is not None and is_job_record(after.workload):
        query = query.where(tuple_(*place) > (after.workload.removeprefix(job_record("")), after.sequence))
    return [
        (CheckpointPlace(workload=job_record(job), generation=0, sequence=number), manifest)
        for job, number, manifest in session.exec(query.order_by(*place).limit(at_most))
    ]


def forget(session: Session, job: str) -> None:
    """Nothing is kept for it any more."""
    for table, column in ((JobManifestRow, JobManifestRow.job), (JobRow, JobRow.name)):
        session.connection().execute(delete(table).where(col(column) == job))


def _keep(session: Session, job: str, manifests: Sequence[str]) -> None:
    session.connection().execute(delete(JobManifestRow).where(col(JobManifestRow.job) == job))
    for number, manifest in enumerate(dict.fromkeys(manifests)):
        session.add(JobManifestRow(job=job, number=number, manifest=manifest))
    session.flush()
