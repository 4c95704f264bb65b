"""A month of work on a market that is given, on a virtual clock: what ways to choose a machine come to.

When each zone had interruptible machines and what they cost is told tick by tick, as it really was. A zone loses all
its machines at once. Several workloads run through, side by side, save at a cadence, and after each loss choose again.
The rankings are those of the production policy. They stand on what the records would tell: what became of these
workloads' own machines of the last two weeks, what their losses took, and forecasts of prices.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from holdfast.contracts.forecasts import PriceAhead
from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.memory import PlaceRisk
from holdfast.policy import frailty, placement
from holdfast.policy.interruption import Stay
from holdfast.policy.loss_cost import cost_of_loss
from holdfast.records.experience import LOSSES_KNOWN, LOSSES_READ, Place, place_risk

TICK: Final = timedelta(minutes=4)
MONTH: Final = timedelta(days=30)
MOVE: Final = timedelta(minutes=12)
"""From renting a machine to progress on it: paid for."""
WORKLOADS: Final = 4
_HOUR: Final = timedelta(hours=1)
_HOURS: Final = TICK / _HOUR
_MOVES: Final = round(MOVE / TICK)
_AN_HOUR: Final = round(_HOUR / TICK)
_BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_GPU: Final = "V100"


class Way(StrEnum):
    """How a machine is chosen."""

    PRICE = "price alone"
    RISK = "placement with risk"
    FORECAST = "placement with forecasts"
    BOTH = "placement with both"
    WATCHED = "the same, zones watched"
    """As if the market of every zone were looked at each hour. The records know only zones that we had machines in."""
    FORESEEN = "the next loss foreseen"
    """As nobody can: the most that a choice could save."""


Rented = Callable[["Zone", int, list[Stay], timedelta], None]
"""A zone, the tick in which it was chosen, what the records know of it, and the tick on their clock."""


def _nothing(_tick: int) -> float:
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Zone:
    name: str
    up: Sequence[bool]  # whether interruptible machines are to be had, at each tick
    price: Sequence[float]  # USD per hour, at each tick
    ahead: Callable[[int], float] = _nothing  # how much dearer than now a usual stay is expected to be, at a tick


@dataclass(kw_only=True)
class Account:
    """What all workloads of a month came to. Hours, and USD."""

    way: Way
    cost: float = 0.0
    useful: float = 0.0
    paid: float = 0.0
    waited: float = 0.0
    taken: int = 0  # machines that the market took

    @property
    def per_useful_hour(self) -> float:
        """USD; infinite where nothing was done."""
        return self.cost / self.useful if self.useful else math.inf


@dataclass(kw_only=True)
class _Machine:
    zone: Zone
    since: int  # tick
    worked: int = 0  # ticks


@dataclass(kw_only=True)
class _Lived:
    """What the records would tell."""

    stays: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))  # by zone, in ticks
    losses: dict[int, list[tuple[timedelta, timedelta]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, machine: _Machine, place: int, at: int, lost: timedelta) -> None:
        self.stays[machine.zone.name].append((machine.since, at))
        self.losses[place].append((MOVE, lost))

    def choice(self, month: "Month", way: Way, place: int, at: int, machines: Sequence[_Machine | None]) -> Zone | None:
        """The zone in which a workload rents now; None: there is no machine in any."""
        zones = [each for each in month.zones if each.up[at]]
        if not zones:
            return None
        # Offers that are alike come in a new order each time, the same for each way; repeatable, not secret.
        random.Random(f"{month.seed} {at} {place}").shuffle(zones)  # noqa: S311
        offers = [_offer(zone, number, at) for number, zone in enumerate(zones)]
        if way is Way.PRICE:
            return zones[min(range(len(zones)), key=lambda number: (offers[number].hourly, number))]
        per_loss = cost_of_loss(month.saves, self.losses[place][-LOSSES_READ:])
        if way is Way.FORESEEN:
            return min(zones, key=lambda zone: zone.price[at] * (1 + _wasted(per_loss, _lasts(zone, at))))
        known: list[PlaceRisk] = []
        if way in (Way.RISK, Way.BOTH):
            known = _risks(self, machines, at)
        elif way is Way.WATCHED:
            known = [_watched(zone, at) for zone in month.zones]
        called = {zone.name: str(number) for number, zone in enumerate(zones)}
        ranking = placement.rank(
            offers,
            _NEEDS,
            now=_BEGAN + at * TICK,
            risks=[replace(each, provider=called.get(each.region, each.region)) for each in known],
            usual_risk=frailty.USUAL,
            ahead=[] if way is Way.RISK else [_expected(zone, number, at) for number, zone in enumerate(zones)],
            per_loss=per_loss,
        )
        return zones[int(ranking.best[0].offer_id)]


@dataclass(frozen=True, kw_only=True)
class Month:
    """One market, and the work that is done on it. Equal months come to equal accounts."""

    zones: Sequence[Zone]
    saves: timedelta
    """Between two saves: what was done since is lost with a machine."""
    workloads: int = WORKLOADS
    seed: int = 0
    """Decides between offers that are alike, in the same way for each way to choose."""

    @property
    def ticks(self) -> int:
        return min(len(each.up) for each in self.zones)


def live(month: Month, way: Way, *, rented: Rented | None = None) -> Account:
    """Run the month. `rented` hears of each choice that was made."""
    account, lived = Account(way=way), _Lived()
    machines: list[_Machine | None] = [None] * month.workloads
    for at in range(month.ticks):
        for place in range(month.workloads):
            machine = machines[place]
            if machine is not None and not machine.zone.up[at]:
                lost = machine.worked * TICK % month.saves
                account.useful -= lost / _HOUR
                account.taken += 1
                lived.note(machine, place, at, lost)
                machines[place] = None
            if machines[place] is None and (zone := lived.choice(month, way, place, at, machines)) is not None:
                if rented is not None:
                    zero, stays = _stays(lived, machines, at)
                    rented(zone, at, stays.get(zone.name, []), (at - zero) * TICK)
                machines[place] = _Machine(zone=zone, since=at)
            _pass(machines[place], at, account)
    return account


def _pass(machine: _Machine | None, at: int, account: Account) -> None:
    if machine is None:
        account.waited += _HOURS
        return
    account.paid += _HOURS
    account.cost += machine.zone.price[at] * _HOURS
    if at - machine.since >= _MOVES:
        account.useful += _HOURS
        machine.worked += 1


_NEEDS: Final = Requirements(
    gpu=_GPU, gpu_count=1, gpu_memory_gb=16, max_hourly=Decimal(1000), terms=Terms.INTERRUPTIBLE
)


def _offer(zone: Zone, number: int, at: int) -> Offer:
    return Offer(
        provider=str(number),  # a forecast is of a provider's price; and no name comes before another
        offer_id=str(number),
        machine_id="",
        gpu=_GPU,
        gpu_count=1,
        gpu_memory_gb=16,
        disk_gb=100,
        region=zone.name,
        terms=Terms.INTERRUPTIBLE,
        hourly=Decimal(f"{zone.price[at]:.4f}"),
    )


def _lasts(zone: Zone, at: int) -> timedelta:
    """From a tick until the next loss, or the end."""
    until = next((tick for tick in range(at, len(zone.up)) if not zone.up[tick]), len(zone.up))
    return (until - at) * TICK


def _wasted(per_loss: timedelta, lasts: timedelta) -> float:
    """What is paid for with each hour that counts, beyond it."""
    return per_loss / max(lasts - per_loss, TICK)


def _expected(zone: Zone, number: int, at: int) -> PriceAhead:
    return PriceAhead(provider=str(number), gpu=_GPU, kind=Terms.INTERRUPTIBLE, change=zone.ahead(at))


def _risks(lived: _Lived, machines: Sequence[_Machine | None], at: int) -> list[PlaceRisk]:
    """As `records.experience.place_risks` tells it."""
    zero, stays = _stays(lived, machines, at)
    since, now = _BEGAN + zero * TICK, _BEGAN + at * TICK
    return [place_risk(Place(name, name, _GPU), had, since, now) for name, had in stays.items() if had]


def _stays(lived: _Lived, machines: Sequence[_Machine | None], at: int) -> tuple[int, dict[str, list[Stay]]]:
    """What our machines tell of each zone, counted from a tick on."""
    zero = max(at - round(LOSSES_KNOWN / TICK), 0)
    stays: dict[str, list[Stay]] = defaultdict(list)
    for name, had in lived.stays.items():
        stays[name] += [_stay(since, until, zero, lost=True) for since, until in had if until > zero]
    for machine in machines:
        if machine is not None and machine.since < at:
            stays[machine.zone.name].append(_stay(machine.since, at, zero, lost=False))
    return zero, stays


def _stay(since: int, until: int, zero: int, *, lost: bool) -> Stay:
    return Stay((max(since, zero) - zero) * TICK, (until - zero) * TICK, lost)


def _watched(zone: Zone, at: int) -> PlaceRisk:
    """What hourly looks at its market tell of a zone, as if one machine ran there as long as it was up."""
    zero = max(at - round(LOSSES_KNOWN / TICK), 0)
    stays: list[Stay] = []
    began: int | None = None
    for tick in range(max(zero, at % _AN_HOUR), at + 1, _AN_HOUR):
        if zone.up[tick] and began is None:
            began = tick
        elif not zone.up[tick] and began is not None:
            stays.append(_stay(began, tick, zero, lost=True))
            began = None
    if began is not None and began < at:
        stays.append(_stay(began, at, zero, lost=False))
    return place_risk(Place(zone.name, zone.name, _GPU), stays, _BEGAN + zero * TICK, _BEGAN + at * TICK)
