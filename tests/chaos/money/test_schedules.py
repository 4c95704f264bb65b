"""Schedules drawn from a seed: several workloads on one market, and whatever may happen to them.

make chaos                                        1,000 schedules from a seed of the day
HOLDFAST_CHAOS_SEED=7 HOLDFAST_CHAOS_SCHEDULES=50 make chaos
HOLDFAST_CHAOS_ONLY=7/31 .venv/bin/pytest -m chaos tests/chaos/money/test_schedules.py    one of them, as it was drawn
"""

import asyncio
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHandle, WorkflowUpdateStage
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from holdfast.contracts.workload import Ack, StopRequest
from holdfast.simcloud.control import SimError
from holdfast.simcloud.model import Trouble
from tests.chaos.money.crew import LISTING_LAG
from tests.chaos.money.yard import A_WHILE, Lane, a_lane, a_yard

SEED = int(os.environ.get("HOLDFAST_CHAOS_SEED") or time.time())
SCHEDULES = int(os.environ.get("HOLDFAST_CHAOS_SCHEDULES") or 1000)
ONLY = os.environ.get("HOLDFAST_CHAOS_ONLY", "")
LANES = 6
WORKLOADS = 3
EVENTS = 6
SPREAD = 2.5  # seconds over which the events of a schedule happen
WORK = 1.0  # seconds

Happening = Callable[[], Awaitable[Any]]


class Schedule:
    """What happens to some workloads, drawn from one seed: the same seed draws the same, in the same order."""

    def __init__(self, lane: Lane, seed: str) -> None:
        self._lane = lane
        self._dice = random.Random(seed)
        self.names = [f"w{uuid.uuid4().hex[:8]}" for _ in range(WORKLOADS)]
        self.twice = False
        self.tenant = f"t{uuid.uuid4().hex[:8]}"
        # From less than what one machine must reserve to more than what all of them do.
        self.budget = Decimal(str(round(self._dice.uniform(0.02, 0.3), 4)))
        self.happened: list[str] = []
        self._handles: list[WorkflowHandle[Any, Any]] = []

    async def play(self) -> list[str]:
        """What is wrong in the end."""
        lane = self._lane
        lane.stand_by()
        lane.limit(self.tenant, self.budget)
        async with lane.audited(self.tenant):
            return await self._play()

    async def _play(self) -> list[str]:
        lane, dice = self._lane, self._dice
        for name in self.names:
            self._handles.append(await lane.run(name, seconds=WORK * dice.uniform(0.3, 1.5), tenant=self.tenant))
        moments = sorted(dice.uniform(0, SPREAD) for _ in range(EVENTS))
        began = time.monotonic()
        for moment in moments:
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            await self._happen()
        lane.control.clear_faults()
        lane.control.set_listing_lag(timedelta(0))
        return await self._wrongs()

    async def _happen(self) -> None:
        kinds: dict[str, tuple[Callable[..., Awaitable[Any]], int]] = {
            "outbid": (self._outbid, 3),
            "taken": (self._take, 1),
            "machine dies": (self._die, 2),
            "crew is killed": (self._kill_crew, 4),
            "stop": (self._stop, 2),
            "cancel": (self._cancel, 2),
            "terminate": (self._terminate, 1),
            "pause": (self._pause, 1),
            "resume": (self._resume, 1),
            "trouble": (self._trouble, 5),
        }
        (kind,) = self._dice.choices(list(kinds), [weight for _, weight in kinds.values()])
        victim = self._dice.randrange(WORKLOADS)
        self._lane.go_on()
        with suppress(SimError, RPCError, TimeoutError, TemporalError):  # what cannot be struck just then is let be
            async with asyncio.timeout(5):
                told = await kinds[kind][0](victim)
        self.happened.append(told if kind == "trouble" else kind)

    async def _outbid(self, victim: int) -> None:
        await asyncio.to_thread(partial(self._lane.control.outbid, self.names[victim], lasting=A_WHILE))

    async def _take(self, victim: int) -> None:
        await asyncio.to_thread(partial(self._lane.control.take, self.names[victim], lasting=A_WHILE))

    async def _die(self, victim: int) -> None:
        await asyncio.to_thread(self._lane.control.kill, self.names[victim])

    async def _kill_crew(self, _victim: int) -> None:
        self._lane.kill()
        self._lane.go_on()

    async def _stop(self, victim: int) -> None:
        await self._order(victim, "stop", StopRequest(save=self._dice.random() < 0.5))

    async def _cancel(self, victim: int) -> None:
        await self._handles[victim].cancel()

    async def _terminate(self, victim: int) -> None:
        await self._handles[victim].terminate("by hand")

    async def _pause(self, victim: int) -> None:
        await self._order(victim, "pause")

    async def _resume(self, victim: int) -> None:
        await self._order(victim, "resume")

    async def _order(self, victim: int, update: str, *args: Any) -> None:
        await self._handles[victim].start_update(
            update, *args, wait_for_stage=WorkflowUpdateStage.ACCEPTED, result_type=Ack
        )

    async def _trouble(self, _victim: int) -> str:
        market, dice = self._lane.control, self._dice
        what = dice.choice(["lost", "twice", "lag", "haste", "gateway", "slow", "down", "empty", "outage"])
        match what:
            case "lost":
                market.add_fault(Trouble.LOST_RESPONSE, endpoint=dice.choice(["rent", "destroy", None]), times=1)
            case "twice":
                self.twice = True
                market.add_fault(Trouble.ACCEPTED_TWICE, endpoint="rent", times=1)
            case "lag":
                market.set_listing_lag(LISTING_LAG * 0.8)
            case "haste":
                market.add_fault(Trouble.TOO_FREQUENT, times=dice.randint(1, 5))
            case "gateway":
                market.add_fault(Trouble.HTTP_ERROR, times=dice.randint(1, 5), status=dice.choice([500, 502, 503]))
            case "slow":
                market.add_fault(Trouble.LATENCY, endpoint=dice.choice(["rent", "show", "list"]), times=1, seconds=1.5)
            case "down":
                market.add_fault(Trouble.DOWN, endpoint=dice.choice(["rent", "list", "destroy"]), times=3)
            case "empty":
                market.add_fault(Trouble.EMPTY_LIST, endpoint="list", times=dice.randint(1, 4))
            case _:
                market.add_fault(Trouble.DOWN, lasting=timedelta(seconds=dice.uniform(0.5, 2)))
        return f"trouble: {what}"

    async def _wrongs(self) -> list[str]:
        """Whoever was paused is stopped; then everything ends, and the market's books are read."""
        self._lane.go_on()
        for victim, handle in enumerate(self._handles):
            status = await self._lane.status(handle)
            if status is not None and status.phase == "paused":
                with suppress(RPCError, TemporalError):
                    await self._stop(victim)
        wrong: list[str] = []
        for name, handle in zip(self.names, self._handles, strict=True):
            if trouble := await self._lane.ends(handle):
                wrong.append(f"{name}: {trouble}")
        swept = self.twice or "terminate" in self.happened
        return wrong or await self._lane.wrongs(self.names, twice=swept)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def yard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["asyncio.Queue[Lane]"]:
    async with a_yard(tmp_path_factory.mktemp("yard"), LANES) as free:
        yield free


async def play_all(yard: "asyncio.Queue[Lane]", seeds: list[str]) -> tuple[Counter[str], dict[str, Any]]:
    """What happened how often, and the schedules that went wrong."""
    happened: Counter[str] = Counter()
    wrong: dict[str, Any] = {}

    async def one(seed: str) -> None:
        async with a_lane(yard, keep_crew=True) as lane:
            schedule = Schedule(lane, seed)
            found = await schedule.play()
            happened.update(schedule.happened)
            if found:
                wrong[seed] = (found, schedule.happened)
                print(f"HOLDFAST_CHAOS_ONLY={seed}: {found} after {schedule.happened}")  # noqa: T201

    await asyncio.gather(*(one(seed) for seed in seeds))
    return happened, wrong


async def test_some_schedules_every_day(yard: "asyncio.Queue[Lane]") -> None:
    _, wrong = await play_all(yard, [f"20261126/{number}" for number in range(LANES)])
    assert wrong == {}


@pytest.mark.chaos
@pytest.mark.timeout(7200)
async def test_whatever_happens_no_machine_is_left_doubled_or_taken_from_others(
    yard: "asyncio.Queue[Lane]", capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = [ONLY] if ONLY else [f"{SEED}/{number}" for number in range(SCHEDULES)]
    began = time.monotonic()
    happened, wrong = await play_all(yard, seeds)
    with capsys.disabled():
        took = timedelta(seconds=round(time.monotonic() - began))
        print(f"\n{len(seeds)} schedules of seed {SEED}, {WORKLOADS} workloads each, in {took}")  # noqa: T201
        for what, times in happened.most_common():
            print(f"  {times:6d}  {what}")  # noqa: T201
        print(f"  {len(wrong):6d}  violations")  # noqa: T201
    assert wrong == {}
