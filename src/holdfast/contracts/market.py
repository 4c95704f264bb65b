"""Prices of the market: what surveys saw, what files brought, and what providers tell of the past.

Prices are US dollars per hour and GPU. A series is told apart by provider, GPU, region, kind and basis; it has at most
one point in each bucket of time, and a bucket without a point is a gap, never a zero.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from holdfast.contracts.forecasts import Refits
from holdfast.contracts.machines import Terms


class Basis(StrEnum):
    """What a price is of."""

    ASKED = "asked"  # offers that could be rented then
    PAID = "paid"  # what was rented, as the provider tells it afterwards


class PriceSource(StrEnum):
    SURVEY = "survey"  # our own, of offers
    IMPORT = "import"  # a file that somebody brought
    FEED = "feed"  # the provider's own history


@dataclass(frozen=True, kw_only=True)
class MarketPoint:
    """What one kind of machine cost in one bucket of time."""

    at: datetime  # the beginning of the bucket
    provider: str
    gpu: str  # one GPU of this kind
    region: str = ""  # two-letter country code; "": all of the provider together
    kind: Terms
    minimum: Decimal
    median: Decimal
    p10: Decimal | None = None  # None: not told
    p25: Decimal | None = None
    p75: Decimal | None = None
    p90: Decimal | None = None
    offers: int | None = None  # how many there were; None: not told
    basis: Basis = Basis.ASKED
    source: PriceSource = PriceSource.SURVEY
    span: timedelta = timedelta(hours=1)  # how long the bucket is
    held: bool = False  # too far from what came before, and not confirmed by what came after: no part of the series


@dataclass(frozen=True, kw_only=True)
class PointPlace:
    """Where a page of points ended. Points are told by GPU, provider, region, kind, basis and time."""

    gpu: str
    provider: str
    region: str
    kind: Terms
    basis: Basis
    at: datetime


@dataclass(frozen=True, kw_only=True)
class PricesInput:
    """Ask for points. Whatever is left out is not asked for: all GPUs, all providers."""

    gpus: tuple[str, ...] = ()  # as they are on record
    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()  # "" is one of them: the provider as a whole
    kinds: tuple[Terms, ...] = ()
    basis: Basis | None = None
    since: datetime | None = None
    until: datetime | None = None  # no longer a part
    held: bool = False  # those that are held back, and no others
    after: PointPlace | None = None  # where the last page ended


@dataclass(frozen=True, kw_only=True)
class PricePage:
    points: tuple[MarketPoint, ...]
    next: PointPlace | None  # None: that was all


@dataclass(frozen=True, kw_only=True)
class ListPricesInput:
    """Ask which series are on record."""

    provider: str = ""  # "": of all


@dataclass(frozen=True, kw_only=True)
class PricedSeries:
    """One series that is on record."""

    provider: str
    gpu: str
    region: str
    kind: Terms
    basis: Basis
    points: int  # without those that are held back
    held: int
    first: datetime
    last: datetime


@dataclass(frozen=True, kw_only=True)
class Asking:
    """One question of a survey to one provider: whether it answered. Without an answer there is a gap."""

    provider: str
    source: PriceSource  # SURVEY: for offers; FEED: for its own history
    at: datetime  # the bucket
    span: timedelta
    answered: bool
    offers: int = 0  # that were seen
    detail: str = ""  # why there was no answer, or about what there was none


@dataclass(frozen=True, kw_only=True)
class AskingsInput:
    """Ask how surveys went, the newest first."""

    providers: tuple[str, ...] = ()  # none: all
    since: datetime | None = None
    unanswered: bool = False  # those alone that left a gap


@dataclass(frozen=True, kw_only=True)
class RecordPricesInput:
    """Write points down. A point of the same series and bucket is replaced, but none of ours by another's."""

    points: tuple[MarketPoint, ...]
    asking: Asking | None = None  # the question that they answer


@dataclass(frozen=True, kw_only=True)
class RecordedPrices:
    """What became of the points that were to be written down."""

    new: int = 0
    changed: int = 0
    known: int = 0  # on record already, just so
    kept: int = 0  # a survey of ours has seen that bucket itself, and stands
    held: int = 0  # of those that are new or changed: held back, as none of the others confirms them
    confirmed: int = 0  # held back before, and confirmed by these


@dataclass(frozen=True, kw_only=True)
class PlanSurveyInput:
    provider: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class SurveyPlan:
    """What the records know before a provider is asked."""

    gpus: tuple[str, ...] = ()  # rented there lately: worth watching, whatever the settings name
    feed_since: datetime | None = None  # from when on its own history is to be read; None: it is not due


@dataclass(frozen=True, kw_only=True)
class PriceOffersInput:
    provider: str
    gpus: tuple[str, ...]  # still to be asked for


@dataclass(frozen=True, kw_only=True)
class PricedOffers:
    """What some of the GPUs are offered for, without the bucket: the survey knows it."""

    points: tuple[MarketPoint, ...]
    offers: int  # that were seen
    left: tuple[str, ...] = ()  # GPUs that were not asked for yet


@dataclass(frozen=True, kw_only=True)
class ReadFeedInput:
    provider: str
    gpu: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class ThinInput:
    """Down-sample: points finer than a day and from before `daily_before` become one a day; older ones go."""

    daily_before: datetime
    gone_before: datetime


@dataclass(frozen=True, kw_only=True)
class Thinned:
    days: int = 0  # points that stand for a day now
    replaced: int = 0  # points that they stand for
    deleted: int = 0  # too old, or held back and never confirmed


@dataclass(frozen=True, kw_only=True)
class SurveyInput:
    providers: tuple[str, ...]
    gpus: tuple[str, ...]
    every: timedelta = timedelta(hours=1)  # the bucket
    fine_for: timedelta = timedelta(days=60)  # then one point a day
    daily_for: timedelta = timedelta(days=1095)  # then none
    feeds: bool = True  # also what providers tell of the past, where it is due
    pause: timedelta = timedelta()  # between two GPUs at one provider: others search there, too
    refit: bool = True  # then forecast anew what has a newer price


@dataclass(frozen=True, kw_only=True)
class SurveyLine:
    """How one provider was surveyed."""

    provider: str
    answered: bool
    offers: int = 0  # that were seen
    recorded: RecordedPrices = RecordedPrices()
    feed: RecordedPrices | None = None  # of its own history; None: it was not due, or it has none
    detail: str = ""  # why there was no answer, or about what


@dataclass(frozen=True, kw_only=True)
class SurveyResult:
    at: datetime  # the bucket
    lines: tuple[SurveyLine, ...]
    thinned: Thinned = Thinned()
    refits: Refits | None = None  # None: none were asked for, or by an older version


@dataclass(frozen=True, kw_only=True)
class AdviseStartInput:
    """Ask whether work had better begin now, or wait for a cheaper hour."""

    gpu: str
    kind: Terms
    latest: datetime  # it begins by then, whatever it costs
    providers: tuple[str, ...] = ()  # none: all that have it
    regions: tuple[str, ...] = ()  # none: all


@dataclass(frozen=True, kw_only=True)
class StartWord:
    """Whether work that need not begin now had better wait. What is not known is no reason to wait."""

    wait: bool
    reason: str  # in words, with its figures
    at: datetime
    price: Decimal | None = None  # now; None: not known
    reserve: Decimal | None = None  # it begins as soon as it costs no more than that
    expected: Decimal | None = None  # when it begins by this advice
    chance_of_more: float | None = None  # that it then costs more than now, between 0 and 1
