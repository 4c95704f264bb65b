"""A job with `start: when_cheap` watches prices, and begins in time whatever happens."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts.jobs import JobCause, JobPhase, JobStatus, Start, StartNow
from holdfast.contracts.market import StartWord
from holdfast.contracts.spec import DeadlineSpec, PolicySpec, ResourcesSpec
from tests.workflows.jobbers import Handle, cancel, comes_to, job_spec, over, submit
from tests.workflows.stories import Story

GPU = ResourcesSpec(gpu="RTX 4090")
WAITS: dict[str, Any] = {"start": Start.WHEN_CHEAP, "resources": GPU}
DEAR = StartWord(wait=True, reason="waits for 0.30 USD/h or less", at=datetime.now(UTC), reserve=Decimal("0.30"))
CHEAP = StartWord(wait=False, reason="0.29 USD/h is cheap", at=datetime.now(UTC), price=Decimal("0.29"))


async def begin(story: Story, *advice: StartWord, **changes: Any) -> Handle:
    story.world.advice = list(advice)
    return await submit(story, **{**WAITS, **changes})


async def running(handle: Handle) -> JobStatus:
    return await comes_to(handle, JobPhase.RUNNING)


async def start_now(handle: Handle) -> JobStatus:
    return await handle.execute_update("start_now", StartNow(), result_type=JobStatus)


async def test_it_waits_hour_by_hour_and_begins_when_it_is_cheap(skipping: WorkflowEnvironment, long_story: Story):
    handle = await begin(long_story, DEAR, DEAR, CHEAP)
    waits = await comes_to(handle, JobPhase.WAITING)
    assert waits.starts_by == waits.submitted_at + timedelta(days=1)
    while (await comes_to(handle, JobPhase.WAITING, JobPhase.STARTING, JobPhase.RUNNING)).phase is JobPhase.WAITING:
        await skipping.fast_forward(handle, timedelta(hours=1))
    told = await running(handle)
    assert len(long_story.world.asked_when) == 3
    assert long_story.world.asked_when[0].gpu == "RTX 4090"
    assert told.advice is not None and told.advice.price == Decimal("0.29")
    assert told.again_at is None
    await cancel(handle)
    await over(handle)


async def test_it_begins_by_its_latest_moment_though_it_is_dear(skipping: WorkflowEnvironment, long_story: Story):
    handle = await begin(long_story, DEAR, start_within=timedelta(hours=2))
    waits = await comes_to(handle, JobPhase.WAITING)
    while (await comes_to(handle, JobPhase.WAITING, JobPhase.STARTING, JobPhase.RUNNING)).phase is JobPhase.WAITING:
        await skipping.fast_forward(handle, timedelta(minutes=40))
    told = await running(handle)
    began = told.attempts[0].began_at - waits.submitted_at
    assert timedelta(hours=2) <= began <= timedelta(hours=3)
    await cancel(handle)
    await over(handle)


async def test_a_deadline_leaves_time_for_the_work_and_two_changeovers(story: Story):
    deadline = DeadlineSpec(work=timedelta(hours=5), within=timedelta(hours=6), changeover=timedelta(minutes=10))
    handle = await begin(story, DEAR, policy=PolicySpec(deadline=deadline))
    waits = await comes_to(handle, JobPhase.WAITING)
    assert waits.starts_by == waits.submitted_at + timedelta(minutes=40)
    await story.until(lambda: bool(story.world.asked_when))
    assert story.world.asked_when[0].latest == waits.starts_by
    await cancel(handle)
    await over(handle)


async def test_prices_that_cannot_be_looked_at_are_no_reason_to_wait(story: Story):
    story.world.prices_fail = "the records have no table of prices"
    handle = await begin(story, DEAR)
    await running(handle)
    await cancel(handle)
    await over(handle)


async def test_told_to_start_it_waits_no_longer(story: Story):
    handle = await begin(story, DEAR)
    await comes_to(handle, JobPhase.WAITING)
    told = await start_now(handle)
    assert "told to start" in told.reason or told.phase is not JobPhase.QUEUED
    await running(handle)
    with pytest.raises(WorkflowUpdateFailedError):
        await start_now(handle)
    await cancel(handle)
    await over(handle)


async def test_cancelled_while_it_waits_nothing_was_rented(story: Story):
    handle = await begin(story, DEAR)
    await comes_to(handle, JobPhase.WAITING)
    await cancel(handle)
    ended = await over(handle)
    assert (ended.phase, ended.cause, ended.attempts) == (JobPhase.CANCELLED, JobCause.ASKED, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": Start.WHEN_CHEAP}, "needs resources.gpu"),
        ({"start_within": timedelta(hours=2)}, "start: when_cheap"),
        ({**WAITS, "stop_after": timedelta(hours=6)}, "stop_after would end it before"),
        ({**WAITS, "start_within": timedelta(hours=6), "stop_after": timedelta(hours=6)}, "a longer stop_after"),
    ],
)
async def test_what_makes_no_sense_is_refused(story: Story, changes: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        job_spec(story, **changes)
