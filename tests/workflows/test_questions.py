"""A question that comes to a worker before the task does never changes what the workflow hears, nor when."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from holdfast.workers.marking import MarkingRunner
from holdfast.workflows.errands import Errands
from tests.workflows.stories import PATIENCE

_RUNS = 20
_ROUNDS = 10
_ENOUGH = 100


@workflow.defn
class Adding:
    """Begins one timer for each time that it heard something, so that a history shows how it heard it."""

    @workflow.init
    def __init__(self) -> None:
        self._errands = Errands()
        self._sum = 0
        self._begun: list[asyncio.Task[None]] = []

    @workflow.run
    async def run(self) -> int:
        while self._sum < _ENOUGH:
            await workflow.wait_condition(lambda seen=self._sum: self._sum != seen)
            self._begun.append(asyncio.create_task(workflow.sleep(timedelta(hours=1))))
        return self._sum

    @workflow.signal
    def add(self, amount: int) -> None:
        self._sum += amount

    @workflow.query
    def sum(self) -> int:
        return self._sum


async def test_as_the_sdk_is_such_a_question_breaks_histories(temporal: WorkflowEnvironment):
    """Should this fail, the SDK has been mended, and news need not be kept from questions any more."""
    for _ in range(_ROUNDS):
        if await _broken(temporal.client, UnsandboxedWorkflowRunner()):
            return
    raise AssertionError(f"not one of {_ROUNDS * _RUNS} histories was broken")


async def test_ours_are_whole_and_every_question_is_answered(temporal: WorkflowEnvironment):
    for _ in range(3):
        assert await _broken(temporal.client, MarkingRunner()) == 0


async def _broken(client: Client, runner: WorkflowRunner) -> int:
    """How many histories cannot be played again, of workflows that were asked something while nobody worked."""
    queue = f"q{uuid.uuid4().hex}"
    runs = [
        await client.start_workflow(Adding.run, id=f"adding/{queue}/{each}", task_queue=queue) for each in range(_RUNS)
    ]
    async with asyncio.timeout(PATIENCE):
        async with _worker(client, queue, runner, cached=0):
            await asyncio.gather(*(each.query(Adding.sum) for each in runs))  # the first task of each is over
        questions = [asyncio.create_task(each.query(Adding.sum)) for each in runs]
        # The queue shows nothing of questions. One that were later than the signal would leave its run whole, and the
        # others would tell.
        await asyncio.sleep(0.5)
        await asyncio.gather(*(each.signal(Adding.add, 1) for each in runs))
        async with _worker(client, queue, runner, cached=_RUNS):
            await asyncio.gather(*(each.signal(Adding.add, 1) for each in runs))
            assert set(await asyncio.gather(*questions)) <= {1, 2}
            await asyncio.gather(*(each.signal(Adding.add, _ENOUGH) for each in runs))
            await asyncio.gather(*(each.result() for each in runs))
    return sum([await _is_broken(each, runner) for each in runs])


async def _is_broken(run: WorkflowHandle[Adding, int], runner: WorkflowRunner) -> bool:
    replayer = Replayer(workflows=[Adding], workflow_runner=runner)
    played = await replayer.replay_workflow(await run.fetch_history(), raise_on_replay_failure=False)
    return played.replay_failure is not None


@asynccontextmanager
async def _worker(client: Client, queue: str, runner: WorkflowRunner, *, cached: int) -> AsyncIterator[None]:
    async with Worker(
        client, task_queue=queue, workflows=[Adding], workflow_runner=runner, max_cached_workflows=cached
    ):
        yield
