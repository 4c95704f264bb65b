"""From offers to points of a price series, and from many points to one a day."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import median_low
from typing import TypeVar

from holdfast.contracts.machines import Offer, Terms
from holdfast.contracts.market import Basis, MarketPoint
from holdfast.policy.percentiles import nearest_rank

A_DAY = timedelta(days=1)
SeriesKey = tuple[str, str, str, Terms, Basis]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FINE = Decimal("0.000001")
_Number = TypeVar("_Number", int, Decimal)


def bucket(moment: datetime, span: timedelta) -> datetime:
    """The beginning of the bucket that a moment lies in. Buckets of whole hours and days begin with them, in UTC."""
    return _EPOCH + (moment - _EPOCH) // span * span


def key_of(point: MarketPoint) -> SeriesKey:
    """What tells its series apart."""
    return point.gpu, point.provider, point.region, point.kind, point.basis


def by_series(points: Iterable[MarketPoint]) -> dict[SeriesKey, list[MarketPoint]]:
    """The series, in order, each with its points in order."""
    found: dict[SeriesKey, list[MarketPoint]] = defaultdict(list)
    for point in points:
        found[key_of(point)].append(point)
    return {key: sorted(found[key], key=lambda each: each.at) for key in sorted(found)}


def points_of(offers: Iterable[Offer], *, at: datetime, span: timedelta) -> list[MarketPoint]:
    """A point for each GPU, kind and region, and for each GPU and kind in all regions together.

    An offer without a price says nothing.
    """
    groups: dict[tuple[str, str, Terms, str], list[Decimal]] = defaultdict(list)
    for offer in offers:
        if offer.hourly > 0 and offer.gpu_count > 0:
            price = offer.hourly / offer.gpu_count
            for region in {"", offer.region}:
                groups[offer.provider, offer.gpu, offer.terms, region].append(price)
    return [
        MarketPoint(
            at=at,
            provider=provider,
            gpu=gpu,
            region=region,
            kind=terms,
            minimum=_asked(prices, 1),
            p10=_asked(prices, 10),
            p25=_asked(prices, 25),
            median=_asked(prices, 50),
            p75=_asked(prices, 75),
            p90=_asked(prices, 90),
            offers=len(prices),
            span=span,
        )
        for (provider, gpu, terms, region), prices in sorted(groups.items())
    ]


def _asked(prices: Sequence[Decimal], percent: int) -> Decimal:
    """By nearest rank: a price that somebody asked."""
    return nearest_rank(prices, percent).quantize(_FINE, rounding=ROUND_HALF_EVEN)


def daily(points: Iterable[MarketPoint]) -> Iterator[MarketPoint]:
    """One point for each series and day (UTC): the day's lowest price, and the middle one of everything else."""
    for series in by_series(each for each in points if not each.held).values():
        days: dict[datetime, list[MarketPoint]] = defaultdict(list)
        for point in series:
            days[bucket(point.at, A_DAY)].append(point)
        for at, theirs in days.items():
            yield replace(
                theirs[-1],
                at=at,
                span=A_DAY,
                minimum=min(each.minimum for each in theirs),
                median=median_low(each.median for each in theirs),
                p10=_middle(each.p10 for each in theirs),
                p25=_middle(each.p25 for each in theirs),
                p75=_middle(each.p75 for each in theirs),
                p90=_middle(each.p90 for each in theirs),
                offers=_middle(each.offers for each in theirs),
            )


def _middle(values: Iterable[_Number | None]) -> _Number | None:
    told = [each for each in values if each is not None]
    return median_low(told) if told else None
