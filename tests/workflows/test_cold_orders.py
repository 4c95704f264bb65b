"""An order that comes to a worker with nothing of the workflow in its memory never breaks the workflow's history.

Such a worker may hear the order together with what the last task heard, if that task did nothing, and every worker
after it hears the two one after the other (temporalio/sdk-python, issue 1591; temporalio/sdk-rust, issue 1146). So
each order meets each signal: heard before the worker went, or while none was there, before the order or after it.
Then another worker answers and hears more, and the history is played again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import cycle, product

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import Client, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from holdfast.client.payloads import PAYLOADS
from holdfast.workers.durable import WORKFLOWS
from holdfast.workers.marking import MarkingRunner
from tests.workflows.callers import Handle
from tests.workflows.orders import (
    DEPLOYMENT,
    ENDPOINT,
    JOB,
    JOB_TRIED_AGAIN,
    PAUSED_WORKLOAD,
    POOL,
    QUEUE,
    SAVER,
    WAITING_JOB,
    WORKLOAD,
    Kind,
)
from tests.workflows.stage import Stage
from tests.workflows.stories import PATIENCE, Story, a_story

KINDS = (ENDPOINT, WORKLOAD, PAUSED_WORKLOAD, SAVER, POOL, DEPLOYMENT, JOB, WAITING_JOB, JOB_TRIED_AGAIN, QUEUE)
AT_ONCE = 24
"""Stories told together: a worker takes a moment to come and to go."""
GOES_ON = ("watch_machine", "await_service", "wake_endpoint", "until_ended")
"""Activities that wait for something."""


class Arrival(StrEnum):
    HEARD = "the signal was heard, then the worker went and the order came"
    SIGNAL_FIRST = "the signal came, then the order"
    ORDER_FIRST = "the order came, then the signal"


@dataclass(frozen=True)
class Case:
    kind: Kind
    order: str
    signal: str = ""  # "": none
    arrival: Arrival = Arrival.HEARD

    def __str__(self) -> str:
        return f"{self.order} | {self.signal or 'nothing'} | {self.arrival.name}"


class Tale:
    """One case, told step by step."""

    def __init__(self, case: Case, story: Story) -> None:
        self.case = case
        self.name = story.name
        self._story = story
        self._handle: Handle
        self._answer: asyncio.Task[None]
        self._waits_for = "the order is not answered"

    async def begin(self) -> None:
        self._handle = await self.case.kind.begins(self._story)
        await self._rests()
        order, message = self.case.kind.orders[self.case.order]
        self._order = order, await message(self._story, self._handle)
        if self.case.signal:
            signal, message = self.case.kind.signals[self.case.signal]
            self._signal = signal, await message(self._story, self._handle)
        if self.case.signal and self.case.arrival is Arrival.HEARD:
            await self._say()
            await self._rests()

    async def while_nobody_hears(self) -> None:
        if self.case.arrival is Arrival.SIGNAL_FIRST:
            await self._say()
        await self._give_order()
        if self.case.arrival is Arrival.ORDER_FIRST:
            await self._say()

    async def goes_on(self) -> str | None:
        """None: it was answered, and hears more."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._answer
                if self.case.signal:
                    with suppress(RPCError):  # over by then
                        await self._say()
                await self._rests()
        except TimeoutError:
            return f"is stuck: {self._waits_for}"
        return None

    async def _say(self) -> None:
        name, args = self._signal
        await self._handle.signal(name, args=args)

    async def _give_order(self) -> None:
        """Returns when the server has it."""
        name, args = self._order

        async def answered() -> None:
            with suppress(WorkflowUpdateFailedError, RPCError):  # a refusal is an answer; and it may be over by now
                await self._handle.execute_update(name, args=args, id="the-order")

        self._answer = asyncio.create_task(answered())
        ref = UpdateRef(workflow_execution=WorkflowExecution(workflow_id=self._handle.id), update_id="the-order")
        request = PollWorkflowExecutionUpdateRequest(namespace=self._story.client.namespace, update_ref=ref)
        async with asyncio.timeout(PATIENCE):
            while not self._answer.done():
                try:
                    await self._story.client.workflow_service.poll_workflow_execution_update(request)
                except RPCError as err:
                    if err.status is not RPCStatusCode.NOT_FOUND:
                        raise
                    await asyncio.sleep(0.02)
                else:
                    return

    async def _rests(self) -> None:
        """Nothing is to be heard, and nothing is done that will be."""
        async with asyncio.timeout(PATIENCE):
            while True:
                told = (await self._handle.describe()).raw_description
                busy = [name for each in told.pending_activities if (name := each.activity_type.name) not in GOES_ON]
                self._waits_for = f"goes on with {busy or 'its task'}"
                if not told.HasField("pending_workflow_task") and not busy:
                    return
                await asyncio.sleep(0.05)

    async def history(self) -> WorkflowHistory:
        return await self._handle.fetch_history()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    theirs = Stage(temporal.client, grace=timedelta(milliseconds=200), runner=MarkingRunner())
    async with theirs.activities():
        yield theirs


def some(kind: Kind) -> list[Case]:
    """Each order by itself, and with one signal, in one way."""
    met = zip(kind.orders, cycle(kind.signals), cycle(Arrival), strict=False)
    return [*(Case(kind, *each) for each in met), *(Case(kind, order) for order in kind.orders)]


def all_of_them(kind: Kind) -> list[Case]:
    return [Case(kind, *each) for each in product(kind.orders, kind.signals, Arrival)]


@pytest.mark.parametrize("choose", [some, pytest.param(all_of_them, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "_"))
async def test_whatever_an_order_meets_the_history_can_be_played_again(
    temporal: WorkflowEnvironment, stage: Stage, kind: Kind, choose: Callable[[Kind], list[Case]]
):
    broken: dict[str, str] = {}
    cases = choose(kind)
    for first in range(0, len(cases), AT_ONCE):
        broken |= await _told(temporal, stage, cases[first : first + AT_ONCE])
    assert broken == {}


async def _told(temporal: WorkflowEnvironment, stage: Stage, cases: Sequence[Case]) -> dict[str, str]:
    tales = [Tale(each, a_story(temporal.client, stage)) for each in cases]
    try:
        async with stage.decisions():
            await asyncio.gather(*(each.begin() for each in tales))
        await asyncio.gather(*(each.while_nobody_hears() for each in tales))
        async with stage.decisions():
            stuck = await asyncio.gather(*(each.goes_on() for each in tales))
        broken = await _replayed([await each.history() for each in tales])
    finally:
        await _end_all(temporal.client, [each.name for each in tales])
    told = zip(tales, stuck, broken, strict=True)
    return {str(tale.case): f"{why or ''} {failure or ''}" for tale, why, failure in told if why or failure}


async def _replayed(histories: Sequence[WorkflowHistory]) -> list[Exception | None]:
    """What broke when each was played again; one replayer for all, as to make one takes longer than to play."""

    async def told() -> AsyncIterator[WorkflowHistory]:
        for each in histories:
            yield each

    replayer = Replayer(workflows=WORKFLOWS, data_converter=PAYLOADS, workflow_runner=MarkingRunner())
    async with replayer.workflow_replay_iterator(told()) as results:
        failures = {each.history.workflow_id: each.replay_failure async for each in results}
    return [failures[each.workflow_id] for each in histories]


async def _end_all(client: Client, stories: Sequence[str]) -> None:
    """What goes on would be decided by the next worker that comes."""
    async for each in client.list_workflows("ExecutionStatus = 'Running'"):
        if any(name in each.id for name in stories):
            with suppress(RPCError):
                await client.get_workflow_handle(each.id).terminate("it was told")
