"""One endpoint as this gateway sees it: its pass, the requests at its replicas, and those that wait for one.

One task per endpoint, the keeper, does all the asking, so there is never more than one `wake` in the air. It lives
while there are requests or were a moment ago. A request that finds a valid pass never meets it.

Holds throughout: no request is sent without a valid pass, and none that was sent is cut because a pass was not renewed.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from time import monotonic

from holdfast.contracts.endpoints import (
    LINGER,
    DoorSpec,
    EndpointPhase,
    IdleNotice,
    Pass,
    WakeRequest,
)
from holdfast.telemetry.gateway_metrics import GatewayMetrics
from holdfast.workers.gateway.answers import SOON, unavailable
from holdfast.workers.gateway.doorkeeper import Away, Doorkeeper
from holdfast.workers.gateway.replicas import Reach, Replica

log = logging.getLogger("holdfast.gateway")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How often the workflow is bothered. In seconds."""

    linger: float = LINGER.total_seconds()
    first_pause: float = 0.25  # between two questions that led nowhere; doubled up to
    longest_pause: float = 5.0
    report_every: float = 2.0  # at most, because the load rose
    grace: float = 5.0  # for which the workflow may be away before waiting callers are told


class Gate:
    """See above."""

    def __init__(
        self,
        name: str,
        *,
        gateway: str,
        doorkeeper: Doorkeeper,
        reach: Reach,
        metrics: GatewayMetrics,
        timing: Timing,
    ) -> None:
        self.name = name
        self._gateway = gateway
        self._doorkeeper = doorkeeper
        self._reach = reach
        self._timing = timing
        self._wakes = metrics.wakes
        self._in_flight_gauge = metrics.in_flight.labels(name)
        self._held_gauge = metrics.held.labels(name)
        self._held_seconds = metrics.held_seconds.labels(name)
        self._pass: Pass | None = None
        self._asked_at = self._valid_until = self._not_before = -inf
        self._pause = 0.0
        self._failing_since: float | None = None
        self._answer_within: timedelta | None = None
        self._trouble = ""
        self._replicas: dict[str, Replica] = {}  # of the newest pass, by the labels of their leases
        self._retired: set[Replica] = set()  # of older ones, with requests still
        self._broken: set[str] = set()
        self._in_flight = self._waiting = self._reported = 0
        self._quiet_since = monotonic()
        self._news = asyncio.Event()  # a question was answered, or was not
        self._poke = asyncio.Event()  # the keeper has a reason to ask
        self._keeper: asyncio.Task[None] | None = None

    @property
    def asleep(self) -> bool:
        """Whether nothing goes on here: no request, no pass."""
        return self._keeper is None or self._keeper.done()

    # For requests.

    async def enter(self, door: DoorSpec, until: float) -> Replica:
        """The replica with the fewest requests; `leave` must follow.

        Raises:
            Refusal: none was awake by `until` on the monotonic clock, too many wait already, or nobody can be asked.
        """
        replica = self._choose() or await self._held(door, until)
        replica.in_flight += 1
        self._in_flight += 1
        self._in_flight_gauge.inc()
        return replica

    async def leave(self, replica: Replica) -> None:
        """The request that `enter` was called for has ended."""
        replica.in_flight -= 1
        self._in_flight -= 1
        self._in_flight_gauge.dec()
        self._maybe_quiet()
        if replica.retired and not replica.in_flight:
            self._retired.discard(replica)
            await replica.close()

    def broke(self, replica: Replica) -> None:
        """Nothing answers there: it is not used before a newer pass, and the workflow is told."""
        if self._replicas.get(replica.label) is replica:
            self._broken.add(replica.label)
            self._wake_keeper()

    def _choose(self) -> Replica | None:
        if monotonic() >= self._valid_until:
            return None
        usable = [each for label, each in self._replicas.items() if label not in self._broken]
        return min(usable, key=lambda each: each.in_flight, default=None)

    async def _held(self, door: DoorSpec, until: float) -> Replica:
        if self._waiting >= door.queue:
            raise unavailable("queue_full", f"{self._waiting} requests wait already for {self.name}", retry_after=SOON)
        began = monotonic()
        self._answer_within = door.wait / 4  # so that whoever waits in vain can be told why
        self._waiting += 1
        self._held_gauge.inc()
        try:
            async with asyncio.timeout(until - began):
                while True:
                    self._wake_keeper()
                    await self._news.wait()
                    if (replica := self._choose()) is not None:
                        return replica
                    self._raise_what_is_hopeless()
        except TimeoutError:
            raise unavailable("not_awake", f"{self.name} is not awake yet: {self._told()}") from None
        finally:
            self._waiting -= 1
            self._held_gauge.dec()
            self._held_seconds.observe(monotonic() - began)
            self._maybe_quiet()

    def _raise_what_is_hopeless(self) -> None:
        if self._failing_since is not None and monotonic() - self._failing_since >= self._timing.grace:
            raise unavailable("control_unreachable", f"{self.name} cannot be woken: {self._trouble}")
        if self._failing_since is not None or self._pass is None:
            return
        if self._pass.phase is EndpointPhase.STOPPED:
            raise unavailable("endpoint_stopped", f"{self.name} is stopped: {self._told()}")
        if self._pass.refused:
            raise unavailable("not_woken", self._told())

    def _told(self) -> str:
        """Why there is no replica, in the workflow's words."""
        if self._trouble or self._pass is None:
            return self._trouble or "no answer yet"
        return self._pass.reason or self._pass.phase.value

    def _maybe_quiet(self) -> None:
        if not self._in_flight and not self._waiting:
            self._quiet_since = monotonic()

    # The keeper.

    def _wake_keeper(self) -> None:
        self._poke.set()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name=f"keeper of {self.name}")

    async def _keep(self) -> None:
        while True:
            now = monotonic()
            if (pause := self._next_question() - now) <= 0:
                await self._ask()
            elif self._is_over(now):
                await self._give_back()
                if self._is_over(monotonic()):  # nobody came meanwhile
                    return
            else:
                await self._doze(min(pause, self._timing.linger / 5))

    async def _doze(self, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._poke.wait()
        except TimeoutError:
            pass
        self._poke.clear()

    def _next_question(self) -> float:
        """When to ask, on the monotonic clock."""
        if (self._waiting and self._choose() is None) or self._broken:
            return self._not_before
        if self._pass is None:
            return inf
        if self._load_is_news():
            return max(self._not_before, self._asked_at + self._timing.report_every)
        return max(self._not_before, self._asked_at + self._pass.valid_for.total_seconds() / 2)

    def _load_is_news(self) -> bool:
        """It has risen by much, or to more than the replicas have room for."""
        load = self._in_flight + self._waiting
        room = self._pass.room if self._pass is not None else None
        if room is not None and load > max(room, self._reported):
            return True
        return load >= self._reported + max(4, self._reported // 2)

    def _is_over(self, now: float) -> bool:
        return not self._in_flight and not self._waiting and now >= self._quiet_since + self._timing.linger

    async def _ask(self) -> None:
        asked_at, broken, load = monotonic(), frozenset(self._broken), self._in_flight + self._waiting
        request = WakeRequest(
            gateway=self._gateway,
            in_flight=self._count_by_replica(),
            waiting=self._waiting,
            broken=tuple(sorted(broken)),
            answer_within=self._answer_within,
        )
        try:
            answer = await self._doorkeeper.wake(self.name, request)
        except Away as err:
            self._fail(asked_at, str(err) or "no answer")
        except Exception as err:  # whoever waits must hear of it, whatever it is
            log.exception("waking %s failed", self.name)
            self._fail(asked_at, type(err).__name__)
        else:
            self._take(answer, asked_at, load)
            self._broken -= broken
            self._rest(led_nowhere=bool(broken) or not answer.routes)
            self._wakes.labels(self.name, "pass" if answer.routes else "not_yet").inc()
        self._news.set()
        self._news = asyncio.Event()
        await self._close_retired()

    def _count_by_replica(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for each in (*self._replicas.values(), *self._retired):
            counts[each.route.replica] += each.in_flight
        return dict(counts)

    def _fail(self, asked_at: float, reason: str) -> None:
        if self._failing_since is None:
            self._failing_since = asked_at
        if reason != self._trouble:
            log.warning("%s cannot be asked: %s", self.name, reason)
        self._trouble = reason
        self._rest(led_nowhere=True)
        self._wakes.labels(self.name, "away").inc()

    def _rest(self, *, led_nowhere: bool) -> None:
        longer = min(max(2 * self._pause, self._timing.first_pause), self._timing.longest_pause)
        self._pause = longer if led_nowhere else 0.0
        self._not_before = monotonic() + self._pause

    def _take(self, answer: Pass, asked_at: float, load: int) -> None:
        self._failing_since, self._trouble = None, ""
        self._pass, self._asked_at, self._reported = answer, asked_at, load
        self._valid_until = asked_at + answer.valid_for.total_seconds()
        older, self._replicas = self._replicas, {}
        for route in answer.routes:
            known = older.get(route.lease.label)
            same = known if known is not None and known.is_at(route) else Replica(route, self._reach)
            self._replicas[route.lease.label] = same
        for each in older.values():
            if self._replicas.get(each.label) is not each:
                self._retire(each)

    def _retire(self, replica: Replica) -> None:
        replica.retired = True
        self._broken.discard(replica.label)
        self._retired.add(replica)

    async def _close_retired(self) -> None:
        for each in [each for each in self._retired if not each.in_flight]:
            self._retired.discard(each)
            await each.close()

    async def _give_back(self) -> None:
        had, self._pass = self._pass, None
        self._valid_until = -inf
        self._failing_since, self._trouble, self._pause = None, "", 0.0
        for each in self._replicas.values():
            self._retire(each)
        self._replicas = {}
        self._broken.clear()
        if had is not None:
            quiet = timedelta(seconds=monotonic() - self._quiet_since)
            try:
                await self._doorkeeper.idle(self.name, IdleNotice(gateway=self._gateway, quiet_for=quiet))
            except Away as err:
                log.warning("the pass of %s could not be given back, and runs out: %s", self.name, err)
        await self._close_retired()

    async def close(self) -> None:
        """Give the pass back, whoever is still there."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._give_back()
