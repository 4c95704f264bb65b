"""What a task heard that came to nothing is heard by every worker by itself, whatever comes next."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from holdfast.workers.marking import MarkingRunner
from holdfast.workflows.errands import Errands
from tests.workflows.stories import PATIENCE


@workflow.defn
class Counting:
    """Sleeps once for each time that it looked up, when an order comes."""

    @workflow.init
    def __init__(self, marked: bool) -> None:
        self._errands = Errands() if marked else None
        self._news = self._ordered = False
        self._looked_up = 0

    @workflow.run
    async def run(self, marked: bool) -> int:
        while not self._ordered:
            await workflow.wait_condition(lambda: self._news)
            self._news = False
            self._looked_up += 1
        for _ in range(self._looked_up):
            await workflow.sleep(timedelta(milliseconds=1))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._looked_up

    @workflow.signal
    def say(self) -> None:
        self._news = True

    @workflow.signal
    def doubt(self, on: bool) -> None:
        """Begins something, and calls it off in the same moment: that leaves nothing."""
        self._news = True
        asyncio.create_task(workflow.sleep(timedelta(hours=1))).cancel()

    @workflow.update
    def order(self) -> None:
        self._news = self._ordered = True

    @workflow.update
    def refused(self) -> None:
        """Never accepted."""

    @refused.validator
    def _refuse(self) -> None:
        raise ValueError("never")

    @workflow.query
    def looked_up(self) -> int:
        return self._looked_up


async def test_without_marks_a_history_that_was_written_by_a_worker_that_came_cold_is_broken(
    temporal: WorkflowEnvironment,
):
    """Should this fail, the SDK has been mended, and marks are of no more use."""
    history = await _ordered_cold(temporal.client, marked=False)
    failure = (await _replay(history, UnsandboxedWorkflowRunner())).replay_failure
    assert "Nondeterminism" in type(failure).__name__ or "ondetermin" in str(failure)


@pytest.mark.parametrize("signal", ["say", "doubt"])
async def test_with_marks_it_can_be_played_again(temporal: WorkflowEnvironment, signal: str):
    history = await _ordered_cold(temporal.client, marked=True, signal=signal)
    assert (await _replay(history, MarkingRunner())).replay_failure is None
    marks = [event for event in history.events if event.HasField("workflow_properties_modified_event_attributes")]
    assert len(marks) == 1


async def _ordered_cold(client: Client, *, marked: bool, signal: str = "say") -> WorkflowHistory:
    queue = f"q{uuid.uuid4().hex}"
    handle = await client.start_workflow(Counting.run, marked, id=f"counting/{queue}", task_queue=queue)
    async with _worker(client, queue), asyncio.timeout(PATIENCE):
        await handle.query(Counting.looked_up)  # its first task is over
        await handle.signal(signal, *([True] if signal == "doubt" else []))
        while await handle.query(Counting.looked_up) == 0:
            await asyncio.sleep(0.02)
    async with _worker(client, queue), asyncio.timeout(PATIENCE):
        await handle.execute_update(Counting.order)
        await handle.result()
    return await handle.fetch_history()


@asynccontextmanager
async def _worker(client: Client, queue: str) -> AsyncIterator[None]:
    async with Worker(client, task_queue=queue, workflows=[Counting], workflow_runner=MarkingRunner()):
        yield


async def _replay(history: WorkflowHistory, runner: WorkflowRunner):  # type: ignore[no-untyped-def]
    replayer = Replayer(workflows=[Counting], workflow_runner=runner)
    return await replayer.replay_workflow(history, raise_on_replay_failure=False)
