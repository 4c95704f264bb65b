"""The plot: an endpoint that costs nothing, is woken, sleeps, is woken by a hundred, and loses its machine asleep."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal

from holdfast.cli import words
from holdfast.cli.demo.findings import DemoFailed, Finding
from holdfast.cli.demo.serverless.calls import Caller
from holdfast.cli.demo.serverless.stage import Stage
from holdfast.cli.demo.telling import Say
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.endpoints import LINGER, EndpointPhase, EndpointStatus, replica_name

CROWD = 100
SHORT, LONG = 12, 400  # letters; the long one takes more time than the endpoint would stay awake
PROMPT = "Once upon a time"
LOOK_EVERY = 0.2
DESTROYED_WITHIN = 10.0  # seconds that the market may take

Scene = Callable[[], Awaitable[Finding]]


class Story:
    """Its scenes, in the order in which they are played. Each finds out whether one promise holds."""

    def __init__(self, holdfast: Holdfast, stage: Stage, callers: dict[str, Caller], say: Say) -> None:
        self._holdfast = holdfast
        self._stage = stage
        self._say = say
        self._stopping, self._leaving = stage.stopping.name, stage.leaving.name
        self._callers = callers

    def scenes(self) -> tuple[Scene, ...]:
        return (
            self._costs_nothing_yet,
            self._first_call,
            self._sleeps,
            self._wakes_once_for_a_crowd,
            self._streams_for_long,
            self._is_outbid_asleep,
            self._leaves_and_comes_back,
            self._is_outbid_awake,
        )

    async def _costs_nothing_yet(self) -> Finding:
        bill = self._stage.market.bill()
        detail = (
            f"2 endpoints deployed, {len(bill['lines'])} machines rented, {words.money(Decimal(bill['total']))} billed"
        )
        return Finding("costs nothing before the first call", not bill["lines"], detail)

    async def _first_call(self) -> Finding:
        self._say(f"** the first call for {self._stopping}; there is no machine yet")
        right, took = await self._answers_rightly(self._stopping, seed=1)
        return Finding("the first call is held, and answered right", right, f"in {took:.1f} s, from nothing")

    async def _sleeps(self) -> Finding:
        self._say("** nobody calls")
        asleep, after = await self._paused(self._stopping)
        states = {each["state"] for each in self._machines(self._stopping)}
        awake = sum((each.lease.hourly for each in asleep.replicas if each.lease), start=Decimal(0))
        detail = f"stopped {after:.1f} s later; {words.rate(asleep.hourly)} for its disk instead of {words.rate(awake)}"
        return Finding("sleeps when nobody calls", "running" not in states and asleep.hourly < awake, detail)

    async def _wakes_once_for_a_crowd(self) -> Finding:
        self._say(f"** {CROWD} callers at once")
        before = await self._status(self._stopping)
        rights = await asyncio.gather(*(self._answers_rightly(self._stopping, seed=seed) for seed in range(CROWD)))
        right = sum(each for each, _ in rights)
        wakes = (await self._status(self._stopping)).wakes - before.wakes
        slowest = max(took for _, took in rights)
        detail = f"{right} right answers, {words.count(wakes, 'wake')}, the slowest after {slowest:.1f} s"
        return Finding(f"{CROWD} calls at once, one wake", right == CROWD and wakes == 1, detail)

    async def _streams_for_long(self) -> Finding:
        idle = max((await self._status(self._stopping)).sleeps_after, LINGER)
        self._say(f"** one caller streams for longer than the {words.duration(idle)} after which it would sleep")
        begun = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            streaming = group.create_task(self._callers[self._stopping].stream(PROMPT, LONG, 3, begun=begun))
            await begun.wait()
            wakes = (await self._status(self._stopping)).wakes
        came = streaming.result()
        whole = came.whole and came.text == self._stage.right_answer(PROMPT, LONG, 3)
        more = (await self._status(self._stopping)).wakes - wakes
        detail = (
            f"{len(came.text)} letters in {came.took:.1f} s, {'whole' if whole else 'NOT whole'}, "
            f"{words.count(more, 'wake')} meanwhile"
        )
        held = whole and not more and came.took > idle.total_seconds()
        return Finding("a stream longer than the idle time is never cut", held, detail)

    async def _is_outbid_asleep(self) -> Finding:
        asleep, _ = await self._paused(self._stopping)
        before = _label(asleep)
        self._say("** somebody bids more for the machine that sleeps; then somebody calls")
        await asyncio.to_thread(self._stage.market.outbid, replica_name(self._stopping, 0))
        return await self._moved(self._stopping, before, "outbid while it sleeps, it wakes elsewhere")

    async def _leaves_and_comes_back(self) -> Finding:
        name = self._leaving
        self._say(f"** two calls for {name}, whose machine is let go while it sleeps")
        rights = [(await self._answers_rightly(name, seed=seed))[0] for seed in (5, 6)]
        asleep, after = await self._paused(name)
        machines = await self._machines_let_go(name)
        self._say(f"** {name} is asleep, with {words.count(len(machines), 'machine')}; one more call")
        right, took = await self._answers_rightly(name, seed=7)
        remembers = await self._callers[name].completions_so_far()
        held = all((*rights, right)) and not machines and not asleep.hourly and remembers == 3
        detail = (
            f"asleep after {after:.1f} s with {words.count(len(machines), 'machine')} at {words.rate(asleep.hourly)}; "
            f"awake in {took:.1f} s on another, and it remembers {remembers} of 3 completions"
        )
        return Finding("let go while it sleeps, it comes back with its state", held, detail)

    async def _is_outbid_awake(self) -> Finding:
        before = _label(await self._status(self._leaving))
        self._say("** somebody bids more for the machine that is awake, and somebody calls")
        await asyncio.to_thread(self._stage.market.outbid, replica_name(self._leaving, 0))
        return await self._moved(self._leaving, before, "outbid while it is awake, it fails over")

    async def _moved(self, name: str, before: str, what: str) -> Finding:
        right, took = await self._answers_rightly(name, seed=4)
        after = _label(await self._status(name))
        detail = f"{before} → {after}, {'right' if right else 'WRONG'} answer after {took:.1f} s"
        return Finding(what, right and after != before, detail)

    async def _answers_rightly(self, name: str, *, seed: int) -> tuple[bool, float]:
        """Whether a completion is the one that this computer finds, and how long it took."""
        began = time.monotonic()
        text = await self._callers[name].complete(PROMPT, SHORT, seed)
        return text == self._stage.right_answer(PROMPT, SHORT, seed), time.monotonic() - began

    async def _paused(self, name: str) -> tuple[EndpointStatus, float]:
        """Wait until it sleeps; how it is then, and how long that took."""
        began = time.monotonic()
        while (status := await self._status(name)).phase is not EndpointPhase.PAUSED:
            if status.phase is EndpointPhase.STOPPED:
                raise DemoFailed(f"{name} has ended: {status.reason}")
            await asyncio.sleep(LOOK_EVERY)
        return status, time.monotonic() - began

    async def _machines_let_go(self, name: str) -> list[dict[str, object]]:
        """What is left of them once the market has destroyed what it was told to."""
        until = time.monotonic() + DESTROYED_WITHIN
        left = self._machines(name)
        while left and time.monotonic() < until:
            await asyncio.sleep(LOOK_EVERY)
            left = self._machines(name)
        return left

    async def _status(self, name: str) -> EndpointStatus:
        return await self._holdfast.endpoints.status(name)

    def _machines(self, name: str) -> list[dict[str, object]]:
        """By the market's own books."""
        prefix = f"{replica_name(name, 0)}."
        return [each for each in self._stage.market.instances() if str(each["label"]).startswith(prefix)]


def _label(status: EndpointStatus) -> str:
    return next((each.lease.label for each in status.replicas if each.lease is not None), "no machine")
