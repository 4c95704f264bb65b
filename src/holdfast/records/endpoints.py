"""Endpoints: what gateways know of them, which one has a deployment's traffic, and how each wake went."""

from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlmodel import Session, col, select

from holdfast.contracts.activities import ReadWakesInput, RecordEndpointInput, ShiftTrafficInput
from holdfast.contracts.endpoints import EndpointCard, EndpointSpec, Wake
from holdfast.records.tables import DeploymentRow, EndpointRow, WakeRow

_WAKE: TypeAdapter[Wake] = TypeAdapter(Wake)
_SHA256 = "sha256"


def record(session: Session, order: RecordEndpointInput) -> None:
    """Keep these words of it, instead of those before; one that was closed is open again."""
    facts: dict[str, Any] = {
        "spec": order.spec.model_dump(mode="json"),
        "token_hashes": {_SHA256: list(order.token_hashes)},
        "set_at": order.at,
        "closed_at": None,
        "deployment": order.deployment or None,
    }
    row = session.get(EndpointRow, order.spec.name, with_for_update=True)
    if row is None:
        session.add(EndpointRow(name=order.spec.name, **facts))
    elif row.set_at <= order.at:  # what is late is not the newest
        row.sqlmodel_update(facts)


def close(session: Session, name: str, now: datetime) -> None:
    row = session.get(EndpointRow, name, with_for_update=True)
    if row is not None and row.closed_at is None:
        row.closed_at = now


def shift(session: Session, order: ShiftTrafficInput) -> None:
    """The deployment's name leads there from now on; what is late changes nothing."""
    row = session.get(DeploymentRow, order.deployment, with_for_update=True)
    if row is None:
        session.add(DeploymentRow(name=order.deployment, endpoint=order.endpoint, set_at=order.at))
    elif row.set_at <= order.at:
        row.endpoint, row.set_at, row.closed_at = order.endpoint, order.at, None


def close_deployment(session: Session, name: str, now: datetime) -> None:
    row = session.get(DeploymentRow, name, with_for_update=True)
    if row is not None and row.closed_at is None:
        row.closed_at = now


def cards(session: Session) -> list[EndpointCard]:
    """Those that are open, by name; of a deployment's only the one that its name leads to."""
    open_ones = select(DeploymentRow).where(col(DeploymentRow.closed_at).is_(None))
    leads_to = {row.name: row.endpoint for row in session.exec(open_ones)}
    query = select(EndpointRow).where(col(EndpointRow.closed_at).is_(None)).order_by(col(EndpointRow.name))
    return [
        _card(row) for row in session.exec(query) if row.deployment is None or leads_to.get(row.deployment) == row.name
    ]


def record_wake(session: Session, wake: Wake) -> None:
    """The same wake again changes nothing."""
    if session.get(WakeRow, (wake.replica, wake.asked_at)) is None:
        document = _WAKE.dump_python(wake, mode="json")
        session.add(WakeRow(replica=wake.replica, asked_at=wake.asked_at, endpoint=wake.endpoint, document=document))


def read_wakes(session: Session, order: ReadWakesInput) -> list[Wake]:
    """The newest, oldest first."""
    mine = select(WakeRow.document).where(WakeRow.endpoint == order.endpoint)
    found = session.exec(mine.order_by(col(WakeRow.asked_at).desc()).limit(order.newest)).all()
    return [_WAKE.validate_python(document) for document in reversed(found)]


def _card(row: EndpointRow) -> EndpointCard:
    spec = EndpointSpec.model_validate(row.spec)
    return EndpointCard(
        name=spec.name,
        models=spec.models,
        token_hashes=tuple(row.token_hashes[_SHA256]),
        door=spec.door,
        aliases=(row.deployment,) if row.deployment else (),
    )
