"""Prices: points of series, written once for each bucket of time, judged, thinned and read in pages."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, case, delete, tuple_
from sqlalchemy import select as columns
from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from holdfast.contracts.machines import Terms
from holdfast.contracts.market import (
    Asking,
    AskingsInput,
    Basis,
    ListPricesInput,
    MarketPoint,
    PlanSurveyInput,
    PointPlace,
    PricedSeries,
    PricePage,
    PricesInput,
    PriceSource,
    RecordedPrices,
    RecordPricesInput,
    SurveyPlan,
    ThinInput,
    Thinned,
)
from holdfast.policy import pricing
from holdfast.policy.pricing import A_DAY, SeriesKey
from holdfast.policy.quarantine import LOOKED_BACK, STALE, judge
from holdfast.records.tables import LeaseRow, PriceRow, SurveyRow

POINTS_TOLD = 1200
"""In one page; a point has some 300 bytes."""
ASKINGS_TOLD = 2000
SERIES_TOLD = 2500
NEAR = 2 * LOOKED_BACK
"""Points before one that is judged: enough of them are trusted."""
THINNED_AT_ONCE = 5_000
"""After so many points no other day is begun in one run; the next one goes on."""
FEED_EVERY = timedelta(hours=24)
FEED_LOOKED_BACK = timedelta(days=30)
"""How far back a feed is read that was never read before."""
WATCHED_FOR = timedelta(days=60)
"""A GPU that was rented since then is watched."""
_PLACE = (
    col(PriceRow.gpu),
    col(PriceRow.provider),
    col(PriceRow.region),
    col(PriceRow.kind),
    col(PriceRow.basis),
    col(PriceRow.at),
)
_IS_OURS = col(PriceRow.source) != PriceSource.IMPORT.value
_FACTS = tuple(each.name for each in fields(MarketPoint) if each.name != "held")


# --- writing -----------------------------------------------------------------------------------------------------


@dataclass
class _Tally:
    new: int = 0
    changed: int = 0
    known: int = 0
    kept: int = 0
    held: int = 0
    confirmed: int = 0


@dataclass
class _Series:
    """One series while points are written to it: what lies near them, in order."""

    rows: dict[datetime, PriceRow]
    points: dict[datetime, MarketPoint]  # the same, read once
    times: list[datetime]  # of both, in order
    doubted: set[datetime] = field(default_factory=set)  # held back just now

    @classmethod
    def of(cls, rows: Iterable[PriceRow]) -> Self:
        found = {row.at: row for row in rows}
        return cls(found, {at: _point(row) for at, row in found.items()}, sorted(found))

    def before(self, at: datetime) -> list[MarketPoint]:
        end = bisect_left(self.times, at)
        return [self.points[each] for each in self.times[max(end - NEAR, 0) : end]]

    def put(self, row: PriceRow, point: MarketPoint) -> None:
        if point.at not in self.rows:
            insort(self.times, point.at)
        self.rows[point.at], self.points[point.at] = row, point

    def free(self, at: datetime) -> None:
        """The point that was held back counts."""
        self.rows[at].held = False
        self.points[at] = replace(self.points[at], held=False)


def record(session: Session, order: RecordPricesInput) -> RecordedPrices:
    """Write each point unless a survey of ours has seen its bucket and it is somebody else's."""
    tally = _Tally()
    if order.asking is not None:
        _record_asking(session, order.asking)
    for key, points in pricing.by_series(order.points).items():
        series = _near(session, key, points[0].at, points[-1].at)
        for point in points:
            _write(session, series, point, tally)
    session.flush()
    return RecordedPrices(**vars(tally))


def _near(session: Session, key: SeriesKey, first: datetime, last: datetime) -> _Series:
    """The buckets that are written to, and what says what was usual before them."""
    mine = _of_series(key)
    theirs = session.exec(mine.where(col(PriceRow.at) >= first, col(PriceRow.at) <= last)).all()
    before = mine.where(col(PriceRow.at) >= first - STALE, col(PriceRow.at) < first)
    usual = session.exec(before.order_by(col(PriceRow.at).desc()).limit(NEAR)).all()
    return _Series.of([*usual, *theirs])


def _of_series(key: SeriesKey) -> SelectOfScalar[PriceRow]:
    gpu, provider, region, kind, basis = key
    return select(PriceRow).where(
        PriceRow.gpu == gpu,
        PriceRow.provider == provider,
        PriceRow.region == region,
        PriceRow.kind == kind.value,
        PriceRow.basis == basis.value,
    )


def _write(session: Session, series: _Series, point: MarketPoint, tally: _Tally) -> None:
    row = series.rows.get(point.at)
    if row is not None and row.source == PriceSource.SURVEY and point.source is not PriceSource.SURVEY:
        tally.kept += 1
        return
    if row is not None and _same(series.points[point.at], point):
        tally.known += 1
        return
    before = series.before(point.at)
    verdict = judge(point, before)
    if verdict.confirms:
        series.free(before[-1].at)
        if before[-1].at in series.doubted:
            series.doubted.remove(before[-1].at)
            tally.held -= 1
        else:
            tally.confirmed += 1
    judged = replace(point, held=verdict.held)
    if row is None:
        row = _row(judged)
        session.add(row)
        tally.new += 1
    else:
        _put(row, judged)
        tally.changed += 1
    series.put(row, judged)
    if verdict.held:
        series.doubted.add(point.at)
        tally.held += 1


def _same(one: MarketPoint, other: MarketPoint) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in _FACTS)


def _record_asking(session: Session, asking: Asking) -> None:
    """The newest answer in a bucket stands; a failure does not undo an answer."""
    row = session.get(SurveyRow, (asking.provider, asking.source.value, asking.at))
    if row is None:
        session.add(SurveyRow(**{**_columns(asking), "source": asking.source.value}))
    elif asking.answered or not row.answered:
        row.answered, row.offers, row.detail, row.span = asking.answered, asking.offers, asking.detail, asking.span


def _columns(contract: Asking | MarketPoint) -> dict[str, Any]:
    return {each.name: getattr(contract, each.name) for each in fields(contract)}


def _row(point: MarketPoint) -> PriceRow:
    return PriceRow(
        **{
            **_columns(point),
            "kind": point.kind.value,
            "basis": point.basis.value,
            "source": point.source.value,
        }
    )


def _put(row: PriceRow, point: MarketPoint) -> None:
    for name in ("minimum", "median", "p10", "p25", "p75", "p90", "offers", "span", "held"):
        setattr(row, name, getattr(point, name))
    row.source = point.source.value


# --- reading -----------------------------------------------------------------------------------------------------


def page(session: Session, order: PricesInput) -> PricePage:
    query = select(PriceRow).where(col(PriceRow.held) == order.held)
    for column, wanted in (
        (PriceRow.gpu, order.gpus),
        (PriceRow.provider, order.providers),
        (PriceRow.region, order.regions),
        (PriceRow.kind, tuple(each.value for each in order.kinds)),
        (PriceRow.basis, (order.basis.value,) if order.basis else ()),
    ):
        if wanted:
            query = query.where(col(column).in_(wanted))
    if order.since is not None:
        query = query.where(col(PriceRow.at) >= order.since)
    if order.until is not None:
        query = query.where(col(PriceRow.at) < order.until)
    if (last := order.after) is not None:
        place = (last.gpu, last.provider, last.region, last.kind.value, last.basis.value, last.at)
        query = query.where(tuple_(*_PLACE) > place)
    rows = session.exec(query.order_by(*_PLACE).limit(POINTS_TOLD)).all()
    points = tuple(_point(row) for row in rows)
    return PricePage(points=points, next=_place(points[-1]) if len(rows) == POINTS_TOLD else None)


def _place(point: MarketPoint) -> PointPlace:
    return PointPlace(
        gpu=point.gpu,
        provider=point.provider,
        region=point.region,
        kind=point.kind,
        basis=point.basis,
        at=point.at,
    )


def _point(row: PriceRow) -> MarketPoint:
    told = {each.name: getattr(row, each.name) for each in fields(MarketPoint)}
    return MarketPoint(
        **{**told, "kind": Terms(row.kind), "basis": Basis(row.basis), "source": PriceSource(row.source)}
    )


def series(session: Session, order: ListPricesInput) -> list[PricedSeries]:
    """Every series on record, by GPU, provider, region, kind and basis."""
    key = _PLACE[:-1]
    held = func.sum(case((col(PriceRow.held), 1), else_=0))
    span = (func.min(PriceRow.at), func.max(PriceRow.at))
    query = columns(*key, func.count(), held, *span).group_by(*key).order_by(*key).limit(SERIES_TOLD)
    if order.provider:
        query = query.where(col(PriceRow.provider) == order.provider)
    return [
        PricedSeries(
            gpu=gpu,
            provider=provider,
            region=region,
            kind=Terms(kind),
            basis=Basis(basis),
            points=count - int(kept),
            held=int(kept),
            first=first,
            last=last,
        )
        for gpu, provider, region, kind, basis, count, kept, first, last in session.connection().execute(query)
    ]


def gpus(session: Session) -> list[str]:
    """Every GPU of which there is a price, in order. From name to name along the key: there are few among many rows."""
    found: list[str] = []
    while (name := session.exec(_next_gpu(found[-1] if found else None)).one()) is not None:
        found.append(name)
    return found


def _next_gpu(after: str | None) -> SelectOfScalar[Any]:  # none is left: null
    query = select(func.min(PriceRow.gpu))
    return query if after is None else query.where(col(PriceRow.gpu) > after)


def askings(session: Session, order: AskingsInput) -> list[Asking]:
    query = select(SurveyRow)
    if order.providers:
        query = query.where(col(SurveyRow.provider).in_(order.providers))
    if order.since is not None:
        query = query.where(col(SurveyRow.at) >= order.since)
    if order.unanswered:
        query = query.where(~col(SurveyRow.answered))
    newest = session.exec(query.order_by(col(SurveyRow.at).desc(), col(SurveyRow.provider)).limit(ASKINGS_TOLD))
    return [
        Asking(
            provider=row.provider,
            source=PriceSource(row.source),
            at=row.at,
            span=row.span,
            answered=row.answered,
            offers=row.offers,
            detail=row.detail,
        )
        for row in newest
    ]


# --- what a survey needs to know, and what it tidies up ------------------------------------------------------------


def plan(session: Session, order: PlanSurveyInput) -> SurveyPlan:
    lately = select(LeaseRow.gpu).where(
        col(LeaseRow.provider) == order.provider, col(LeaseRow.opened_at) >= order.at - WATCHED_FOR
    )
    gpus = sorted({gpu for gpu in session.exec(lately.distinct()) if gpu})
    return SurveyPlan(gpus=tuple(gpus), feed_since=_feed_since(session, order))


def _feed_since(session: Session, order: PlanSurveyInput) -> datetime | None:
    asked = session.exec(
        select(func.max(SurveyRow.at)).where(
            SurveyRow.provider == order.provider, SurveyRow.source == PriceSource.FEED.value
        )
    ).one()
    if asked is not None and order.at - asked < FEED_EVERY:
        return None
    newest = session.exec(
        select(func.max(PriceRow.at)).where(
            PriceRow.provider == order.provider, PriceRow.source == PriceSource.FEED.value
        )
    ).one()
    return max(newest or order.at - FEED_LOOKED_BACK, order.at - FEED_LOOKED_BACK)


def thin(session: Session, order: ThinInput) -> Thinned:
    """One point a day for what is older than `daily_before`; nothing from before `gone_before`.

    Whole days alone are thinned, so that a later run adds nothing to a day that is done. What was imported stays as it
    was brought: somebody wanted it so.
    """
    daily_before = pricing.bucket(order.daily_before, A_DAY)
    gone = _delete(session, (col(PriceRow.at) < order.gone_before) & _IS_OURS)
    session.connection().execute(delete(SurveyRow).where(col(SurveyRow.at) < order.gone_before))
    gone += _delete(session, (col(PriceRow.at) < daily_before) & col(PriceRow.held) & _IS_OURS)
    fine = (col(PriceRow.at) < daily_before) & (col(PriceRow.span) < A_DAY) & _IS_OURS
    days = replaced = 0
    while replaced < THINNED_AT_ONCE and (oldest := session.exec(select(func.min(PriceRow.at)).where(fine)).one()):
        day = pricing.bucket(oldest, A_DAY)
        rows = session.exec(select(PriceRow).where(fine, col(PriceRow.at) < day + A_DAY)).all()
        found = list(pricing.daily(_point(row) for row in rows))
        for row in rows:
            session.delete(row)
        session.flush()
        for point in found:
            session.merge(_row(point))
        session.flush()
        days, replaced = days + len(found), replaced + len(rows)
    return Thinned(days=days, replaced=replaced, deleted=gone)


def _delete(session: Session, which: ColumnElement[bool]) -> int:
    return session.connection().execute(delete(PriceRow).where(which)).rowcount
