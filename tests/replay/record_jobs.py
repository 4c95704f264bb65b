"""Record golden histories of jobs and their queue: `python -m tests.replay.record_jobs`. Rules as in `record`."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.jobs import ChangeBudget, JobPhase, JobStatus, RetriesSpec
from holdfast.contracts.workload import Phase, ReplicaWord
from tests.replay.record import a_server, keep
from tests.workflows.jobbers import AT_ONCE, DATA, cancel, comes_to, over, progress, submit, the_queue, world_of
from tests.workflows.stories import SUGGESTS_CONTINUE_AS_NEW, Story, run_story


async def done(story: Story) -> None:
    """Its input was fetched, its machine was lost once, its outputs were kept; its owner was told."""
    handle = await submit(story, inputs=(DATA,), budget=Decimal(5), owner=names.workload_id("nobody"))
    await comes_to(handle, JobPhase.RUNNING)
    story.world.outbid(story.world.newest())
    await story.until(lambda: len(story.world.machines) == 2 and story.world.newest().running)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.newest())
    await over(handle)
    await keep(story.client, "done", handle.id)
    await keep(story.client, "done", names.job_queue_id(story.name))
    await keep(story.client, "done", names.workload_id(f"{story.name}-a1"))


async def tried_again(story: Story) -> None:
    """An error in the code; another budget; then it went well."""
    handle = await submit(story, retries=RetriesSpec(errors=1, wait=timedelta(seconds=1)), budget=Decimal(5))
    await comes_to(handle, JobPhase.RUNNING)
    story.world.finish(story.world.newest(), exit_code=3)
    await comes_to(handle, JobPhase.RUNNING, attempt=2)
    await handle.execute_update("change_budget", ChangeBudget(amount=Decimal(9)), result_type=JobStatus)
    await story.until(lambda: bool(story.world.budgets))
    world_of(story, 2).finish(world_of(story, 2).newest())
    await over(handle)
    await keep(story.client, "tried_again", handle.id)


async def refused_input(story: Story) -> None:
    """An input was not what the spec pins."""
    story.world.refused_inputs[DATA.source] = "it is not what the spec pins"
    handle = await submit(story, inputs=(DATA,))
    await over(handle)
    await keep(story.client, "refused_input", handle.id)


async def cancelled_jobs(story: Story) -> None:
    """One was cancelled while it ran and hurried, one while it waited, one by the server's own means."""
    queue = await the_queue(story, at_once=1)
    story.world.saves_hang = True
    first = await submit(story)
    await comes_to(first, JobPhase.RUNNING)
    second = await submit(story, name=f"{story.name}-b")
    await comes_to(second, JobPhase.QUEUED)
    await cancel(second)
    await over(second)
    await keep(story.client, "cancelled_waiting", second.id)
    await cancel(first)
    await comes_to(first, JobPhase.STOPPING)
    await cancel(first, save=False)
    await over(first)
    await keep(story.client, "cancelled_job", first.id)
    third = await submit(story, name=f"{story.name}-c", retries=AT_ONCE)
    await comes_to(third, JobPhase.RUNNING)
    await third.cancel()
    with suppress(WorkflowFailureError):
        await over(third)
    await keep(story.client, "cancelled_by_the_server", third.id)
    await keep(story.client, "cancelled_jobs", queue.id)


async def late(story: Story) -> None:
    """It was to be over by a moment, and was saved and stopped then."""
    handle = await submit(story, stop_after=timedelta(seconds=3))
    await comes_to(handle, JobPhase.RUNNING)
    await over(handle)
    await keep(story.client, "late", handle.id)


async def went_on(story: Story) -> None:
    """It and its queue went on in new runs."""
    handle = await submit(story)
    found = await comes_to(handle, JobPhase.RUNNING)
    word = ReplicaWord(workload=f"{story.name}-a1", phase=Phase.RUNNING, reason="runs", lease=found.lease)
    queue = story.client.get_workflow_handle(names.job_queue_id(story.name))
    for each, signal, said in ((handle, "replica_said", word), (queue, "leave", "nobody")):
        before = (await each.describe()).run_id
        while (await each.describe()).run_id == before:
            await asyncio.gather(*(each.signal(signal, said) for _ in range(SUGGESTS_CONTINUE_AS_NEW // 5)))
    await progress(handle)
    story.world.finish(story.world.newest())
    await over(handle)
    await keep(story.client, "went_on", handle.id)
    await keep(story.client, "went_on", queue.id)


async def record(client: Client) -> None:
    for tell in (done, tried_again, refused_input, cancelled_jobs, late, went_on):
        async with run_story(client) as story, asyncio.timeout(120):
            await tell(story)
            with suppress(RPCError):
                await client.get_workflow_handle(names.job_queue_id(story.name)).terminate("it is told")


async def main() -> None:
    async with a_server() as client:
        await record(client)


if __name__ == "__main__":
    asyncio.run(main())
