"""What a price series did: its last price, how it moved, and how much of it is missing. Pure functions over points."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from holdfast.contracts.machines import Terms
from holdfast.contracts.market import Basis, MarketPoint
from holdfast.policy import pricing

_NOTHING = timedelta()


@dataclass(frozen=True, kw_only=True)
class PriceHistory:
    """One series in a stretch of time. Prices are medians, but for `minimum`."""

    gpu: str
    provider: str
    region: str
    kind: Terms
    basis: Basis
    since: datetime  # of the stretch
    until: datetime
    last_at: datetime
    last: Decimal
    minimum: Decimal  # the cheapest offer of the last point
    offers: int | None  # of the last point
    first: Decimal
    low: Decimal
    high: Decimal
    change: float | None  # from the first to the last, as a part of the first; None: there is one point alone
    unchanged: bool  # every point has the same price
    missing: timedelta  # between the first point and the last, where there is none
    missing_share: float  # of that time
    points: tuple[MarketPoint, ...] = ()  # where they were asked for


@dataclass(frozen=True, kw_only=True)
class PriceMove:
    """How a series moved in a stretch of time."""

    gpu: str
    provider: str
    region: str
    kind: Terms
    was: Decimal
    was_at: datetime
    now: Decimal
    now_at: datetime
    change: float  # as a part of what it was
    unchanged: bool


def histories(
    points: Iterable[MarketPoint], *, since: datetime, until: datetime, with_points: bool = True
) -> list[PriceHistory]:
    """One for each series that has points in this time, by GPU, provider, region, kind and basis."""
    within = (each for each in points if since <= each.at < until)
    return [_history(series, since, until, with_points) for series in pricing.by_series(within).values()]


def _history(series: Sequence[MarketPoint], since: datetime, until: datetime, with_points: bool) -> PriceHistory:
    first, last = series[0], series[-1]
    prices = [each.median for each in series]
    missing = sum((end - begin for begin, end in gaps(series)), _NOTHING)
    whole = last.at + last.span - first.at
    return PriceHistory(
        gpu=last.gpu,
        provider=last.provider,
        region=last.region,
        kind=last.kind,
        basis=last.basis,
        since=since,
        until=until,
        last_at=last.at,
        last=last.median,
        minimum=last.minimum,
        offers=last.offers,
        first=first.median,
        low=min(prices),
        high=max(prices),
        change=_change(first.median, last.median) if len(series) > 1 else None,
        unchanged=len(set(prices)) == 1,
        missing=missing,
        missing_share=round(missing / whole, 4),
        points=tuple(series) if with_points else (),
    )


def gaps(series: Sequence[MarketPoint]) -> list[tuple[datetime, datetime]]:
    """From when to when there is no point, between the first and the last."""
    found = []
    for before, after in pairwise(series):
        ends = before.at + before.span
        if after.at > ends:
            found.append((ends, after.at))
    return found


def moves(points: Iterable[MarketPoint], *, over: timedelta, now: datetime) -> list[PriceMove]:
    """Each series that has a point in this time and one from before it; the greatest moves first.

    What it was is the last point from before, if that is not much older than the stretch is long.
    """
    begin = now - over
    found = []
    for series in pricing.by_series(points).values():
        old = [each for each in series if begin - over <= each.at <= begin]
        new = [each for each in series if each.at > begin]
        if old and new:
            found.append(_move(old[-1], new))
    return sorted(found, key=lambda each: (-abs(each.change), each.gpu, each.provider, each.region, each.kind))


def _move(was: MarketPoint, since: Sequence[MarketPoint]) -> PriceMove:
    now = since[-1]
    return PriceMove(
        gpu=now.gpu,
        provider=now.provider,
        region=now.region,
        kind=now.kind,
        was=was.median,
        was_at=was.at,
        now=now.median,
        now_at=now.at,
        change=_change(was.median, now.median),
        unchanged=all(each.median == was.median for each in since),
    )


def _change(was: Decimal, now: Decimal) -> float:
    return round(float((now - was) / was), 6)


def columns(
    series: Sequence[MarketPoint], *, since: datetime, until: datetime, many: int
) -> list[tuple[float | None, bool]]:
    """The stretch in so many parts: the middle price of each, None where there is none; and whether it had begun.

    A point stands for its whole span.
    """
    width = (until - since) / many
    sums: list[list[float]] = [[] for _ in range(many)]
    for point in series:
        begin = max(int((point.at - since) / width), 0)
        end = min(int((point.at + point.span - since) / width - 1e-9), many - 1)
        for place in range(begin, end + 1):
            sums[place].append(float(point.median))
    begun = int((series[0].at - since) / width) if series else many
    return [(sum(each) / len(each) if each else None, place >= begun) for place, each in enumerate(sums)]
