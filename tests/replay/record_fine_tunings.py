"""Record golden histories of fine-tunings: `python -m tests.replay.record_fine_tunings`. Rules as in `record`."""

import asyncio
from contextlib import suppress

from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.deployments import endpoint_of
from holdfast.contracts.endpoints import replica_name
from tests.replay.record import a_server, keep
from tests.workflows.stories import SUGGESTS_CONTINUE_AS_NEW, Story, run_story
from tests.workflows.tuners import begin, cancel, over, trains


async def tuned(story: Story) -> None:
    """It trained, went on in a new run, and became a version."""
    handle = await begin(story)
    told = (await trains(story, handle)).job
    before = (await handle.describe()).run_id
    while (await handle.describe()).run_id == before:
        await asyncio.gather(*(handle.signal("job_said", told) for _ in range(SUGGESTS_CONTINUE_AS_NEW // 5)))
    story.world.finish(story.world.newest())
    await over(handle)
    await keep(story.client, "tuned", handle.id)


async def tuning_failed(story: Story) -> None:
    """The trainer ended with an error."""
    handle = await begin(story)
    await trains(story, handle)
    story.world.finish(story.world.newest(), exit_code=65)
    await over(handle)
    await keep(story.client, "tuning_failed", handle.id)


async def tuning_cancelled(story: Story) -> None:
    """Somebody cancelled it while it trained."""
    handle = await begin(story)
    await trains(story, handle)
    await cancel(handle)
    await over(handle)
    await keep(story.client, "tuning_cancelled", handle.id)


async def result_refused(story: Story) -> None:
    """What it left behind made no sense."""
    handle = await begin(story)
    await trains(story, handle)
    story.world.result_is_odd = "the training.json of the result is no JSON"
    story.world.finish(story.world.newest())
    await over(handle)
    await keep(story.client, "result_refused", handle.id)


async def tuned_and_deployed(story: Story) -> None:
    """What came of it was put behind a name, whose deployment told it so."""
    handle = await begin(story, deploy=True)
    await trains(story, handle)
    story.world.finish(story.world.newest())
    await over(handle)
    await keep(story.client, "tuned_and_deployed", handle.id)
    await keep(story.client, "tuned_and_deployed", names.deployment_id(story.name))


async def tuned_and_not_fit(story: Story) -> None:
    """What came of it answered badly, and never had the traffic."""
    handle = await begin(story, deploy=True)
    await trains(story, handle)
    story.world.unfit.add(replica_name(endpoint_of(story.name, 1), 0))
    story.world.finish(story.world.newest())
    await over(handle)
    await keep(story.client, "tuned_and_not_fit", handle.id)


async def record(client: Client) -> None:
    for tell in (tuned, tuning_failed, tuning_cancelled, result_refused, tuned_and_deployed, tuned_and_not_fit):
        async with run_story(client) as story, asyncio.timeout(120):
            await tell(story)
            with suppress(RPCError):
                await client.get_workflow_handle(names.job_queue_id(story.name)).terminate("it is told")


async def main() -> None:
    async with a_server() as client:
        await record(client)


if __name__ == "__main__":
    asyncio.run(main())
