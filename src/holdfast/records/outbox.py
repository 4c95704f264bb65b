"""The outbox of notifications: each is written in the transaction that records its event, or not at all.

An event has one id, made of what it is about, so that recording it twice tells it once. Delivery is at least once: who
claims a notification and dies leaves it to whoever looks after `CLAIMED_FOR`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from holdfast.contracts.incidents import Incident
from holdfast.contracts.notifications import Kind, ListNotificationsInput, Notification
from holdfast.contracts.sweeping import Finding
from holdfast.policy.delivering import GIVEN_UP_AFTER, KEPT
from holdfast.records.tables import GenerationRow, NotificationRow

CLAIMED_FOR = timedelta(minutes=1)


def incident(session: Session, told: Incident, generation: int, now: datetime) -> None:
    """A loss when it is first recorded, and the recovery when it is over."""
    about = f"{told.workload}.g{generation}.e{told.epoch_lost}"
    facts = {
        "workload": told.workload,
        "epoch_lost": told.epoch_lost,
        "cause": told.cause.value,
        "reason": told.reason,
        "silent_since": told.silent_since.isoformat(),
    }
    put(session, f"{about}.lost", Kind.LOST, facts, now)
    if told.recovered_at is not None:
        facts |= {
            "epoch_gained": told.epoch_gained,
            "strategy": told.strategy,
            "recovered_at": told.recovered_at.isoformat(),
            "recovery_time": _seconds(told.recovery_time),
            "work_lost": _seconds(told.work_lost),
            "cost": str(told.cost),
        }
        put(session, f"{about}.recovered", Kind.RECOVERED, facts, now)


def ended(session: Session, generation: GenerationRow, now: datetime) -> None:
    """A workload is over, as is written on its row."""
    facts = {"workload": generation.workload, "phase": generation.phase, "reason": generation.reason}
    put(session, f"{generation.workload}.g{generation.number}.ended", Kind.ENDED, facts, now)


def budget_used_up(session: Session, workload: str, generation: int, reason: str, now: datetime) -> None:
    """A budget ends the work of a workload, or a pool's keeping."""
    facts = {"workload": workload, "reason": reason}
    put(session, f"{workload}.g{generation}.budget", Kind.BUDGET_USED_UP, facts, now)


def stranger_ended(session: Session, finding: Finding, now: datetime) -> None:
    """A sweep is about to end a machine that nobody owned."""
    facts = {
        "provider": finding.provider,
        "instance_id": finding.instance_id,
        "label": finding.label,
        "hourly": None if finding.hourly is None else str(finding.hourly),
        "reason": finding.reason,
    }
    about = f"{finding.provider}.{finding.instance_id}.{finding.label}.stranger"
    put(session, about, Kind.STRANGER_ENDED, facts, now)


def put(session: Session, event_id: str, kind: Kind, document: Mapping[str, Any], now: datetime) -> None:
    """Once for each id, whatever is told later."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "event_id": event_id,
        "kind": kind.value,
        "document": dict(document),
        "made_at": now,
        "tries": 0,
        "next_at": now,
        "last_error": "",
    }
    session.connection().execute(insert(NotificationRow).values(**values).on_conflict_do_nothing())


def due(session: Session, now: datetime, *, at_most: int) -> list[Notification]:
    """Those to be tried now, in the order of their events."""
    query = select(NotificationRow).where(
        *_open(), col(NotificationRow.next_at) <= now, col(NotificationRow.made_at) > now - GIVEN_UP_AFTER
    )
    return [_told(row) for row in session.exec(query.order_by(col(NotificationRow.number)).limit(at_most))]


def claim(session: Session, told: Notification, now: datetime) -> bool:
    """Whether it is ours to try. Nobody else gets it for a minute."""
    claimed = session.connection().execute(
        update(NotificationRow)
        .where(col(NotificationRow.number) == told.number, *_open(), col(NotificationRow.next_at) == told.next_at)
        .values(next_at=now + CLAIMED_FOR, tries=NotificationRow.tries + 1)
    )
    return bool(claimed.rowcount)


def settle(session: Session, number: int, now: datetime, *, error: str, next_at: datetime | None) -> None:
    """What came of a try. No error: it is delivered. No next time: it is given up."""
    row = session.get_one(NotificationRow, number)
    row.last_error = error
    if not error:
        row.delivered_at = now
    elif next_at is None:
        row.given_up_at = now
    else:
        row.next_at = next_at


def prune(session: Session, now: datetime) -> None:
    """Give up what nobody took in a day, and forget what was made a month ago."""
    session.connection().execute(
        update(NotificationRow)
        .where(*_open(), col(NotificationRow.made_at) <= now - GIVEN_UP_AFTER)
        .values(given_up_at=now)
    )
    session.connection().execute(delete(NotificationRow).where(col(NotificationRow.made_at) < now - KEPT))


def newest(session: Session, order: ListNotificationsInput) -> list[Notification]:
    """The newest first."""
    query = select(NotificationRow).order_by(col(NotificationRow.number).desc()).limit(order.at_most)
    return [_told(row) for row in session.exec(query)]


def _open() -> tuple[Any, ...]:
    return col(NotificationRow.delivered_at).is_(None), col(NotificationRow.given_up_at).is_(None)


def _told(row: NotificationRow) -> Notification:
    assert row.number is not None, "the database has numbered it"
    return Notification(
        number=row.number,
        event_id=row.event_id,
        kind=row.kind,
        document=row.document,
        made_at=row.made_at,
        tries=row.tries,
        next_at=row.next_at,
        delivered_at=row.delivered_at,
        given_up_at=row.given_up_at,
        last_error=row.last_error,
    )


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
