"""A study: every policy on every set of zones, many jobs each. Equal orders and equal seeds give equal results."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import inf
from typing import Final

from holdfast.policy.deadline import Plan, Rule
from holdfast.simcloud.studies.job import Outcome, run
from holdfast.simcloud.studies.results import Study, StudyRow, summed_up
from holdfast.simcloud.studies.saving import Cadence
from holdfast.simcloud.studies.traces import Trace
from holdfast.simcloud.studies.world import Choice, World

_AFTER_THE_DEADLINE: Final = 3600.0  # seconds of trace that a job has beyond it, so that a late end is seen
_WARM_UP_SHARE: Final = 0.25  # of a trace, at the most, goes by before the first job


class Together(StrEnum):
    """Which zones a job may use."""

    APART = "apart"  # each zone by itself
    TOGETHER = "together"  # all zones of a folder
    BOTH = "both"


class TooShort(Exception):
    """No trace is long enough for one job. `remedy` says what to change."""

    remedy = "shorten --compute and --deadline, or give longer traces"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to study."""

    compute: timedelta
    deadline: timedelta
    changeover: timedelta
    price_ratio: float
    policies: tuple[Rule, ...]
    machines: int = 1
    choice: Choice = Choice.LONGEST_UP
    together: Together = Together.BOTH
    cadence: timedelta | None = None  # None: as Young and Daly would
    save_cost: timedelta | None = None  # None: progress is kept, nothing is saved
    every: timedelta = timedelta(hours=6)
    jobs: int | None = None  # drawn with `seed`; None: one job `every` so often
    seed: int = 0
    warm_up: timedelta = timedelta(hours=24)

    def plan(self, world: World, start: int) -> Plan:
        """The order for the job that starts at tick `start`, as the production policy reads it."""
        cadence = timedelta()
        if self.save_cost is not None:
            cadence = (self.cadence or world.outlook(start).cadence(self.save_cost)) + self.save_cost
        return Plan(
            work=self.compute,
            deadline=self.deadline,
            changeover=self.changeover,
            review=timedelta(seconds=world.tick),
            spot_share=self.price_ratio,
            cadence=cadence,
        )

    @property
    def saves(self) -> Cadence | None:
        """The cadence as a job follows it."""
        if self.save_cost is None:
            return None
        every = None if self.cadence is None else self.cadence.total_seconds()
        return Cadence(every=every, takes=self.save_cost.total_seconds())


@dataclass(frozen=True, kw_only=True)
class ZoneSet:
    """Zones that a job may choose from."""

    name: str
    world: World


def sets(traces: Sequence[Trace], order: Order) -> list[ZoneSet]:
    """The sets that `order` asks for: single zones as given, then each folder that has several of one tick."""
    found = []
    if order.together is not Together.TOGETHER:
        names = [trace.zone for trace in traces]
        for trace in traces:
            name = trace.zone if names.count(trace.zone) == 1 else f"{trace.origin}/{trace.zone}"
            found.append(ZoneSet(name=name, world=World.of([trace], machines=order.machines)))
    if order.together is not Together.APART:
        for (origin, _), group in _folders(traces):
            if len(group) > 1 or order.together is Together.TOGETHER:
                name = f"{origin} ({len(group)} zones)"
                found.append(ZoneSet(name=name, world=World.of(group, machines=order.machines)))
    return found


def largest(traces: Sequence[Trace], order: Order) -> ZoneSet:
    """The set with the most zones; of several, the one with the longest traces."""
    return max(sets(traces, order), key=lambda each: (len(each.world.zones), each.world.length * each.world.tick))


def _folders(traces: Sequence[Trace]) -> Iterator[tuple[tuple[str, float], list[Trace]]]:
    keys = dict.fromkeys((trace.origin, trace.tick) for trace in traces)
    for key in keys:
        yield key, [trace for trace in traces if (trace.origin, trace.tick) == key]


def starts(world: World, order: Order) -> list[int]:
    """The ticks at which jobs start; none where the world is too short for one."""
    needed = (order.deadline.total_seconds() + _AFTER_THE_DEADLINE) / world.tick
    first = int(min(order.warm_up.total_seconds() / world.tick, _WARM_UP_SHARE * world.length))
    last = int(world.length - needed)
    if last < first:
        return []
    if order.jobs is None:
        return list(range(first, last + 1, max(1, int(order.every.total_seconds() / world.tick))))
    chance = random.Random(order.seed)  # noqa: S311 (a study must be repeatable, not secret)
    return sorted(chance.randint(first, last) for _ in range(order.jobs))


def simulate(
    traces: Sequence[Trace], order: Order, *, tell: Callable[[str, int, int], None] = lambda _what, _done, _all: None
) -> Study:
    """Run the whole study; `tell` hears what runs now, and how many of how many runs are over.

    Raises:
        TooShort: no set of zones is long enough for a single job.
    """
    rows: list[StudyRow] = []
    left_out: list[str] = []
    found = sets(traces, order)
    todo = len(found) * len(order.policies)
    for place, each in enumerate(found):
        begins = starts(each.world, order)
        if not begins:
            left_out.append(f"{each.name}: {each.world.length * each.world.tick / 3600:.1f} h are too few for one job")
            continue
        for index, rule in enumerate(order.policies):
            tell(f"{each.name}, {rule.value}", place * len(order.policies) + index, todo)
            rows.append(_row(each, order, rule, begins))
    if not rows:
        raise TooShort("; ".join(left_out) or "there is no trace")
    return _study(order, rows, left_out)


def _row(zones: ZoneSet, order: Order, rule: Rule, begins: Sequence[int]) -> StudyRow:
    world = zones.world
    return summed_up(
        [_run(zones, order, rule, at) for at in begins],
        order.plan(world, begins[0]),
        zones=zones.name,
        hours=world.length * world.tick / 3600,
        available=sum(world.anywhere.up) / world.length,
        policy=rule.value,
    )


def _run(zones: ZoneSet, order: Order, rule: Rule, start: int, *, story: bool = False) -> Outcome:
    plan = order.plan(zones.world, start)
    return run(zones.world, plan, rule, start=start, choice=order.choice, cadence=order.saves, story=story)


def a_typical_job(zones: ZoneSet, order: Order, rule: Rule) -> Outcome:
    """The job of middle cost, with its story.

    Raises:
        TooShort: the set of zones is too short for a job.
    """
    begins = starts(zones.world, order)
    if not begins:
        raise TooShort(f"{zones.name} is too short for one job")
    outcomes = [_run(zones, order, rule, at) for at in begins]
    middle = sorted(outcomes, key=lambda each: (each.finished == inf, each.cost, each.start))[len(outcomes) // 2]
    return _run(zones, order, rule, middle.start, story=True)


def _study(order: Order, rows: Sequence[StudyRow], left_out: Sequence[str]) -> Study:
    cadence = "off"
    if order.save_cost is not None:
        cadence = "young-daly" if order.cadence is None else f"{order.cadence.total_seconds():g}s"
    return Study(
        compute=order.compute,
        deadline=order.deadline,
        changeover=order.changeover,
        price_ratio=order.price_ratio,
        machines=order.machines,
        choice=order.choice.value,
        cadence=cadence,
        save_cost=order.save_cost or timedelta(),
        every=order.every if order.jobs is None else None,
        seed=None if order.jobs is None else order.seed,
        rows=tuple(rows),
        left_out=tuple(left_out),
    )
