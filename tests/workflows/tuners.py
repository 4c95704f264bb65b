"""A fine-tuning in a toy world."""

import asyncio
from dataclasses import replace
from typing import Any

from temporalio.client import WorkflowHandle

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.deployments import Probe, ProbeSet, ReleaseOrder
from holdfast.contracts.fine_tuning import DeployTuned, FineTuneInput, FineTuneStatus
from holdfast.contracts.jobs import CancelJob, InputSpec, JobInput, JobPhase, attempt_name
from holdfast.contracts.training import DataFormat, DataPin, HyperParameters
from tests.workflows import deployers, jobbers
from tests.workflows.callers import insisting
from tests.workflows.stories import PATIENCE, Story
from tests.workflows.world import World, a_checkpoint

Handle = WorkflowHandle[Any, FineTuneStatus]
BASE = InputSpec(source="hf:org/tiny@abc", at="base")
DATA = DataPin(name="train.jsonl", sha256="ab" * 32, format=DataFormat.MESSAGES, examples=9, bytes_total=900)


async def begin(story: Story, *, deploy: bool = False) -> Handle:
    """With `deploy` the result is put behind the story's own name."""
    for number in (1, 2):
        story.worlds.setdefault(attempt_name(story.name, number), World())
    story.worlds[story.name] = story.world = story.worlds[attempt_name(story.name, 1)]
    spec = jobbers.job_spec(story, inputs=(BASE,), outputs=("output",))
    order = FineTuneInput(
        name=story.name,
        job=JobInput(
            spec=spec,
            workdir=a_checkpoint(names.job_record(spec.name), 0, 0, SaveReason.WORKDIR),
            owner=names.fine_tune_id(story.name),
        ),
        base=BASE.source,
        data=DATA,
        parameters=HyperParameters(),
        trainer="ef" * 32,
        holdfast="0.1.0",
        model=story.name,
        folder="output/adapter",
        deploy=DeployTuned(name=story.name, order=_release(story), token_hashes=("aa",)) if deploy else None,
    )
    return await story.client.start_workflow(
        names.FINE_TUNE,
        order,
        id=names.fine_tune_id(story.name),
        task_queue=names.CONTROL_QUEUE,
        result_type=FineTuneStatus,
    )


def _release(story: Story) -> ReleaseOrder:
    comparison = ProbeSet(model="tiny", base="tiny-base", is_chat=True, tokens=4, probes=(Probe(prompt="two?"),))
    order = deployers.order(story, version=0)
    return replace(order, files=None, smoke=replace(order.smoke, comparison=comparison))


async def progress(handle: Handle) -> FineTuneStatus:
    async def ask() -> FineTuneStatus:
        told: FineTuneStatus = await handle.query("progress", result_type=FineTuneStatus)
        return told

    return await insisting(ask)


async def trains(story: Story, handle: Handle) -> FineTuneStatus:
    async with asyncio.timeout(PATIENCE):
        while (found := await progress(handle)).job is None or found.job.phase is not JobPhase.RUNNING:
            assert not found.phase.is_final, f"it is {found.phase}: {found.reason}"
            await asyncio.sleep(0.05)
    return found


async def over(handle: Handle) -> FineTuneStatus:
    async with asyncio.timeout(PATIENCE):
        return await handle.result()


async def cancel(handle: Handle) -> FineTuneStatus:
    return await handle.execute_update("cancel", CancelJob(), result_type=FineTuneStatus)
