"""A job in a toy world: its first attempt lives in the story's own, each further one in another."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

from temporalio.client import WorkflowHandle

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.jobs import (
    ArrayPlace,
    CancelJob,
    InputSpec,
    JobInput,
    JobPhase,
    JobSpec,
    JobStatus,
    QueueInput,
    QueueStatus,
    RetriesSpec,
    attempt_name,
)
from holdfast.contracts.spec import CheckpointSpec, FailoverSpec, PriceSpec
from tests.workflows.callers import insisting
from tests.workflows.stories import PATIENCE, Story
from tests.workflows.world import World, a_checkpoint

Handle = WorkflowHandle[Any, JobStatus]
AT_ONCE = RetriesSpec(errors=1, wait=timedelta())
DATA = InputSpec(source="hf:datasets/org/tiny", at="data")


def job_spec(story: Story, **changes: Any) -> JobSpec:
    return JobSpec(
        **{
            "name": story.name,
            "command": "true",
            "price": PriceSpec(max_hourly=Decimal(1)),
            "checkpoint": CheckpointSpec(every=timedelta(hours=1)),
            "failover": FailoverSpec(silence=timedelta(seconds=2)),
            "stop_grace": timedelta(seconds=1),
            "tenant": story.name,
            **changes,
        }
    )


async def submit(story: Story, *, place: ArrayPlace | None = None, owner: str = "", **changes: Any) -> Handle:
    spec = job_spec(story, **changes)
    zero = a_checkpoint(names.job_record(spec.name), 0, 0, SaveReason.WORKDIR)
    for number in (1, 2):  # of a job with a name of its own
        story.worlds.setdefault(attempt_name(spec.name, number), World())
    story.worlds.setdefault(spec.name, story.worlds[attempt_name(spec.name, 1)])
    return await story.client.start_workflow(
        names.JOB,
        JobInput(spec=spec, workdir=zero, place=place, owner=owner),
        id=names.job_id(spec.name),
        task_queue=names.CONTROL_QUEUE,
        result_type=JobStatus,
    )


def world_of(story: Story, attempt: int, name: str = "") -> World:
    return story.worlds[attempt_name(name or story.name, attempt)]


async def progress(handle: Handle) -> JobStatus:
    async def ask() -> JobStatus:
        told: JobStatus = await handle.query("progress", result_type=JobStatus)
        return told

    return await insisting(ask)


async def comes_to(handle: Handle, *phases: JobPhase, attempt: int | None = None) -> JobStatus:
    """Wait until it is there, in this attempt if one is given."""
    async with asyncio.timeout(PATIENCE):
        while (found := await progress(handle)).phase not in phases or attempt not in (None, len(found.attempts)):
            assert not found.phase.is_final or found.phase in phases, f"it is {found.phase}: {found.reason}"
            await asyncio.sleep(0.05)
    return found


async def over(handle: Handle) -> JobStatus:
    async with asyncio.timeout(PATIENCE):
        return await handle.result()


async def cancel(handle: Handle, *, save: bool = True) -> JobStatus:
    async def ask() -> JobStatus:
        told: JobStatus = await handle.execute_update("cancel", CancelJob(save=save), result_type=JobStatus)
        return told

    return await insisting(ask)


async def the_queue(story: Story, *, at_once: int) -> WorkflowHandle[Any, Any]:
    """The queue of the story's own tenant, with so many places."""
    handle = await story.client.start_workflow(
        names.JOB_QUEUE,
        QueueInput(tenant=story.name),
        id=names.job_queue_id(story.name),
        task_queue=names.CONTROL_QUEUE,
    )
    await handle.execute_update("set_limit", at_once, result_type=QueueStatus)
    return handle


async def queue_status(handle: WorkflowHandle[Any, Any]) -> QueueStatus:
    async def ask() -> QueueStatus:
        told: QueueStatus = await handle.query("status", result_type=QueueStatus)
        return told

    return await insisting(ask)
