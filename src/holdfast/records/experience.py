"""What placement and failover may expect: places that fail lately, the chance of a loss, how long recoveries took."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from pydantic import TypeAdapter
from sqlmodel import Session, col, or_, select

from holdfast.contracts.incidents import TAKEN_BACK, Cause, Incident
from holdfast.contracts.machines import Conduct, Terms
from holdfast.contracts.memory import PlaceLoss, PlaceMemory, PlaceRisk, StrategyRecord
from holdfast.contracts.spec import Strategy
from holdfast.policy import breakers, frailty, interruption
from holdfast.records.tables import IncidentRow, LeaseRow

RECOVERIES_READ = 200
LOSSES_READ = 20
TOO_OLD = timedelta(days=30)
PROVEN = timedelta(minutes=10)
"""A machine that has been had for so long did come up."""
LOSSES_KNOWN = timedelta(days=14)
"""How long a loss to the market says anything of its place."""
_WEEK = timedelta(days=7)
_INCIDENT = TypeAdapter(Incident)
_STRATEGIES = frozenset(Strategy)


class Place(NamedTuple):
    """Where machines of one kind share a fate."""

    provider: str
    region: str
    gpu: str


def closed_places(session: Session, now: datetime) -> list[PlaceMemory]:
    """Providers and regions where nothing is rented now."""
    since = now - breakers.REMEMBERED
    query = select(LeaseRow).where(
        or_(col(LeaseRow.closed_at) >= since, col(LeaseRow.closed_at).is_(None) & (col(LeaseRow.opened_at) >= since))
    )
    return breakers.closed_places(_trials(session.exec(query), now), now=now)


def place_risks(session: Session, now: datetime, *, lost: PlaceLoss | None = None) -> list[PlaceRisk]:
    """The chance of a loss in each region where we had an interruptible machine lately, for each kind of GPU.

    `lost` is a loss that the record may not know of yet.
    """
    since = now - LOSSES_KNOWN
    query = select(LeaseRow).where(
        LeaseRow.terms == Terms.INTERRUPTIBLE.value,
        col(LeaseRow.launched_at).is_not(None),
        or_(col(LeaseRow.closed_at) >= since, col(LeaseRow.closed_at).is_(None)),
    )
    taken = _taken_back(session, since)
    stays: dict[Place, list[interruption.Stay]] = defaultdict(list)
    for row in session.exec(query):
        taken_at = taken.get((row.workload, row.epoch))
        began, until = max(row.launched_at or since, since), min(taken_at or now, row.closed_at or now)
        if began < until:
            stay = interruption.Stay(began - since, until - since, taken_at is not None)
            stays[Place(row.provider, row.region, row.gpu)].append(stay)
    if lost is not None and since < lost.at <= now:
        here = stays[Place(lost.provider, lost.region, lost.gpu)]
        at = lost.at - since
        if not any(stay.lost and stay.until == at for stay in here):
            here.append(interruption.Stay(at - timedelta(minutes=1), at, True))
    return [place_risk(place, had, since, now) for place, had in sorted(stays.items())]


def _taken_back(session: Session, since: datetime) -> dict[tuple[str, int], datetime]:
    """When machines were taken back by the market, by workload and epoch."""
    query = select(IncidentRow).where(
        IncidentRow.decided_at >= since, col(IncidentRow.cause).in_([cause.value for cause in TAKEN_BACK])
    )
    return {(row.workload, row.epoch_lost): row.decided_at for row in session.exec(query)}


def place_risk(place: Place, stays: Sequence[interruption.Stay], since: datetime, now: datetime) -> PlaceRisk:
    """What stays in a place, counted from `since`, make of it at `now`."""
    spans = interruption.spans_of(stays)
    known = interruption.past(spans, now - since)
    found = frailty.risk(stays, now - since)
    week = now - since - _WEEK
    watched = (min(span.until, now - since) - max(span.since, week) for span in spans if span.until > week)
    losses = [low.since for high, low in pairwise(spans) if high.up and not low.up and low.since <= now - since]
    return PlaceRisk(
        provider=place.provider,
        region=place.region,
        gpu=place.gpu,
        hour=round(found.hour, 4),
        six_hours=round(found.six_hours, 4),
        day=round(found.day, 4),
        age=known.age,
        losses=sum(at > week for at in losses),
        watched=sum((each for each in watched if each > timedelta()), timedelta()),
        lost_at=since + losses[-1] if losses else None,
    )


def losses_of(session: Session, workload: str, now: datetime) -> list[tuple[timedelta, timedelta]]:
    """What a workload's newest recoveries from losses to the market took, and the work that was lost with each."""
    query = (
        select(col(IncidentRow.recovery_time), col(IncidentRow.work_lost))
        .where(
            IncidentRow.workload == workload,
            IncidentRow.decided_at >= now - TOO_OLD,
            col(IncidentRow.cause).in_([cause.value for cause in TAKEN_BACK]),
            col(IncidentRow.recovery_time).is_not(None),
            col(IncidentRow.work_lost).is_not(None),
        )
        .order_by(col(IncidentRow.decided_at).desc())
        .limit(LOSSES_READ)
    )
    return [(took, lost) for took, lost in session.exec(query) if took is not None and lost is not None]


def strategy_records(session: Session, now: datetime) -> list[StrategyRecord]:
    """What the newest recoveries took, by strategy."""
    query = (
        select(IncidentRow.document)
        .where(IncidentRow.decided_at >= now - TOO_OLD, col(IncidentRow.recovery_time).is_not(None))
        .order_by(col(IncidentRow.decided_at).desc())
        .limit(RECOVERIES_READ)
    )
    by_strategy: dict[Strategy, list[Incident]] = defaultdict(list)
    for document in session.exec(query):
        incident = _INCIDENT.validate_python(document)
        if incident.strategy in _STRATEGIES and not _went_back(incident):
            by_strategy[Strategy(incident.strategy)].append(incident)
    return [
        StrategyRecord(
            strategy=strategy,
            times=len(incidents),
            typical=_median(_took(each) for each in incidents),
            spent=_median(_spent(each) for each in incidents),
        )
        for strategy, incidents in sorted(by_strategy.items())
    ]


def _went_back(incident: Incident) -> bool:
    """A drill that was aborted: the work went on where it was, which says nothing of a real loss."""
    return incident.cause is Cause.DRILL and incident.strategy == Strategy.COLDSTART


def _trials(rows: Iterator[LeaseRow], now: datetime) -> Iterator[breakers.Trial]:
    for row in rows:
        if row.closed_at is not None and row.conduct in (Conduct.GOOD, Conduct.BAD):
            yield _trial(row, row.closed_at, good=row.conduct == Conduct.GOOD)
        elif row.closed_at is None and row.launched_at is not None and row.launched_at + PROVEN <= now:
            yield _trial(row, row.launched_at + PROVEN, good=True)


def _trial(row: LeaseRow, at: datetime, *, good: bool) -> breakers.Trial:
    return breakers.Trial(provider=row.provider, region=row.region, machine_id=row.machine_id, at=at, good=good)


def _median(spans: Iterable[timedelta]) -> timedelta:
    return timedelta(seconds=median(each.total_seconds() for each in spans))


def _took(incident: Incident) -> timedelta:
    """From the decision until the work ran again."""
    return incident.phases.total() - incident.phases.detect - incident.phases.progress


def _spent(incident: Incident) -> timedelta:
    """What was paid for machines that did no work, at the price of the one that took over."""
    hourly = incident.attempts[-1].hourly if incident.attempts else Decimal(0)
    return timedelta(hours=float(incident.cost / hourly)) if hourly > 0 else timedelta()
