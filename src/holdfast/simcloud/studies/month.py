"""A month of work on a market of its own, on a virtual clock: what ways to choose a machine come to.

Regions lose all their interruptible machines at once and get them back; their prices wander and come back to a mean;
some hosts fail often or never come up, and what they
claim of themselves has an error. Several workloads run through, side by side, save
every half hour, and after each loss choose again. The rankings of the production policy stand on what those workloads
lived through, as the records would tell it.
"""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final

from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.memory import MachineKey, MachineMemory, PlaceRisk
from holdfast.policy import host_memory, interruption, placement
from holdfast.records.experience import LOSSES_KNOWN, place_risk

TICK: Final = timedelta(minutes=6)
MONTH: Final = timedelta(days=30)
BEFORE: Final = timedelta(days=7)
"""How long the market was looked at before the month."""
MOVE: Final = timedelta(minutes=12)
"""From renting a machine to progress on it: paid for."""
TICKS: Final = round((BEFORE + MONTH) / TICK)
SAVES: Final = timedelta(minutes=30)
"""Between two saves: what was done since is lost with a machine."""
WORKLOADS: Final = 4
HOSTS: Final = 6
"""In each region."""
_FAILED_BOOTS: Final = {0.002: 0.01, 0.02: 0.05, 0.1: 0.25}
"""Of hosts that fail so often an hour, the share of boots that come to nothing."""
GIVEN_UP: Final = timedelta(minutes=12)
"""How long a boot that comes to nothing is waited and paid for."""
_HOUR: Final = timedelta(hours=1)
_TICKS_AN_HOUR: Final = round(_HOUR / TICK)
_BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_PROVIDER, _GPU = "market", "V100"
_STAY: Final = 8  # hours that a price is looked ahead for, as long as placement takes a stay to be
_HISTORY: Final = 168  # hours of prices that a forecast reads


class Way(StrEnum):
    """How a machine is chosen."""

    PRICE = "price alone"
    RISK = "placement with risk"
    FORECAST = "placement with forecasts"
    BOTH = "placement with both"


@dataclass(frozen=True, kw_only=True)
class Host:
    """One machine."""

    machine_id: str
    region: str
    dearer: float  # than its region's price, as a factor
    claimed: float  # reliability, by its own word
    works: Sequence[bool]  # at each tick
    boots: Sequence[bool]  # whether a machine that is rented at this tick comes up


@dataclass(frozen=True, kw_only=True)
class Region:
    name: str
    up: Sequence[bool]  # whether interruptible machines are to be had, at each tick
    price: Sequence[float]  # USD per hour, at each tick


@dataclass(frozen=True, kw_only=True)
class Market:
    regions: Mapping[str, Region]
    hosts: Sequence[Host]

    @property
    def ticks(self) -> int:
        return min(len(each.up) for each in self.regions.values())


@dataclass(kw_only=True)
class Account:
    """What all workloads of a month came to. Hours, and USD."""

    way: Way
    cost: float = 0.0
    useful: float = 0.0
    paid: float = 0.0
    waited: float = 0.0
    taken: int = 0  # machines that the market took
    failed: int = 0  # hosts that failed

    @property
    def per_useful_hour(self) -> float:
        """USD; infinite where nothing was done."""
        return self.cost / self.useful if self.useful else math.inf


# --- the market ------------------------------------------------------------------------------------------------------


def market(
    seed: int, *, ups: Mapping[str, Sequence[bool]] | None = None, ticks: int = round((BEFORE + MONTH) / TICK)
) -> Market:
    """Equal seeds make equal markets. `ups`: when regions were up, from records of real ones, tick by tick."""
    dice = random.Random(seed)  # noqa: S311 (a study must be repeatable, not secret)
    ups = ups or {f"region-{place + 1}": _lives(dice, ticks, usual) for place, usual in enumerate(_usual_lives(dice))}
    regions = {name: Region(name=name, up=up, price=_prices(dice, len(up))) for name, up in ups.items()}
    hosts = [_host(dice, name, number, len(region.up)) for name, region in regions.items() for number in range(HOSTS)]
    return Market(regions=regions, hosts=hosts)


def _usual_lives(dice: random.Random) -> list[float]:
    """Mean hours up of each region, as far apart as six real zones were: from less than one to more than ten."""
    found = [1.0, 2.0, 4.0, 6.0, 10.0, 16.0]
    dice.shuffle(found)
    return found


def _lives(dice: random.Random, ticks: int, usual: float) -> list[bool]:
    """Up and down in turn. Lives have a falling hazard, as in real zones (Weibull, shape 0.6), times down do not."""
    scale = usual / math.gamma(1 + 1 / 0.6)
    up: list[bool] = []
    while len(up) < ticks:
        up += [True] * max(1, round(dice.weibullvariate(scale, 0.6) * _TICKS_AN_HOUR))
        up += [False] * max(1, round(dice.expovariate(1 / 1.5) * _TICKS_AN_HOUR))
    return up[:ticks]


def _prices(dice: random.Random, ticks: int) -> list[float]:
    """A log price that comes back to its mean within a day or so."""
    usual, away, found = dice.uniform(0.905, 0.935), 0.0, []
    for _ in range(math.ceil(ticks / _TICKS_AN_HOUR)):
        away = 0.99 * away + dice.gauss(0.0, 0.003)
        found += [usual * math.exp(away)] * _TICKS_AN_HOUR
    return found[:ticks]


def _host(dice: random.Random, region: str, number: int, ticks: int) -> Host:
    rate = dice.choices(list(_FAILED_BOOTS), weights=[7, 2, 1])[0]  # most are good, some are bad
    works = [True] * ticks
    at = 0.0
    while (at := at + dice.expovariate(rate) * _TICKS_AN_HOUR) < ticks:
        out = int(at) + max(1, round(dice.uniform(0.1, 0.5) * _TICKS_AN_HOUR))
        works[int(at) : out] = [False] * (min(out, ticks) - int(at))
        at = out
    boots = [dice.random() >= _FAILED_BOOTS[rate] for _ in range(ticks)]
    claimed = min(0.999, max(0.8, 1 - 0.3 * rate + dice.gauss(0.0, 0.005)))
    dearer = dice.uniform(1.0, 1.01)
    return Host(
        machine_id=f"{region}/{number}", region=region, dearer=dearer, claimed=claimed, works=works, boots=boots
    )


# --- a month ---------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Machine:
    host: Host
    since: int
    worked: float = 0.0  # hours


@dataclass(kw_only=True)
class _Lived:
    """What the records would tell: stays by machine, in ticks, and whether the host failed."""

    had: dict[str, list[tuple[int, int, bool]]] = field(default_factory=lambda: defaultdict(list))


def live(world: Market, way: Way, *, workloads: int = WORKLOADS) -> Account:
    """Run the month. Equal input gives an equal account."""
    account, lived = Account(way=way), _Lived()
    machines: list[_Machine | None] = [None] * workloads
    for at in range(round(BEFORE / TICK), world.ticks):
        for place in range(workloads):
            machine = machines[place]
            if machine is not None and _is_lost(world, machine, at, account, lived):
                machines[place] = None
            if machines[place] is None and (host := choose(world, way, at, lived, machines)) is not None:
                machines[place] = _Machine(host=host, since=at)
            _pass(world, machines[place], at, account)
    return account


def _is_lost(world: Market, machine: _Machine, at: int, account: Account, lived: _Lived) -> bool:
    host = machine.host
    taken, failed = not world.regions[host.region].up[at], not host.works[at]
    failed = failed or (not host.boots[machine.since] and (at - machine.since) * TICK >= GIVEN_UP)
    if not taken and not failed:
        return False
    account.useful -= machine.worked % (SAVES / _HOUR)
    account.taken += taken
    account.failed += failed and not taken
    lived.had[host.machine_id].append((machine.since, at, failed and not taken))
    return True


def _pass(world: Market, machine: _Machine | None, at: int, account: Account) -> None:
    hours = 1 / _TICKS_AN_HOUR
    if machine is None:
        account.waited += hours
        return
    account.paid += hours
    account.cost += world.regions[machine.host.region].price[at] * machine.host.dearer * hours
    if (at - machine.since) * TICK >= MOVE and machine.host.boots[machine.since]:
        account.useful += hours
        machine.worked += hours


def choose(world: Market, way: Way, at: int, lived: _Lived, machines: Sequence[_Machine | None]) -> Host | None:
    """The machine to take now; None: there is none."""
    running = [each for each in machines if each is not None]
    just_failed = {name for name, had in lived.had.items() if had[-1][2] and had[-1][1] == at}
    taken = just_failed.union(each.host.machine_id for each in running)
    open_now = [
        host
        for host in world.hosts
        if host.machine_id not in taken and world.regions[host.region].up[at] and host.works[at]
    ]
    if not open_now:
        return None
    by_id = {host.machine_id: host for host in open_now}
    offers = [_offer(host, world.regions[host.region].price[at]) for host in open_now]
    if way is Way.PRICE:
        return by_id[min(offers, key=lambda each: (each.hourly, each.machine_id)).machine_id]
    now = _BEGAN + at * TICK
    ranking = placement.rank(
        offers,
        _NEEDS,
        now=now,
        memory=_memory(lived, running, at) if way is not Way.FORECAST else {},
        risks=_risks(world, way, at),
    )
    return by_id[ranking.best[0].machine_id]


_NEEDS: Final = Requirements(
    gpu=_GPU, gpu_count=1, gpu_memory_gb=16, max_hourly=Decimal(100), terms=Terms.INTERRUPTIBLE
)


def _offer(host: Host, price: float) -> Offer:
    hourly = Decimal(f"{price * host.dearer:.4f}")
    return Offer(
        provider=_PROVIDER,
        offer_id=host.machine_id,
        machine_id=host.machine_id,
        gpu=_GPU,
        gpu_count=1,
        gpu_memory_gb=16,
        disk_gb=100,
        region=host.region,
        terms=Terms.INTERRUPTIBLE,
        hourly=hourly,
        bid=hourly,
        reliability=host.claimed,
        verified=True,
    )


def _memory(lived: _Lived, running: Sequence[_Machine], at: int) -> dict[MachineKey, MachineMemory]:
    """As `records.host_memory` tells it."""
    since = at - round(host_memory.LATELY / TICK)
    found = {}
    for machine_id in {*lived.had, *(each.host.machine_id for each in running)}:
        stays = lived.had.get(machine_id, [])
        now_had = [(each.since, at, False) for each in running if each.host.machine_id == machine_id]
        recent = [each for each in [*stays, *now_had] if each[1] > since]
        up = sum((until - max(began, since) for began, until, _ in recent)) * TICK
        failures = sum(failed for _, _, failed in recent)
        key = MachineKey(provider=_PROVIDER, machine_id=machine_id)
        found[key] = MachineMemory(
            provider=_PROVIDER,
            machine_id=machine_id,
            bad=sum(failed for _, _, failed in stays),
            neutral=sum(not failed for _, _, failed in stays),
            measured=True,
            watched=up + failures * host_memory.DOWN_AFTER_A_FAILURE,
            up=up,
        )
    return found


def _risks(world: Market, way: Way, at: int) -> list[PlaceRisk]:
    """What hourly looks at a region's market tell of it, and the price that is expected there."""
    return [_risk(way, region, at) for _, region in sorted(world.regions.items())]


def _risk(way: Way, region: Region, at: int) -> PlaceRisk:
    zero = at - round(LOSSES_KNOWN / TICK)
    looks = [(tick, region.up[tick]) for tick in range(max(zero, at % _TICKS_AN_HOUR), at + 1, _TICKS_AN_HOUR)]
    spans = [
        interruption.Span((tick - zero) * TICK, min(tick - zero + _TICKS_AN_HOUR, at - zero) * TICK, up)
        for tick, up in looks
        if tick < at
    ]
    known = place_risk((_PROVIDER, region.name), joined(spans), _BEGAN + zero * TICK, _BEGAN + at * TICK)
    told = _like_all(region.name) if way is Way.FORECAST else known
    if way is Way.RISK:
        return told
    hourly = [math.log(price) for price in region.price[at::-_TICKS_AN_HOUR]][:_HISTORY][::-1]
    return replace(told, drift=drift(hourly))


def joined(spans: Sequence[interruption.Span]) -> list[interruption.Span]:
    """Spans that follow each other and are alike, as one."""
    found: list[interruption.Span] = []
    for span in spans:
        if found and found[-1].up is span.up and found[-1].until == span.since:
            found[-1] = interruption.Span(found[-1].since, span.until, span.up)
        else:
            found.append(span)
    return found


def _like_all(region: str) -> PlaceRisk:
    """Of a region of which nothing is known but its price."""
    usual = placement.chances(None)
    return PlaceRisk(
        provider=_PROVIDER,
        region=region,
        hour=usual.hour,
        six_hours=usual.six_hours,
        day=usual.day,
        age=timedelta(),
        losses=0,
        watched=timedelta(),
    )


def drift(logs: Sequence[float], *, ahead: int = _STAY) -> float:
    """How much dearer the mean of the next hours is expected to be than now, as a share: an AR(1) of hourly log prices.

    Nothing before a day was seen. The coefficient is drawn to one, where the last price is the best forecast.
    """
    if len(logs) < 24:
        return 0.0
    mean = sum(logs) / len(logs)
    away = [each - mean for each in logs]
    spread = sum(each * each for each in away[:-1])
    if spread <= 0:
        return 0.0
    fitted = sum(later * earlier for earlier, later in pairwise(away)) / spread
    weight = len(logs) / (len(logs) + 24)
    keeps = min(1.0, max(0.0, weight * fitted + (1 - weight)))
    expected = sum(keeps**hour for hour in range(1, ahead + 1)) / ahead
    return math.exp(away[-1] * (expected - 1)) - 1
