"""Which waiting job goes next: by priority, and among equals by what their keys have had so far.

What a key has had is the running time of its jobs, divided by its weight. A job is charged when it is admitted, with
what jobs of its key usually take, and set right when it is known; so shares come out fair in time, not in numbers of
jobs, and no key waits for ever. A key that comes late, or comes back, begins where the least of the others stands by
the time that its jobs have run, whatever they are charged with: it is owed nothing for the time in which it asked for
nothing, and owes nothing for what others are only thought to need.

A job that waits rises by one priority in every `AGE`, so that the highest cannot keep the lowest out for ever.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from holdfast.contracts.jobs import Admitted, KeyState, QueueState, Waiting

AGE = timedelta(hours=6)
UNKNOWN_TAKES = 60.0
"""Seconds that a job is charged with before any of its queue has ended."""
_NEWEST_COUNTS = 0.3
IDLE_KEPT = 200
"""Keys without jobs that are remembered."""


def enqueue(state: QueueState, jobs: Iterable[Waiting], now: datetime, *, by_charge: bool = False) -> QueueState:
    """These wait as well; one that waits or runs already does so as before. A thousand may come at once: one pass.

    `by_charge`: a key that comes late begins at what the others are charged with, as queues once had it.
    """
    known = {each.job for each in state.waiting} | {each.job for each in state.admitted}
    active, keys = _active(state), {each.key: each for each in state.keys}
    least = _least(state.keys if by_charge else _by_the_clock(state, now), active) if active else None
    waiting = list(state.waiting)
    for each in jobs:
        if each.job in known:
            continue
        known.add(each.job)
        waiting.append(replace(each, since=each.since or now))
        if each.key not in active:
            active.add(each.key)
            had = keys[each.key].had if each.key in keys else 0.0
            least = had if least is None else least
            keys[each.key] = replace(keys.get(each.key) or KeyState(key=each.key, had=had), had=max(had, least))
    return replace(state, waiting=tuple(waiting), keys=tuple(keys.values()))


def admit(state: QueueState, now: datetime) -> tuple[QueueState, tuple[Admitted, ...]]:
    """All that may run now, in the order in which they go."""
    going: list[Admitted] = []
    while len(state.admitted) < state.at_once and (chosen := next_of(state, now)) is not None:
        state, admitted = _admitted(state, chosen, now)
        going.append(admitted)
    return state, tuple(going)


def limited(state: QueueState, at_once: int) -> QueueState:
    """So many may run from now on."""
    return replace(state, at_once=at_once)


def done(state: QueueState, jobs: Iterable[str], now: datetime) -> QueueState:
    """These are over, or do not want to run any more. Of one that is not known nothing follows."""
    over = frozenset(jobs)
    keys = {each.key: each for each in state.keys}
    ended = [each for each in state.admitted if each.job in over]
    for each in ended:
        keys[each.key] = _settled(keys[each.key], each, max((now - each.since).total_seconds(), 0.0))
    return _pruned(
        replace(
            state,
            waiting=tuple(each for each in state.waiting if each.job not in over),
            admitted=tuple(each for each in state.admitted if each.job not in over),
            keys=tuple(keys.values()),
            done=state.done + len(ended),
        )
    )


def next_of(state: QueueState, now: datetime) -> Waiting | None:
    """The one that goes when a place is free."""
    running = Counter(each.array for each in state.admitted if each.array)
    may = [
        each for each in state.waiting if not each.array or each.at_once is None or running[each.array] < each.at_once
    ]
    if not may:
        return None
    had = {each.key: each.had for each in state.keys}
    place = {each.job: number for number, each in enumerate(state.waiting)}
    return min(may, key=lambda each: (rank(each, now), had.get(each.key, 0.0), place[each.job]))


def in_order(state: QueueState, now: datetime) -> tuple[Waiting, ...]:
    """Those that wait, as they would go if a place became free for each of them now."""
    had = {each.key: each.had for each in state.keys}
    by_rank: dict[int, dict[str, deque[Waiting]]] = {}
    for each in state.waiting:
        by_rank.setdefault(rank(each, now), {}).setdefault(each.key, deque()).append(each)
    ordered: list[Waiting] = []
    for _, keys in sorted(by_rank.items()):
        heap = [(had.get(key, 0.0), number, key) for number, key in enumerate(keys)]
        heapify(heap)
        while heap:
            at, number, key = heappop(heap)
            ordered.append(job := keys[key].popleft())
            had[key] = at + _usual(state.keys, key) / job.weight
            if keys[key]:
                heappush(heap, (had[key], number, key))
    return tuple(ordered)


def rank(job: Waiting, now: datetime) -> int:
    """Its priority, risen by its age: 1 goes first."""
    waited = max(now - (job.since or now), timedelta())
    return max(job.priority - waited // AGE, 1)


def shares(admitted: Sequence[Admitted]) -> dict[str, float]:
    """How much of these each key has, from 0 to 1."""
    counted = Counter(each.key for each in admitted)
    return {key: number / len(admitted) for key, number in counted.items()}


def _pruned(state: QueueState) -> QueueState:
    """Keys for which nothing waits or runs are remembered only while they have had more than those that are left."""
    active = _active(state)
    least = _least(state.keys, active)
    idle = [each.key for each in state.keys if each.key not in active]
    kept = {each.key for each in state.keys if each.key in active or not active or each.had > least}
    kept -= set(idle[:-IDLE_KEPT])
    return (
        state
        if len(kept) == len(state.keys)
        else replace(state, keys=tuple(each for each in state.keys if each.key in kept))
    )


def _active(state: QueueState) -> set[str]:
    return {each.key for each in state.waiting} | {each.key for each in state.admitted}


def _by_the_clock(state: QueueState, now: datetime) -> Iterable[KeyState]:
    """The keys with what their jobs have had until now, instead of what those that run are charged with."""
    ahead: defaultdict[str, float] = defaultdict(float)
    for each in state.admitted:
        ahead[each.key] += each.charged - max((now - each.since).total_seconds(), 0.0) / each.weight
    return (replace(each, had=each.had - ahead[each.key]) for each in state.keys)


def _least(keys: Iterable[KeyState], active: Collection[str]) -> float:
    return min((each.had for each in keys if each.key in active), default=0.0)


def _admitted(state: QueueState, job: Waiting, now: datetime) -> tuple[QueueState, Admitted]:
    usual = _usual(state.keys, job.key)
    charged = usual / job.weight
    admitted = Admitted(job=job.job, key=job.key, since=now, charged=charged, weight=job.weight, array=job.array)
    keys = tuple(replace(each, had=each.had + charged) if each.key == job.key else each for each in state.keys)
    rest = tuple(each for each in state.waiting if each.job != job.job)
    return replace(state, waiting=rest, admitted=(*state.admitted, admitted), keys=keys), admitted


def _usual(keys: Iterable[KeyState], key: str) -> float:
    """Of the key itself; else of all others, so that a new one is not charged out of proportion."""
    known = {each.key: each.usual for each in keys if each.usual > 0}
    if not known:
        return UNKNOWN_TAKES
    return known.get(key, sum(known.values()) / len(known))


def _settled(key: KeyState, ended: Admitted, took: float) -> KeyState:
    usual = took if key.usual == 0 else key.usual + _NEWEST_COUNTS * (took - key.usual)
    return replace(key, had=key.had + took / ended.weight - ended.charged, usual=usual)
