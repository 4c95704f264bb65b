"""Keeps the pace that a provider asks for, for every caller of one account in this process.

Other processes may share the account, so a refusal for haste can come all the same: `refused` learns from it.

Work that waits for a machine goes before what only tidies up: a lost machine is let go in the same moments in which
its successor is rented, and looking at the one must not hold up the other. It goes before at every other turn only,
so that however much is rented, what costs money is seen to.

Work that nobody waits for, such as a survey of prices, leaves half of what a lane allows to everybody else.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta

from holdfast.providers.errors import RateLimited

# Calls travel at different speeds: two that leave on time may arrive a little too close together.
_MARGIN = 0.05
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_JITTER = 0.25
_LEISURE = 3.0  # seconds that a leisurely call may wait with others behind it; before that it waits aside
_hurried: ContextVar[bool] = ContextVar("hurried", default=False)
_leisurely: ContextVar[bool] = ContextVar("leisurely", default=False)


@contextmanager
def hurried() -> Iterator[None]:
    """Calls from within this block go before those of others: somebody's work stands still until they are answered."""
    before = _hurried.set(True)
    try:
        yield
    finally:
        _hurried.reset(before)


def is_hurried() -> bool:
    """Whether this call is from within such a block."""
    return _hurried.get()


@contextmanager
def leisurely() -> Iterator[None]:
    """Calls from within this block take no more than half of what a lane allows, and wait aside, however long."""
    before = _leisurely.set(True)
    try:
        yield
    finally:
        _leisurely.reset(before)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """At most `calls` in any `per`."""

    per: timedelta
    calls: int = 1
    penalty: timedelta = timedelta()  # how long the provider stays deaf to one who came too early


@dataclass
class _Lane:
    pace: Pace
    starts: deque[float]
    blocked_until: float = 0.0
    learned: float = 0.0  # seconds between calls, as a refusal told us
    refusals: int = 0  # in a row
    waiting: int = 0
    in_a_hurry: int = 0  # of those who wait
    gave_way: bool = False  # the last turn went to somebody in a hurry
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)

    def expected(self, now: float, *, hurry: bool) -> float:
        """When one who came now would leave, behind those who wait already."""
        spacing = max(self.pace.per.total_seconds() / self.pace.calls, self.learned) + _MARGIN
        return self.earliest(now) + (self.in_a_hurry if hurry else self.waiting) * spacing

    def gives_way(self, *, hurry: bool) -> bool:
        """Whether this turn is for one of the other kind, who waits as well."""
        if hurry:
            return self.gave_way and self.waiting > self.in_a_hurry
        return self.in_a_hurry > 0 and not self.gave_way

    def earliest(self, now: float) -> float:
        moments = [now, self.blocked_until]
        room = max(self.pace.calls // 2, 1) if _leisurely.get() else self.pace.calls
        if len(self.starts) >= room:
            moments.append(self.starts[-room] + self.pace.per.total_seconds() + _MARGIN)
        if self.starts and self.learned:
            moments.append(self.starts[-1] + self.learned + _MARGIN)
        return max(moments)


class Pacer:
    """Lets calls through one by one, lane by lane. For one event loop; time is given, so that tests can bend it."""

    def __init__(
        self,
        paces: Mapping[str, Pace],
        *,
        patience: timedelta = timedelta(seconds=10),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._lanes = {name: _Lane(pace, deque(maxlen=pace.calls)) for name, pace in paces.items()}
        self._patience = patience.total_seconds()
        self._clock = clock
        self._sleep = sleep
        self._dice = dice

    def wait(self, lane: str) -> timedelta:
        """How long a call on this lane would have to wait if it came now."""
        now = self._clock()
        return timedelta(seconds=self._lanes[lane].expected(now, hurry=_hurried.get()) - now)

    async def turn(self, lane: str) -> None:
        """Wait until the next call on this lane may leave. Calls leave in the order in which they came, `hurried` ones
        before others.

        Raises:
            RateLimited: the wait would outlast our patience; no turn is taken.
        """
        ours, hurry = self._lanes[lane], _hurried.get()
        if _leisurely.get():
            await self._until_soon(ours)
        now = self._clock()
        self._bear(lane, ours.expected(now, hurry=hurry) - now)
        ours.waiting += 1
        ours.in_a_hurry += hurry
        try:
            while not await self._leaves(lane, ours, hurry):  # noqa: ASYNC110 - the gate is what is waited at
                await asyncio.sleep(0)  # those who stand there already come first
        finally:
            ours.waiting -= 1
            ours.in_a_hurry -= hurry

    async def _until_soon(self, ours: _Lane) -> None:
        while (left := ours.expected(now := self._clock(), hurry=False) - now) > _LEISURE:
            await self._sleep(left)

    async def _leaves(self, lane: str, ours: _Lane, hurry: bool) -> bool:
        """Whether the turn was taken; False when it was left to somebody else."""
        async with ours.gate:
            while not ours.gives_way(hurry=hurry):
                left = ours.earliest(self._clock()) - self._clock()
                if left <= 0:
                    ours.starts.append(self._clock())
                    ours.gave_way = hurry
                    return True
                self._bear(lane, left)  # a refusal may have closed the lane meanwhile
                await self._sleep(left)
            return False

    def accepted(self, lane: str) -> None:
        """The provider did not mind the pace of the last call."""
        self._lanes[lane].refusals = 0

    def refused(self, lane: str, *, threshold: timedelta | None) -> timedelta:
        """The provider minded. Slows the lane down and returns how long it stays closed.

        `threshold` is the least interval that the refusal named; it is kept to from now on.
        """
        ours, now = self._lanes[lane], self._clock()
        if threshold is not None:
            ours.learned = max(ours.learned, threshold.total_seconds())
        doubled = min(_FIRST_PAUSE * 2**ours.refusals, _LONGEST_PAUSE)
        pause = max(doubled, ours.learned + _MARGIN, ours.pace.penalty.total_seconds())
        # Everybody who was refused at the same moment must not come back at the same moment.
        pause *= 1 + _JITTER * self._dice()
        ours.refusals += 1
        ours.blocked_until = max(ours.blocked_until, now + pause)
        return timedelta(seconds=ours.blocked_until - now)

    def _bear(self, lane: str, seconds: float) -> None:
        if seconds > self._patience:
            message = f"too many calls of {lane}; the next may leave in {seconds:.1f} s"
            raise RateLimited(message, retry_after=timedelta(seconds=seconds))
