"""A job runs to its end, and nothing of it is lost: not its outputs, nor its machine, nor its place in the queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.jobs import ChangeBudget, JobCause, JobPhase, JobStatus, RetriesSpec, StartFrom
from holdfast.contracts.workload import Phase, ReplicaWord, Upshot, WorkloadInput
from tests.workflows.jobbers import (
    AT_ONCE,
    DATA,
    Handle,
    cancel,
    comes_to,
    over,
    progress,
    queue_status,
    submit,
    the_queue,
    world_of,
)
from tests.workflows.stories import PATIENCE, SUGGESTS_CONTINUE_AS_NEW, Story


@pytest_asyncio.fixture(loop_scope="session")
async def leftovers(story: Story) -> AsyncIterator[None]:
    """What a failed test left running ends with it; the queue never ends by itself."""
    yield
    mine = [names.job_id(story.name), names.job_queue_id(story.name)]
    mine += [names.workload_id(f"{story.name}-a{number}") for number in range(1, 5)]
    for workflow_id in mine:
        with suppress(RPCError):  # over already, or never begun: either is what we want
            await story.client.get_workflow_handle(workflow_id).terminate("the test is over")


pytestmark = pytest.mark.usefixtures("leftovers")


async def running(handle: Handle, *, attempt: int = 1) -> JobStatus:
    return await comes_to(handle, JobPhase.RUNNING, attempt=attempt)


async def place_is_free(story: Story) -> None:
    """The queue knows nothing of the job any more."""
    handle = story.client.get_workflow_handle(names.job_queue_id(story.name))
    async with asyncio.timeout(PATIENCE):
        while (found := await queue_status(handle)).running or found.waiting:
            await asyncio.sleep(0.05)


async def test_its_outputs_are_proven_before_the_machine_goes(story: Story):
    handle = await submit(story, inputs=(DATA,), outputs=("model",), budget=Decimal(5))
    found = await running(handle)
    assert [each.at for each in found.inputs] == ["data"]
    assert found.lease is not None
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert (ended.phase, ended.cause, ended.exit_code) == (JobPhase.SUCCEEDED, JobCause.DONE, 0)
    last = story.world.heads[-1]
    assert last.reason is SaveReason.FINISH
    order = story.world.order
    assert order.index(f"verify {last.manifest}") < order.index("destroy i1") < order.index(f"keep {last.manifest}")
    assert ended.outputs is not None and story.world.kept == (ended.outputs.manifest,)
    assert ended.spent == story.world.cost_of_each
    assert story.world.alive == []
    await place_is_free(story)


async def test_each_attempt_has_the_jobs_words_and_what_is_left_of_its_money(story: Story):
    handle = await submit(
        story, budget=Decimal(5), retries=AT_ONCE, script="train.py", command="", arguments=("--lr", "1 2")
    )
    await running(handle)
    story.world.finish(story.world.newest(), exit_code=3)
    await running(handle, attempt=2)
    first, second = story.world.specs[0], world_of(story, 2).specs[0]
    assert first.command == "exec python3 train.py --lr '1 2'"
    assert (first.budget, second.budget) == (Decimal(5), Decimal("4.75"))
    assert first.checkpoint.verify_last
    assert second.environment == {"JOB_NAME": story.name, "JOB_ATTEMPT": "2"}
    world_of(story, 2).finish(world_of(story, 2).newest())
    await over(handle)


async def test_an_error_in_the_code_is_not_tried_for_ever(story: Story):
    handle = await submit(story)
    await running(handle)
    story.world.finish(story.world.newest(), exit_code=3)
    ended = await over(handle)
    assert (ended.phase, ended.cause, ended.exit_code) == (JobPhase.FAILED, JobCause.CODE, 3)
    assert [each.upshot for each in ended.attempts] == [Upshot.CODE]
    assert ended.outputs is not None, "what it had saved can be fetched"
    assert story.world.alive == []
    await place_is_free(story)


async def test_after_an_error_it_goes_on_from_what_was_saved_last(story: Story):
    handle = await submit(story, retries=AT_ONCE)
    await running(handle)
    story.world.finish(story.world.newest(), exit_code=3)
    await running(handle, attempt=2)
    zero = world_of(story, 2).zeros[0]
    assert zero is not None and zero.manifest == story.world.heads[-1].manifest
    assert (zero.workload, zero.epoch, zero.sequence) == (f"{story.name}-a2", 0, 0)
    world_of(story, 2).finish(world_of(story, 2).newest())
    ended = await over(handle)
    assert (ended.phase, ended.errors, len(ended.attempts)) == (JobPhase.SUCCEEDED, 1, 2)
    assert ended.spent == 2 * story.world.cost_of_each


async def test_after_an_error_it_may_begin_anew(story: Story):
    anew = RetriesSpec(errors=1, wait=timedelta(), start_from=StartFrom.BEGINNING)
    handle = await submit(story, retries=anew)
    await running(handle)
    story.world.finish(story.world.newest(), exit_code=3)
    await running(handle, attempt=2)
    zero = world_of(story, 2).zeros[0]
    assert zero is not None and zero.manifest == f"manifests/job--{story.name}/0-0"
    await cancel(handle)
    await over(handle)


async def test_a_lost_machine_costs_no_attempt(story: Story):
    handle = await submit(story)
    await running(handle)
    story.world.outbid(story.world.newest())
    await comes_to(handle, JobPhase.MOVING, JobPhase.RUNNING)
    await story.until(lambda: len(story.world.machines) == 2 and story.world.newest().running)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert (ended.phase, ended.errors, len(ended.attempts)) == (JobPhase.SUCCEEDED, 0, 1)
    assert ended.attempts[0].losses == 1


async def test_an_input_that_is_refused_is_told_before_anything_is_rented(story: Story):
    why = "it is not what the spec pins"
    story.world.refused_inputs[DATA.source] = why
    handle = await submit(story, inputs=(DATA,))
    ended = await over(handle)
    assert (ended.phase, ended.cause, ended.reason) == (JobPhase.FAILED, JobCause.INPUT, why)
    assert story.world.machines == {}
    assert story.world.calls["search"] == 0


async def test_an_output_that_is_not_there_is_a_failure(story: Story):
    story.world.lacking = ("model",)
    handle = await submit(story, outputs=("model",))
    await running(handle)
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert (ended.phase, ended.cause, ended.exit_code) == (JobPhase.FAILED, JobCause.OUTPUT, 0)
    assert ended.reason.endswith("there is no model")


async def test_a_market_that_has_nothing_is_told(story: Story):
    story.world.offers = []
    ended = await over(await submit(story))
    assert (ended.phase, ended.cause) == (JobPhase.FAILED, JobCause.NO_MACHINE)


async def test_a_setup_that_fails_is_told(story: Story):
    story.world.setup_fails = True
    ended = await over(await submit(story))
    assert (ended.phase, ended.cause) == (JobPhase.FAILED, JobCause.SETUP)
    assert story.world.alive == []


async def test_a_budget_that_is_used_up_ends_it_with_its_state_saved(story: Story):
    handle = await submit(story, budget=Decimal(5))
    await running(handle)
    story.world.budget_is_used_up = "the budget of $5.00 is used up"
    await story.client.get_workflow_handle(names.workload_id(f"{story.name}-a1")).signal("budget_changed")
    ended = await over(handle)
    assert (ended.phase, ended.cause) == (JobPhase.STOPPED, JobCause.BUDGET)
    assert ended.reason == "the budget of $5.00 is used up"
    assert story.world.heads[-1].reason is SaveReason.STOP
    assert story.world.alive == []


async def test_another_budget_reaches_the_attempt_that_is_under_way(story: Story):
    handle = await submit(story, budget=Decimal(5), retries=AT_ONCE)
    await running(handle)
    story.world.finish(story.world.newest(), exit_code=3)
    await running(handle, attempt=2)
    told = await handle.execute_update("change_budget", ChangeBudget(amount=Decimal(9)), result_type=JobStatus)
    assert told.budget == Decimal(9)
    await story.until(lambda: bool(story.world.budgets))
    assert (story.world.budgets[0].name, story.world.budgets[0].amount) == (f"{story.name}-a2", Decimal("8.75"))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("change_budget", ChangeBudget(amount=Decimal(-1)), result_type=JobStatus)
    await cancel(handle)
    await over(handle)


async def test_a_job_that_is_late_is_saved_and_stopped(story: Story):
    handle = await submit(story, stop_after=timedelta(seconds=3))
    await running(handle)
    ended = await over(handle)
    assert (ended.phase, ended.cause) == (JobPhase.STOPPED, JobCause.LATE)
    assert story.world.heads[-1].reason is SaveReason.STOP


async def test_a_job_that_is_late_in_the_queue_never_runs(story: Story):
    await the_queue(story, at_once=1)
    first = await submit(story, name=f"{story.name}-x")
    await running(first)
    ended = await over(await submit(story, stop_after=timedelta(seconds=1)))
    assert (ended.phase, ended.cause, ended.attempts) == (JobPhase.STOPPED, JobCause.LATE, ())
    await cancel(first)
    await over(first)


@pytest.mark.parametrize(
    ("moment", "phase"),
    [
        ("stage_input 1 begins", JobPhase.PREPARING),
        ("lay_out 1 is done", JobPhase.PREPARING),
        ("search_offers 1 begins", JobPhase.STARTING),
        ("launch 1 is done", JobPhase.STARTING),
        ("resume_work 1 begins", JobPhase.STARTING),
    ],
)
async def test_cancelled_before_it_runs_nothing_is_left(story: Story, moment: str, phase: JobPhase):
    story.world.moments.hold(moment)
    handle = await submit(story, inputs=(DATA,))
    await story.moment(moment)
    await comes_to(handle, phase)
    begun = await cancel(handle)
    assert begun.phase in (phase, JobPhase.STOPPING, JobPhase.CANCELLED)
    story.world.moments.go_on()
    ended = await over(handle)
    assert (ended.phase, ended.cause, ended.outputs) == (JobPhase.CANCELLED, JobCause.ASKED, None)
    assert story.world.alive == []
    await place_is_free(story)


async def test_cancelled_in_the_queue_it_leaves_it(story: Story):
    await the_queue(story, at_once=1)
    first = await submit(story, name=f"{story.name}-x")
    await running(first)
    handle = await submit(story)
    await comes_to(handle, JobPhase.QUEUED)
    await cancel(handle)
    ended = await over(handle)
    assert (ended.phase, ended.attempts) == (JobPhase.CANCELLED, ())
    await cancel(first)
    await over(first)
    await place_is_free(story)


async def test_cancelled_while_it_runs_it_is_saved_first(story: Story):
    handle = await submit(story)
    await running(handle)
    await cancel(handle)
    ended = await over(handle)
    assert (ended.phase, ended.cause) == (JobPhase.CANCELLED, JobCause.ASKED)
    assert story.world.heads[-1].reason is SaveReason.STOP
    assert ended.outputs is not None
    assert story.world.alive == []


async def test_cancelled_without_a_save_it_does_not_wait_for_one(story: Story):
    story.world.saves_hang = True
    handle = await submit(story)
    await running(handle)
    await cancel(handle)
    await comes_to(handle, JobPhase.STOPPING)
    await cancel(handle, save=False)
    ended = await over(handle)
    assert ended.phase is JobPhase.CANCELLED
    assert story.world.alive == []


async def test_cancelled_while_it_moves_nothing_is_left(story: Story):
    handle = await submit(story)
    await running(handle)
    story.world.moments.hold("search_offers 2 begins")
    story.world.outbid(story.world.newest())
    await story.moment("search_offers 2 begins")
    await comes_to(handle, JobPhase.MOVING)
    await cancel(handle)
    story.world.moments.go_on()
    ended = await over(handle)
    assert ended.phase is JobPhase.CANCELLED
    assert story.world.alive == []


async def test_cancelled_between_two_attempts_there_is_no_next(story: Story):
    handle = await submit(story, retries=RetriesSpec(errors=1, wait=timedelta(hours=1)))
    await running(handle)
    story.world.finish(story.world.newest(), exit_code=3)
    await comes_to(handle, JobPhase.RETRYING)
    await cancel(handle)
    ended = await over(handle)
    assert (ended.phase, len(ended.attempts)) == (JobPhase.CANCELLED, 1)


async def test_cancelled_by_the_servers_own_means_it_cleans_up_all_the_same(story: Story):
    handle = await submit(story)
    await running(handle)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await over(handle)
    assert (await progress(handle)).phase is JobPhase.CANCELLED
    assert story.world.heads[-1].reason is SaveReason.STOP
    assert story.world.alive == []


async def test_work_that_finishes_while_it_is_cancelled_has_finished(story: Story):
    story.world.moments.hold("save_checkpoint 1 begins")
    handle = await submit(story)
    await running(handle)
    story.world.finish(story.world.newest())
    await story.moment("save_checkpoint 1 begins")
    await cancel(handle)
    story.world.moments.go_on()
    ended = await over(handle)
    assert (ended.phase, ended.exit_code) == (JobPhase.SUCCEEDED, 0)


async def test_a_workload_that_is_ended_by_force_ends_the_job(story: Story):
    handle = await submit(story)
    await running(handle)
    await story.client.get_workflow_handle(names.workload_id(f"{story.name}-a1")).terminate("by hand")
    ended = await over(handle)
    assert (ended.phase, ended.cause) == (JobPhase.FAILED, JobCause.INTERNAL)
    assert "ended by force" in ended.reason


async def test_a_workload_that_somebody_stops_is_a_job_that_is_cancelled(story: Story):
    handle = await submit(story)
    await running(handle)
    await story.client.get_workflow_handle(names.workload_id(f"{story.name}-a1")).execute_update(
        "stop", {"reason": "no"}
    )
    ended = await over(handle)
    assert (ended.phase, ended.reason) == (JobPhase.CANCELLED, "no")


async def test_a_workload_that_is_not_ours_is_left_alone(story: Story):
    theirs = f"{story.name}-a1"
    other = await story.client.start_workflow(
        names.WORKLOAD,
        WorkloadInput(spec=story.spec(name=theirs)),
        id=names.workload_id(theirs),
        task_queue=names.CONTROL_QUEUE,
    )
    await story.running(other)
    ended = await over(await submit(story))
    assert (ended.phase, ended.cause) == (JobPhase.FAILED, JobCause.INTERNAL)
    assert (await story.status(other)).phase is Phase.RUNNING


async def test_a_job_goes_on_in_a_new_run_when_its_history_is_long(story: Story):
    handle = await submit(story)
    found = await running(handle)
    first = (await handle.describe()).run_id
    word = ReplicaWord(workload=f"{story.name}-a1", phase=Phase.RUNNING, reason="runs", lease=found.lease)
    async with asyncio.timeout(PATIENCE):
        while (await handle.describe()).run_id == first:
            await asyncio.gather(*(handle.signal("replica_said", word) for _ in range(SUGGESTS_CONTINUE_AS_NEW // 5)))
    assert (await progress(handle)).phase is JobPhase.RUNNING
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert (ended.phase, len(ended.attempts), ended.exit_code) == (JobPhase.SUCCEEDED, 1, 0)
    assert story.world.alive == []
