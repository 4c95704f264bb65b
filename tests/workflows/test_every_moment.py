"""Whatever the moment at which a workload is stopped or cancelled, nothing of it is left that costs money.

A dry run lists every activity that a story calls. Then the story is told again for each of them, and the order comes
just before that activity begins, or when it has done its work and its answer is still under way.
"""

import asyncio
import itertools
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.client import WorkflowUpdateStage as Stage
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from holdfast.contracts import names
from holdfast.contracts.workload import Ack, Phase, StopRequest
from tests.workflows.conftest import DYNAMIC_CONFIG
from tests.workflows.stories import Story, run_story

LANES = [f"lane-{number}" for number in range(6)]
"""Namespaces of one server: the stories of each have its task queues to themselves."""

Handle = WorkflowHandle[Any, Any]


@dataclass(frozen=True)
class Moment:
    """Beside the nth call of an activity."""

    activity: str
    call: int
    when: str  # "before" it, or "after" its work and before its answer

    def __str__(self) -> str:
        return f"{self.when} {self.activity} {self.call}"


@dataclass
class Clockwork(Interceptor):
    """Notes every moment that comes, and gives the order at the one that was chosen."""

    chosen: Moment | None = None
    order: Callable[[], Awaitable[None]] | None = None
    seen: list[Moment] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Beside(next, self)

    async def comes(self, moment: Moment) -> None:
        self.seen.append(moment)
        if moment == self.chosen and self.order is not None:
            await self.order()


class _Beside(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, clockwork: Clockwork) -> None:
        super().__init__(inner)
        self._clockwork = clockwork

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        name = activity.info().activity_type
        self._clockwork.calls[name] += 1
        call = self._clockwork.calls[name]
        await self._clockwork.comes(Moment(name, call, "before"))
        try:
            return await super().execute_activity(input)
        finally:
            await self._clockwork.comes(Moment(name, call, "after"))


# --- the stories ---------------------------------------------------------------------------------------------------


async def placed_and_finished(story: Story, handle: Handle) -> None:
    await story.running(handle)
    story.world.finish(story.world.newest())


async def outbid(story: Story, handle: Handle) -> None:
    await story.running(handle)
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())


async def restarted_in_place(story: Story, handle: Handle) -> None:
    await story.running(handle)
    story.world.lose_work(story.world.newest())
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())


async def paused_and_resumed(story: Story, handle: Handle) -> None:
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    await handle.execute_update("resume", result_type=Ack)
    await story.running(handle)
    story.world.finish(story.world.newest())


PLOTS: dict[str, tuple[Callable[[Story, Handle], Awaitable[None]], dict[str, Any]]] = {
    "placed and finished": (placed_and_finished, {}),
    "outbid": (outbid, {}),
    "outbid with nothing saved": (outbid, {"workdir": False}),
    "restarted in place": (restarted_in_place, {}),
    "paused and resumed": (paused_and_resumed, {}),
}


async def cancel(handle: Handle) -> None:
    await handle.cancel()


async def stop(handle: Handle) -> None:
    await handle.start_update("stop", StopRequest(), wait_for_stage=Stage.ACCEPTED, result_type=Ack)


async def stop_unsaved(handle: Handle) -> None:
    await handle.start_update("stop", StopRequest(save=False), wait_for_stage=Stage.ACCEPTED, result_type=Ack)


ORDERS = (cancel, stop, stop_unsaved)


# --- telling them --------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lanes() -> AsyncIterator["asyncio.Queue[Client]"]:
    binary = Path(sys.executable).parent / "temporal"
    flags = [flag for value in DYNAMIC_CONFIG for flag in ("--dynamic-config-value", value)]
    flags += [flag for lane in LANES for flag in ("--namespace", lane)]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(binary) if binary.exists() else shutil.which("temporal"),
        dev_server_log_level="error",
        data_converter=pydantic_data_converter,
        search_attributes=list(names.SEARCH_ATTRIBUTES),
        dev_server_extra_args=flags,
    ) as environment:
        free: asyncio.Queue[Client] = asyncio.Queue()
        address = environment.client.service_client.config.target_host
        for lane in LANES:
            free.put_nowait(await Client.connect(address, namespace=lane, data_converter=pydantic_data_converter))
        yield free


@asynccontextmanager
async def a_lane(lanes: "asyncio.Queue[Client]") -> AsyncIterator[Client]:
    client = await lanes.get()
    try:
        yield client
    finally:
        lanes.put_nowait(client)


async def tell(client: Client, plot: str, clockwork: Clockwork, order: Callable[[Handle], Awaitable[None]]) -> str:
    """Tell a story to its end; what is wrong then, or ""."""
    play, beginning = PLOTS[plot]
    async with run_story(client, grace=timedelta(milliseconds=100), interceptors=[clockwork]) as story:
        handle = client.get_workflow_handle(names.workload_id(story.name))

        async def give() -> None:
            with suppress(RPCError, WorkflowUpdateFailedError):  # it may be over already
                await order(handle)

        clockwork.order = give
        await story.begin(**beginning)
        playing = asyncio.create_task(play(story, handle))
        try:
            async with asyncio.timeout(60):
                with suppress(WorkflowFailureError):
                    await handle.result()
        except TimeoutError:
            status = await story.status(handle)
            return f"it does not end: {status.phase}, {status.reason}"
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        return await _what_is_left(client, story)


async def _what_is_left(client: Client, story: Story) -> str:
    world = story.world
    with suppress(TimeoutError):
        await story.until(lambda: not world.alive)
    if world.alive:
        return f"{world.alive} live on"
    if unclosed := set(world.lines) - set(world.closed):
        return f"the cost lines of {unclosed} are open"
    if world.ended is None:
        return "its record is open"
    return ""


async def every_moment(lanes: "asyncio.Queue[Client]", plot: str) -> list[Moment]:
    dry = Clockwork()

    async def nothing(_: Handle) -> None:
        return

    async with a_lane(lanes) as client:
        assert not await tell(client, plot, dry, nothing)
    return list(dict.fromkeys(dry.seen))


async def tell_all(lanes: "asyncio.Queue[Client]", cases: list[tuple[str, Moment, Any]]) -> dict[str, str]:
    """Tell one story for each case, some at a time; those that went wrong, and what was wrong."""

    async def one(plot: str, moment: Moment, order: Any) -> tuple[str, str]:
        async with a_lane(lanes) as client:
            return f"{plot}: {order.__name__} {moment}", await tell(client, plot, Clockwork(moment), order)

    told = await asyncio.gather(*(one(*case) for case in cases))
    return {case: wrong for case, wrong in told if wrong}


@pytest.mark.timeout(300)
async def test_nothing_is_left_when_a_workload_is_cancelled_or_stopped_while_it_moves(
    lanes: "asyncio.Queue[Client]",
) -> None:
    """Every day the story with the most moments: every sixth of them, with one of the orders in turn."""
    moments = await every_moment(lanes, "outbid with nothing saved")
    assert len(moments) > 30
    orders = itertools.cycle(ORDERS)
    cases = [("outbid with nothing saved", moment, next(orders)) for moment in moments[::6]]
    assert await tell_all(lanes, cases) == {}


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("plot", PLOTS)
async def test_nothing_is_left_whatever_the_order_and_the_moment(lanes: "asyncio.Queue[Client]", plot: str) -> None:
    moments = await every_moment(lanes, plot)
    cases = [(plot, moment, order) for moment in moments for order in ORDERS]
    wrong = await tell_all(lanes, cases)
    print(f"{plot}: {len(cases)} ends, {len(wrong)} of them wrong")  # noqa: T201 (one line a class is the report)
    assert wrong == {}
