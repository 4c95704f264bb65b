"""Budgets: what is spent and reserved, and who may reserve more.

Whoever reserves locks the rows of the budgets that hold, then adds up: a second one waits for the first, and sees what
it has reserved. Where there is no budget there is nothing to wait for.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session, col, select

from holdfast.contracts.machines import InstanceState
from holdfast.contracts.money import Budget, BudgetWord, Scope, SetBudgetInput, Span, Standing, StandingsInput
from holdfast.contracts.names import is_pool_record
from holdfast.policy import budget, metering
from holdfast.policy.metering import Interval
from holdfast.records import meter, outbox
from holdfast.records.errors import BudgetExceeded
from holdfast.records.tables import BudgetRow, LeaseRow, WorkloadRow

_RUNS = (InstanceState.RUNNING, InstanceState.STARTING)


def set_budget(session: Session, order: SetBudgetInput, now: datetime) -> list[Standing]:
    """Replace a budget, or remove it. What is reserved already stays so until the next look."""
    put(session, order, now)
    rows = _locked(session, _is(order.scope, order.name))
    return [_standing(session, row, now) for row in rows if row.span == order.span.value]


def put(session: Session, order: SetBudgetInput, now: datetime) -> None:
    """The same, without asking how it stands."""
    row = session.get(BudgetRow, (order.scope.value, order.name, order.span.value), with_for_update=True)
    if row is not None and order.amount is None:
        session.delete(row)
    elif row is not None and order.amount is not None:
        row.amount, row.set_at = order.amount, now
    elif order.amount is not None:
        key = {"scope": order.scope.value, "name": order.name, "span": order.span.value}
        session.add(BudgetRow(**key, amount=order.amount, set_at=now))
    session.flush()


def read(session: Session, order: StandingsInput, now: datetime) -> list[Standing]:
    """How budgets stand: those that hold for a workload or a tenant, or all."""
    query = select(BudgetRow)
    conditions = []
    if order.workload is not None:
        conditions += [_is(Scope.SPEC, order.workload), _is(Scope.WORKLOAD, order.workload)]
    if order.tenant is not None:
        conditions.append(_is(Scope.TENANT, order.tenant))
    if conditions:
        query = query.where(or_(*conditions))
    rows = session.exec(query.order_by(col(BudgetRow.scope), col(BudgetRow.name), col(BudgetRow.span))).all()
    return [_standing(session, row, now) for row in rows]


def claim(session: Session, workload: WorkloadRow, intent: LeaseRow | None, now: datetime) -> None:
    """Reserve for the machine that is about to be rented, or, without an intent, for the one that is to run again.

    The workload's other machines are on their way out, and give back what they had reserved for later; a pool's stay.

    Raises:
        BudgetExceeded: a budget has not enough left.
    """
    standing_by = _open(session, workload)
    chosen = intent or (standing_by[-1] if standing_by else None)
    if chosen is None:
        return
    rows = _locked(session, _holding(workload.name, chosen.tenant))
    for row in standing_by:
        if row.label != chosen.label and not is_pool_record(workload.name):
            _leave(session, row, now)
    reservation = _reserve(session, chosen, rows, now, hourly=chosen.hourly)
    if not budget.allows_rent(reservation):
        raise BudgetExceeded(budget.refusal(reservation, hourly=chosen.hourly))


def keep(session: Session, workload: WorkloadRow, now: datetime) -> BudgetWord:
    """Move the reservation of the workload's machine on, as its meter says, and judge whether the work must end."""
    standing_by = _open(session, workload)
    if not standing_by:
        return BudgetWord(look_again_after=budget.LOOK_EVERY)
    if is_pool_record(workload.name):
        words = [_keep_one(session, workload, row, now) for row in standing_by]
        word = min(words, key=lambda word: (not word.used_up, word.look_again_after))
    else:
        *leaving, row = standing_by
        for each in leaving:
            _leave(session, each, now)
        word = _keep_one(session, workload, row, now)
    if word.used_up:
        outbox.budget_used_up(session, workload.name, workload.generation, word.used_up, now)
    return word


def _keep_one(session: Session, workload: WorkloadRow, row: LeaseRow, now: datetime) -> BudgetWord:
    rows = _locked(session, _holding(workload.name, row.tenant))
    intervals = meter.of(session, [row.label])[row.label]
    runs = not intervals or intervals[-1].state in _RUNS
    reservation = _reserve(session, row, rows, now, hourly=row.hourly if runs else intervals[-1].hourly)
    limit = reservation.limited_by
    ended = limit is not None and budget.is_used_up(reservation)
    return BudgetWord(
        # Pools are not told when a budget is set.
        look_again_after=budget.look_again_after(reservation, limited=bool(rows) or is_pool_record(workload.name)),
        used_up=budget.used_up(limit.budget) if limit is not None and ended else "",
    )


def _reserve(
    session: Session, row: LeaseRow, rows: Sequence[BudgetRow], now: datetime, *, hourly: Decimal
) -> budget.Reservation:
    session.flush()
    so_far = metering.cost(meter.of(session, [row.label])[row.label], now=now)
    held = max(row.reserved - so_far, Decimal(0))
    standings = [_standing(session, each, now) for each in rows]
    reservation = budget.reserve(standings, hourly=hourly, held=held)
    row.reserved = so_far + reservation.ahead
    session.flush()
    return reservation


def _leave(session: Session, row: LeaseRow, now: datetime) -> None:
    """A machine that is being let go reserves no more than what it takes to go."""
    so_far = metering.cost(meter.of(session, [row.label])[row.label], now=now)
    row.reserved = min(row.reserved, so_far + budget.price_of(budget.TICK, hourly=row.hourly))


def _open(session: Session, workload: WorkloadRow) -> Sequence[LeaseRow]:
    """The workload's machines, the newest last: that one holds the work, or is going to."""
    query = select(LeaseRow).where(
        LeaseRow.workload == workload.name,
        LeaseRow.generation == workload.generation,
        col(LeaseRow.closed_at).is_(None),
    )
    return session.exec(query.order_by(col(LeaseRow.epoch))).all()


def _holding(workload: str, tenant: str) -> ColumnElement[bool]:
    return or_(_is(Scope.SPEC, workload), _is(Scope.WORKLOAD, workload), _is(Scope.TENANT, tenant))


def _is(scope: Scope, name: str) -> ColumnElement[bool]:
    return and_(col(BudgetRow.scope) == scope.value, col(BudgetRow.name) == name)


def _locked(session: Session, which: ColumnElement[bool]) -> Sequence[BudgetRow]:
    """In one order for everybody, so that no two wait for each other."""
    query = select(BudgetRow).where(which)
    query = query.order_by(col(BudgetRow.scope), col(BudgetRow.name), col(BudgetRow.span)).with_for_update()
    return session.exec(query, execution_options={"populate_existing": True}).all()


def _standing(session: Session, row: BudgetRow, now: datetime) -> Standing:
    limit = Budget(scope=Scope(row.scope), name=row.name, span=Span(row.span), amount=row.amount)
    begin = None if limit.span is Span.TOTAL else now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = _lines(session, limit, begin)
    meters = meter.of(session, [line.label for line in lines if line.closed_at is None or begin is not None])
    return Standing(
        budget=limit,
        spent=sum((_spent(line, meters.get(line.label, []), begin, now) for line in lines), Decimal(0)),
        reserved=sum((_ahead(line, meters.get(line.label, []), now) for line in lines), Decimal(0)),
    )


def _lines(session: Session, limit: Budget, begin: datetime | None) -> Iterable[LeaseRow]:
    if limit.scope is Scope.TENANT:
        query = select(LeaseRow).where(LeaseRow.tenant == limit.name)
    else:
        newest = select(WorkloadRow.generation).where(WorkloadRow.name == limit.name).scalar_subquery()
        query = select(LeaseRow).where(LeaseRow.workload == limit.name, col(LeaseRow.generation) == newest)
    if begin is not None:
        query = query.where(or_(col(LeaseRow.closed_at).is_(None), col(LeaseRow.closed_at) >= begin))
    return session.exec(query).all()


def _spent(line: LeaseRow, intervals: Iterable[Interval], begin: datetime | None, now: datetime) -> Decimal:
    if begin is None and line.cost is not None:
        return line.cost
    return metering.cost(intervals, now=now, since=begin)


def _ahead(line: LeaseRow, intervals: Iterable[Interval], now: datetime) -> Decimal:
    if line.closed_at is not None:
        return Decimal(0)
    return max(line.reserved - metering.cost(intervals, now=now), Decimal(0))
