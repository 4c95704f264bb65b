"""Registered models: names are for ever, versions rise, and the same content is the same version."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Insert, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from holdfast.contracts.activities import CheckpointPlace
from holdfast.contracts.models import (
    AddModelInput,
    FindModelInput,
    ListModelsInput,
    ModelFile,
    ModelKey,
    ModelKind,
    ModelNeeds,
    ModelVersion,
)
from holdfast.contracts.names import is_model_record, model_record
from holdfast.contracts.training import Lineage
from holdfast.records.errors import UnknownModel
from holdfast.records.tables import ModelRow, ModelVersionRow

_NEEDS: TypeAdapter[ModelNeeds] = TypeAdapter(ModelNeeds)
_LINEAGE: TypeAdapter[Lineage] = TypeAdapter(Lineage)


def add(session: Session, order: AddModelInput, now: datetime) -> ModelVersion:
    """Give stored files a version, unless a living one has the same content: then that one is told.

    What a person states replaces what is on record of the same content; its source stays the first one.
    """
    model = _locked(session, order.name, now)
    known = session.exec(_living(order.name).where(ModelVersionRow.digest == order.stored.digest)).first()
    if known is not None:
        _restate(known, order)
        session.flush()
        return _told(known)
    model.newest += 1
    row = _row(model, order, now)
    session.add(row)
    session.flush()
    return _told(row)


def find(session: Session, order: FindModelInput) -> ModelVersion | None:
    """The newest living version that came from this very revision of this source."""
    query = _living(order.name).where(
        ModelVersionRow.source == order.source, ModelVersionRow.revision == order.revision
    )
    row = session.exec(query.order_by(col(ModelVersionRow.version).desc())).first()
    return _told(row) if row else None


def read(session: Session, key: ModelKey) -> ModelVersion | None:
    """One version with its files, also when it was removed; without a number the newest living one."""
    if key.version is None:
        row = session.exec(_living(key.name).order_by(col(ModelVersionRow.version).desc())).first()
    else:
        row = session.get(ModelVersionRow, (key.name, key.version))
    return replace(_told(row), contents=_contents(row)) if row else None


def listed(session: Session, order: ListModelsInput) -> list[ModelVersion]:
    """Versions without their files, by name and number."""
    query = select(ModelVersionRow).order_by(col(ModelVersionRow.name), col(ModelVersionRow.version))
    if order.name:
        query = query.where(ModelVersionRow.name == order.name)
    if not order.retired:
        query = query.where(col(ModelVersionRow.retired_at).is_(None))
    return [_told(row) for row in session.exec(query)]


def retire(session: Session, key: ModelKey, now: datetime) -> list[ModelVersion]:
    """Take a version, or all, out of use; its bytes may be collected from now on. Returns those retired by this call.

    Raises:
        UnknownModel: there is none to retire.
    """
    query = _living(key.name)
    if key.version is not None:
        query = query.where(ModelVersionRow.version == key.version)
    found = session.exec(query.order_by(col(ModelVersionRow.version))).all()
    if not found:
        which = "" if key.version is None else f" version {key.version}"
        raise UnknownModel(f"there is no model {key.name!r}{which}")
    for row in found:
        row.retired_at = now
    return [_told(row) for row in found]


def live_manifests(session: Session) -> Sequence[str]:
    """The manifests of all that is registered: what garbage collection must spare."""
    return session.exec(select(ModelVersionRow.manifest).where(col(ModelVersionRow.retired_at).is_(None))).all()


def live_after(session: Session, after: CheckpointPlace | None, at_most: int) -> Sequence[tuple[CheckpointPlace, str]]:
    """So many of them behind a place, with theirs: under a model's name in the store, at its version."""
    place = (col(ModelVersionRow.name), col(ModelVersionRow.version))
    query = select(*place, col(ModelVersionRow.manifest)).where(col(ModelVersionRow.retired_at).is_(None))
    if after is not None and is_model_record(after.workload):
        query = query.where(tuple_(*place) > (after.workload.removeprefix(model_record("")), after.sequence))
    return [
        (CheckpointPlace(workload=model_record(name), generation=0, sequence=version), manifest)
        for name, version, manifest in session.exec(query.order_by(*place).limit(at_most))
    ]


def _living(name: str) -> SelectOfScalar[ModelVersionRow]:
    return select(ModelVersionRow).where(ModelVersionRow.name == name, col(ModelVersionRow.retired_at).is_(None))


def _locked(session: Session, name: str, now: datetime) -> ModelRow:
    session.connection().execute(_insert_new(session, name, now))
    query = select(ModelRow).where(ModelRow.name == name).with_for_update()
    return session.exec(query, execution_options={"populate_existing": True}).one()


def _insert_new(session: Session, name: str, now: datetime) -> Insert:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(ModelRow).values(name=name, newest=0, since=now).on_conflict_do_nothing()


def _restate(row: ModelVersionRow, order: AddModelInput) -> None:
    if order.kind_stated:
        row.kind = order.stored.kind.value
    if order.licence:
        row.licence = order.licence
    if order.stored.needs.stated_bytes is not None:
        row.needs = {**row.needs, "stated_bytes": order.stored.needs.stated_bytes}


def _row(model: ModelRow, order: AddModelInput, now: datetime) -> ModelVersionRow:
    stored = order.stored
    return ModelVersionRow(
        name=model.name,
        version=model.newest,
        kind=stored.kind.value,
        source=order.source,
        revision=order.revision,
        licence=order.licence or stored.licence,
        gated=order.gated,
        digest=stored.digest,
        manifest=stored.manifest,
        files=len(stored.files),
        bytes_total=sum(each.size for each in stored.files),
        needs=_NEEDS.dump_python(stored.needs, mode="json"),
        contents=[[each.path, each.size, each.sha256] for each in stored.files],
        lineage=None if order.lineage is None else _LINEAGE.dump_python(order.lineage, mode="json"),
        registered_at=now,
    )


def _told(row: ModelVersionRow) -> ModelVersion:
    return ModelVersion(
        name=row.name,
        version=row.version,
        kind=ModelKind(row.kind),
        source=row.source,
        revision=row.revision,
        licence=row.licence,
        gated=row.gated,
        digest=row.digest,
        manifest=row.manifest,
        files=row.files,
        bytes_total=row.bytes_total,
        needs=_NEEDS.validate_python(row.needs),
        registered_at=row.registered_at,
        retired_at=row.retired_at,
        lineage=None if row.lineage is None else _LINEAGE.validate_python(row.lineage),
    )


def _contents(row: ModelVersionRow) -> tuple[ModelFile, ...]:
    return tuple(ModelFile(path=path, size=size, sha256=sha256) for path, size, sha256 in row.contents)
