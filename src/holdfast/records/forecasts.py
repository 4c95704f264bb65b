"""Forecasts of prices: which are due, what they are made from, and the newest of each series."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, delete
from sqlalchemy import select as columns
from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from holdfast.contracts.forecasts import (
    ForecastAnswer,
    ForecastKey,
    HourlyPrices,
    LeadForecast,
    ListForecastsInput,
    PriceAhead,
    RecordedForecast,
)
from holdfast.contracts.machines import Terms
from holdfast.contracts.market import Basis
from holdfast.policy.price_ahead import expected_change
from holdfast.records.tables import ForecastRow, PriceRow

HOUR: Final = timedelta(hours=1)
LEARNT_FROM: Final = 672
"""Hours of history, at most: four weeks."""
ENOUGH: Final = 24
"""Prices below which nothing could be said."""
NEW: Final = timedelta(hours=24)
"""A price that is older is nothing that has just come."""
DUE_AT_ONCE: Final = 480
"""Series in one plan; the others have their turn after the next survey."""
TOLD: Final = 500
_KEY: Final = tuple(each.name for each in fields(ForecastKey))
_LEADS: Final = TypeAdapter(tuple[LeadForecast, ...])


def due(session: Session, at: datetime) -> list[ForecastKey]:
    """Series with a price that their forecast does not know, those first that waited longest."""
    newest = (
        columns(col(PriceRow.gpu), col(PriceRow.provider), col(PriceRow.kind), func.max(PriceRow.at))
        .where(col(PriceRow.at) > at - NEW, *_hourly())
        .group_by(col(PriceRow.gpu), col(PriceRow.provider), col(PriceRow.kind))
    )
    known = {_key(row): row.known_until for row in session.exec(select(ForecastRow))}
    waited: list[tuple[bool, datetime, str, ForecastKey]] = []
    for gpu, provider, kind, last in session.connection().execute(newest):
        key = ForecastKey(gpu=gpu, provider=provider, kind=Terms(kind))
        until = known.get(key)
        if (until is None or last > until) and _is_enough(session, key, last):
            waited.append((until is not None, until or last, str(key), key))
    return [key for *_, key in sorted(waited, key=lambda each: each[:3])][:DUE_AT_ONCE]


def _hourly() -> tuple[ColumnElement[bool], ...]:
    """Prices that a forecast is made from: asked for, of a provider as a whole, of an hour or less, believed."""
    return (
        col(PriceRow.region) == "",
        col(PriceRow.basis) == Basis.ASKED.value,
        col(PriceRow.span) <= HOUR,
        ~col(PriceRow.held),
    )


def _of(key: ForecastKey, last: datetime) -> SelectOfScalar[PriceRow]:
    return select(PriceRow).where(
        PriceRow.gpu == key.gpu,
        PriceRow.provider == key.provider,
        PriceRow.kind == key.kind.value,
        col(PriceRow.at) > last - LEARNT_FROM * HOUR,
        *_hourly(),
    )


def _is_enough(session: Session, key: ForecastKey, last: datetime) -> bool:
    few = _of(key, last).limit(ENOUGH).subquery()
    return session.exec(select(func.count()).select_from(few)).one() >= ENOUGH


def hourly(session: Session, keys: Iterable[ForecastKey]) -> list[HourlyPrices]:
    """The last four weeks of each, up to its newest price; nothing of one without a price."""
    return [found for key in keys if (found := _history(session, key)) is not None]


def _history(session: Session, key: ForecastKey) -> HourlyPrices | None:
    newest = select(func.max(PriceRow.at)).where(
        PriceRow.gpu == key.gpu, PriceRow.provider == key.provider, PriceRow.kind == key.kind.value, *_hourly()
    )
    last = session.exec(newest).first()
    if last is None:
        return None
    cells: dict[datetime, float] = {}
    for row in session.exec(_of(key, last).order_by(col(PriceRow.at))):
        cells[_ends(row.at)] = float(row.minimum)  # of several in one hour the last
    first, until = min(cells), max(cells)
    prices = [cells.get(first + number * HOUR) for number in range((until - first) // HOUR + 1)]
    runs = tuple((len(list(same)), price) for price, same in groupby(prices))
    return HourlyPrices(key=key, first=first, runs=runs)


def _ends(at: datetime) -> datetime:
    """The end of the hour (t - 1 h, t] that a moment lies in."""
    whole = at.replace(minute=0, second=0, microsecond=0)
    return whole if whole == at else whole + HOUR


def record(session: Session, made: Iterable[RecordedForecast]) -> int:
    """Replace the forecast of each series; one that knows less than what is on record changes nothing."""
    written = 0
    for each in made:
        row = session.get(ForecastRow, tuple(_columns(each.key).values()))
        if row is not None and (row.known_until, row.made_at) >= (each.known_until, each.made_at):
            continue
        session.merge(
            ForecastRow(
                **_columns(each.key),
                made_at=each.made_at,
                known_until=each.known_until,
                answer=each.answer.value,
                why=each.why,
                last=each.last,
                alarm=each.alarm,
                leads=_LEADS.dump_python(each.leads, mode="json"),
            )
        )
        written += 1
    session.flush()
    return written


def read(session: Session, order: ListForecastsInput) -> list[RecordedForecast]:
    """By GPU, provider and kind; some of many."""
    query = select(ForecastRow)
    if order.gpus:
        query = query.where(col(ForecastRow.gpu).in_(order.gpus))
    rows = session.exec(query.order_by(*(col(getattr(ForecastRow, name)) for name in _KEY)).limit(TOLD))
    return [_forecast(row) for row in rows]


def ahead(session: Session, gpus: tuple[str, ...], *, since: datetime) -> list[PriceAhead]:
    """What is expected of these GPUs' prices, by forecasts that know prices since then, where it is a change."""
    query = select(ForecastRow).where(
        col(ForecastRow.gpu).in_(gpus),
        col(ForecastRow.known_until) >= since,
        ForecastRow.answer == ForecastAnswer.SKILL.value,
        ForecastRow.measure == "min",
    )
    found = [
        PriceAhead(provider=row.provider, gpu=row.gpu, kind=Terms(row.kind), change=change)
        for row in session.exec(query)
        if (change := expected_change(_forecast(row)))
    ]
    return sorted(found, key=lambda each: (each.provider, each.gpu, each.kind))


def forget(session: Session, before: datetime) -> None:
    """Drop the forecasts of series that nobody has seen since."""
    session.connection().execute(delete(ForecastRow).where(col(ForecastRow.known_until) < before))


def _columns(key: ForecastKey) -> dict[str, str]:
    return {name: str(getattr(key, name)) for name in _KEY}


def _key(row: ForecastRow) -> ForecastKey:
    told = {name: getattr(row, name) for name in _KEY}
    return ForecastKey(**{**told, "kind": Terms(row.kind)})


def _forecast(row: ForecastRow) -> RecordedForecast:
    return RecordedForecast(
        key=_key(row),
        made_at=row.made_at,
        known_until=row.known_until,
        answer=ForecastAnswer(row.answer),
        why=row.why,
        last=row.last,
        leads=_LEADS.validate_python(row.leads),
        alarm=row.alarm,
    )
