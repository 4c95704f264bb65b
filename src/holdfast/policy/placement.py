"""Which offer to rent, which next, and why not the others.

The score is a price: the offer's USD per hour, plus what its weaknesses are expected to cost, as shares of that
price. A person can check it with a calculator, and two workers always agree on it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.contracts.failover import RankedOffer
from holdfast.contracts.forecasts import PriceAhead
from holdfast.contracts.machines import Lease, Offer, Requirements, Terms
from holdfast.contracts.memory import MachineKey, MachineMemory, PlaceMemory, PlaceRisk
from holdfast.policy import interruption
from holdfast.policy.fitness import misfit
from holdfast.policy.host_memory import reliability, share_lost
from holdfast.policy.price_ahead import USUAL_STAY

CHOSEN_KEPT = 10
REJECTED_KEPT = 20

# An unreliable hour is paid and then done again, on average from the middle of the way to the next machine.
_UNRELIABILITY_WEIGHT = 2.0
_UNKNOWN_RELIABILITY = 0.9
# A restore of this size stands for "how long until the work runs", spread over a usual stay on one machine.
_RESTORE_MEGABITS = 10_000 * 8
_UNKNOWN_DOWNLOAD_MBPS = 100.0
# A contract that ends costs one more move, spread over what is left of it.
_MOVE = timedelta(minutes=6)
# What a loss costs, in time that is paid for: a move, and the work since the last save.
_PER_LOSS = timedelta(minutes=15)
# Of the time that is paid for; where more is lost the work hardly gets on, and no figure is right.
_MOST_LOST = 0.9
_HOUR = timedelta(hours=1)
JUST_LOST = timedelta(hours=1)
"""So long after a loss its region comes after all the others that were asked for: losses come in bulk."""
_MOST_TO_COME = 0.5
_ONCE_USUAL = interruption.risk(interruption.UNKNOWN)
"""What recollections of older workers stand on, which do not tell what is usual."""
_NOTHING: Mapping[MachineKey, MachineMemory] = {}
_UNKNOWN = MachineMemory(provider="", machine_id="")
# Each step down the list of regions counts like this share of the price.
_REGION_STEP = 0.05
_RESTING_SHARE = 1.0
"""Of the price: taking the GPU of a standby or of paused work costs another machine soon."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Every offer that fits, best first, and the rows that the record keeps of the choice."""

    best: tuple[Offer, ...]
    chosen: tuple[RankedOffer, ...]  # the first `CHOSEN_KEPT` of `best`
    rejected: tuple[RankedOffer, ...]  # the cheapest `REJECTED_KEPT`, or as many as were asked for
    rejected_total: int


@dataclass(frozen=True, kw_only=True)
class _Danger:
    """What the market may do to an offer, as shares of its price."""

    share: float = 0.0  # losses to be expected
    just_lost: bool = False


_NO_DANGER = _Danger()


@dataclass(frozen=True, kw_only=True)
class _Scored:
    offer: Offer
    score: float
    reason: str
    step: int = 0  # of the list of regions, where that comes before the price

    def order(self) -> tuple[int, float, Decimal, str, str]:
        return (self.step, self.score, self.offer.hourly, self.offer.provider, self.offer.offer_id)


def rank(
    offers: Iterable[Offer],
    needs: Requirements,
    *,
    now: datetime,
    avoid_machines: frozenset[str] = frozenset(),
    memory: Mapping[MachineKey, MachineMemory] = _NOTHING,
    places: Iterable[PlaceMemory] = (),
    risks: Iterable[PlaceRisk] = (),
    usual_risk: tuple[float, float, float] | None = None,
    ahead: Iterable[PriceAhead] = (),
    per_loss: timedelta | None = None,
    preferred_regions: Sequence[str] = (),
    regions_first: bool = False,
    rejected_kept: int = REJECTED_KEPT,
) -> Ranking:
    """Order the offers that fit `needs`; the same input in any order gives the same ranking. Never raises.

    `avoid_machines` are machine ids that failed just now. `memory` is what is remembered of any of the machines: a
    banned one does not fit, and the failures of another cost a share of its price. `places` where one machine after the
    other failed do not fit either, unless nothing else does: then their best offer is tried. `preferred_regions` cost
    less in that order, others most; the default is the order of `needs.regions`. With `regions_first` an earlier region
    comes before a later one whatever it costs, but for one that the market has taken a machine in just now.
    `risks` of losses to the market cost interruptible offers a share of their price; where region or GPU is not among
    them, the `usual_risk` does. `ahead` is what prices are expected to do: an interruptible machine costs what the
    market asks, hour by hour, while the price of one on demand is agreed upon. `per_loss` is what a loss costs this
    workload, in time that is paid for; None, of an older worker: a quarter of an hour.
    """
    regions = tuple(preferred_regions) or needs.regions
    dangers = _Dangers(risks, usual_risk, now, per_loss)
    to_come = {(each.provider, each.gpu): each.change for each in ahead if each.kind is Terms.INTERRUPTIBLE}
    closed = {(each.provider, each.region): each for each in places if each.until > now}
    fitting: list[_Scored] = []
    shunned: list[_Scored] = []
    refused: list[RankedOffer] = []
    for offer, repeated in _each_once(offers):
        known = memory.get(MachineKey(provider=offer.provider, machine_id=offer.machine_id), _UNKNOWN)
        reason = "listed twice" if repeated else misfit(offer, needs, now=now, avoid_machines=avoid_machines)
        reason = reason or _ban(known, now)
        if reason:
            refused.append(_row(offer, None, reason))
        else:
            found = shunned if _closed(offer, closed) else fitting
            danger, dearer = dangers.of(offer), _to_come(offer, to_come)
            found.append(_score(offer, known, danger, dearer, regions=regions, now=now, regions_first=regions_first))
    if shunned and not fitting:
        fitting.append(min(shunned, key=_Scored.order))
        shunned.remove(fitting[0])
    refused += (_row(each.offer, None, _why_closed(each.offer, closed)) for each in shunned)
    fitting.sort(key=_Scored.order)
    refused.sort(key=lambda row: (row.hourly, row.provider, row.offer_id))
    return Ranking(
        best=tuple(each.offer for each in fitting),
        chosen=tuple(_row(each.offer, each.score, each.reason) for each in fitting[:CHOSEN_KEPT]),
        rejected=tuple(refused[:rejected_kept]),
        rejected_total=len(refused),
    )


def _each_once(offers: Iterable[Offer]) -> Iterator[tuple[Offer, bool]]:
    """The offers in a fixed order, each with whether it was listed before."""
    seen: set[tuple[str, str]] = set()
    for offer in sorted(offers, key=_identity):
        yield offer, (offer.provider, offer.offer_id) in seen
        seen.add((offer.provider, offer.offer_id))


def _ban(known: MachineMemory, now: datetime) -> str:
    if known.banned_until is None or known.banned_until <= now:
        return ""
    return f"machine {known.machine_id} is banned until {known.banned_until:%Y-%m-%d %H:%M} UTC: {known.ban_reason}"


def _closed(offer: Offer, closed: Mapping[tuple[str, str], PlaceMemory]) -> PlaceMemory | None:
    return closed.get((offer.provider, "")) or closed.get((offer.provider, offer.region))


def _why_closed(offer: Offer, closed: Mapping[tuple[str, str], PlaceMemory]) -> str:
    place = _closed(offer, closed)
    return f"{place.reason}: not before {place.until:%H:%M} UTC" if place else ""


def _score(
    offer: Offer,
    known: MachineMemory,
    danger: _Danger,
    dearer: float,
    *,
    regions: Sequence[str],
    now: datetime,
    regions_first: bool,
) -> _Scored:
    claimed, place = _known(offer.reliability, _UNKNOWN_RELIABILITY), _region_place(offer, regions)
    shares = {
        "failures": share_lost(good=known.good, bad=known.bad, measured=known.measured),
        "reliability": _UNRELIABILITY_WEIGHT * (1 - reliability(claimed, up=known.up, watched=known.watched)),
        "interruption": danger.share,
        "price to come": dearer,
        "download": _download_share(offer),
        "contract end": _contract_share(offer, now),
        "region": _REGION_STEP * place,
        "a machine of ours is stopped on it": _RESTING_SHARE * min(known.resting, 1),
    }
    score = round(float(offer.hourly) * (1 + sum(shares.values())), 6)
    added = ", ".join(f"{name} {share:+.1%}" for name, share in shares.items() if abs(share) >= 0.0005)
    return _Scored(
        offer=offer,
        score=score,
        reason=f"${offer.hourly}/h" + (f", {added}" if added else ""),
        step=place + danger.just_lost * (len(regions) + 1) if regions_first else 0,
    )


class Risks:
    """The chance that the market takes a machine back: of regions that are known, and of others what is usual."""

    def __init__(self, known: Iterable[PlaceRisk], usual: tuple[float, float, float] | None = None) -> None:
        self._usual = _ONCE_USUAL if usual is None else interruption.Risk(*usual)
        self._known = {
            (each.provider, each.region, each.gpu): interruption.Risk(each.hour, each.six_hours, each.day)
            for each in known
        }

    def of(self, machine: Offer | Lease) -> interruption.Risk:
        """No risk for one on demand, and none for any as long as nothing is known of any region: all are alike then."""
        if machine.terms is not Terms.INTERRUPTIBLE or not self._known:
            return interruption.NO_RISK
        place = (machine.provider, machine.region)
        # An older record did not tell kinds of GPU apart.
        return self._known.get((*place, machine.gpu)) or self._known.get((*place, "")) or self._usual


def _share_of(risk: interruption.Risk, per_loss: timedelta | None) -> float:
    """What is paid for beyond what counts: of each hour, what the losses to be expected in it undo."""
    if per_loss is None:
        return risk.per_hour(USUAL_STAY) * (_PER_LOSS / _HOUR)
    lost = min(risk.per_hour(USUAL_STAY) * (per_loss / _HOUR), _MOST_LOST)
    return lost / (1 - lost)


class _Dangers:
    """What each offer is in."""

    def __init__(
        self,
        risks: Iterable[PlaceRisk],
        usual: tuple[float, float, float] | None,
        now: datetime,
        per_loss: timedelta | None,
    ) -> None:
        known = list(risks)
        self._risks = Risks(known, usual)
        self._just_lost = {
            (each.provider, each.region)
            for each in known
            if each.lost_at is not None and now - each.lost_at <= JUST_LOST
        }
        self._per_loss = per_loss

    def of(self, offer: Offer) -> _Danger:
        chance = self._risks.of(offer)
        if chance is interruption.NO_RISK:
            return _NO_DANGER
        # Losses come in bulk: what takes one kind of machine in a region may take the others.
        just_lost = (offer.provider, offer.region) in self._just_lost
        return _Danger(share=_share_of(chance, self._per_loss), just_lost=just_lost)


def _to_come(offer: Offer, changes: Mapping[tuple[str, str], float]) -> float:
    """Where a bid is paid, a lower price later is of no use to it, while a higher one takes the machine away."""
    change = changes.get((offer.provider, offer.gpu), 0.0) if offer.terms is Terms.INTERRUPTIBLE else 0.0
    least = -_MOST_TO_COME if offer.bid is None else 0.0
    return max(least, min(change, _MOST_TO_COME)) if math.isfinite(change) else 0.0


def _download_share(offer: Offer) -> float:
    seconds = _RESTORE_MEGABITS / max(_known(offer.download_mbps, _UNKNOWN_DOWNLOAD_MBPS), 1.0)
    return seconds / USUAL_STAY.total_seconds()


def _contract_share(offer: Offer, now: datetime) -> float:
    if offer.contract_ends is None:
        return 0.0
    return min(_MOVE / max(offer.contract_ends - now, timedelta(seconds=1)), 1.0)


def _region_place(offer: Offer, regions: Sequence[str]) -> int:
    return regions.index(offer.region) if offer.region in regions else len(regions)


def _known(value: float | None, otherwise: float) -> float:
    return value if value is not None and math.isfinite(value) else otherwise


def _identity(offer: Offer) -> tuple[str, str, str]:
    # The price as text: a price that is not a number has no order, and must not break the others'.
    return (offer.provider, offer.offer_id, str(offer.hourly))


def _row(offer: Offer, score: float | None, reason: str) -> RankedOffer:
    reliable = offer.reliability is not None and math.isfinite(offer.reliability)
    return RankedOffer(
        provider=offer.provider,
        offer_id=offer.offer_id,
        machine_id=offer.machine_id,
        gpu=offer.gpu,
        gpu_count=offer.gpu_count,
        region=offer.region,
        hourly=offer.hourly if offer.hourly.is_finite() else Decimal(0),
        reliability=offer.reliability if reliable else None,
        score=score,
        reason=reason,
    )
