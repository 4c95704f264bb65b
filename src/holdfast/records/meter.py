"""The meter: in which state each machine was, since when, and at which rate."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from sqlmodel import Session, col, select

from holdfast.contracts.machines import InstanceState
from holdfast.policy.metering import Interval
from holdfast.records.tables import MeterRow

_AT_ONCE = 500  # labels in one question: a database takes only so many values with a statement


def turn(session: Session, label: str, state: InstanceState, hourly: Decimal, at: datetime) -> None:
    """From `at` on, this state at this rate. What is not newer than what is known corrects its rate, or is dropped."""
    last = _last(session, label)
    if last is not None and last.state == state.value and (last.hourly == hourly or at <= last.since):
        last.hourly = hourly
        return
    if last is not None and _began_unheard(last, state, at):
        last.state, last.hourly, last.since = state.value, hourly, at
        return
    if last is not None and (at < last.since or last.until is not None):
        return
    if last is not None:
        last.until = at
    session.add(
        MeterRow(label=label, number=last.number + 1 if last else 1, state=state.value, hourly=hourly, since=at)
    )
    session.flush()


def stop(session: Session, label: str, at: datetime) -> None:
    """The machine is gone, and nothing more is charged. The first stop stands."""
    last = _last(session, label)
    if last is not None and last.until is None:
        last.until = max(at, last.since)
        session.flush()


def never_ran(session: Session, label: str) -> bool:
    """As far as was heard, it was starting all the time."""
    last = _last(session, label)
    return last is not None and last.number == 1 and last.state == InstanceState.STARTING.value


def of(session: Session, labels: Iterable[str]) -> dict[str, list[Interval]]:
    """The intervals of these machines, oldest first; empty for one that was never launched."""
    wanted = sorted(set(labels))
    found: dict[str, list[Interval]] = defaultdict(list)
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(MeterRow).where(col(MeterRow.label).in_(wanted[start : start + _AT_ONCE]))
        for row in session.exec(query.order_by(col(MeterRow.label), col(MeterRow.number))):
            found[row.label].append(_interval(row))
    return found


def _began_unheard(first: MeterRow, state: InstanceState, at: datetime) -> bool:
    """A machine that was adopted ran before we heard of it, and was charged for."""
    only = first.number == 1 and first.until is None
    return only and first.state == InstanceState.STARTING.value and state is InstanceState.RUNNING and at < first.since


def _last(session: Session, label: str) -> MeterRow | None:
    query = select(MeterRow).where(MeterRow.label == label).order_by(col(MeterRow.number).desc()).limit(1)
    return session.exec(query).first()


def _interval(row: MeterRow) -> Interval:
    return Interval(state=InstanceState(row.state), hourly=row.hourly, since=row.since, until=row.until)
