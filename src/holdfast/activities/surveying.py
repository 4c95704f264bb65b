"""Activities that ask one provider what its GPUs cost, now and in the past."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Any

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.activities.translation import translated
from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.market import (
    Basis,
    MarketPoint,
    PricedOffers,
    PriceOffersInput,
    PriceSource,
    ReadFeedInput,
)
from holdfast.policy import pricing
from holdfast.providers.base import PricePoint, Provider, TellsPrices
from holdfast.providers.wrappers.pacing import leisurely

AN_HOUR = timedelta(hours=1)
POINTS_TOLD = 1200
"""In one answer; those of whole providers first."""
_DISK_GB = 10  # that is part of every price


class SurveyActivities:
    """One provider's prices. Its client keeps its pace, and leaves half of it to whoever needs a machine."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def all(self) -> list[Callable[..., Any]]:
        return [self.price_offers, self.read_feed]

    @activity.defn
    async def price_offers(self, order: PriceOffersInput) -> PricedOffers:
        """One GPU in each call, unless the provider shows all it has at once: a failure then loses one, not all."""
        shows_all = self._provider.capabilities.shows_all
        gpu = None if shows_all else order.gpus[0]
        found: dict[tuple[str, Terms], Offer] = {}
        async with beating():
            for terms in self._terms():
                needs = Requirements(gpu=gpu, disk_gb=_DISK_GB, terms=terms, exact_terms=True)
                with translated(), leisurely():
                    offers = await self._provider.search_offers(needs)
                found |= {(each.offer_id, each.terms): each for each in offers}
        points = pricing.points_of(found.values(), at=_bucket(datetime.now(UTC)), span=AN_HOUR)
        told = sorted(points, key=lambda each: each.region != "")[:POINTS_TOLD]
        return PricedOffers(points=tuple(told), offers=len(found), left=() if shows_all else order.gpus[1:])

    def _terms(self) -> tuple[Terms, ...]:
        if self._provider.capabilities.interruptible:
            return (Terms.ON_DEMAND, Terms.INTERRUPTIBLE)
        return (Terms.ON_DEMAND,)

    @activity.defn
    async def read_feed(self, order: ReadFeedInput) -> list[MarketPoint] | None:
        if not isinstance(self._provider, TellsPrices):
            return None
        async with beating():
            with translated(), leisurely():
                told = await self._provider.price_history(order.gpu, order.since)
        return _of_feed(told, provider=self._provider.name, gpu=order.gpu)


def _of_feed(told: list[PricePoint] | Any, *, provider: str, gpu: str) -> list[MarketPoint]:
    """One point an hour, for each region that the feed tells apart and for all together."""
    groups: dict[tuple[datetime, str, Terms], list[PricePoint]] = defaultdict(list)
    for point in told:
        for region in {"", point.region}:
            groups[_bucket(point.at), region, point.terms].append(point)
    found = [
        MarketPoint(
            at=at,
            provider=provider,
            gpu=gpu,
            region=region,
            kind=terms,
            minimum=min(each.low or each.hourly for each in points),
            median=median_low(each.hourly for each in points),
            p10=_middle([each.low for each in points]),
            p90=_middle([each.high for each in points]),
            basis=Basis.PAID,
            source=PriceSource.FEED,
        )
        for (at, region, terms), points in groups.items()
    ]
    found.sort(key=lambda each: (each.region != "", each.at))
    return found[:POINTS_TOLD]


def _middle(values: list[Any]) -> Any:
    known = [each for each in values if each is not None]
    return median_low(known) if known else None


def _bucket(moment: datetime) -> datetime:
    return pricing.bucket(moment, AN_HOUR)
