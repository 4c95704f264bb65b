"""Stories of hours: an empty market is waited out, in histories that stay short."""

import asyncio
from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.spec import FailoverSpec
from holdfast.contracts.workload import Ack, Phase, StopRequest
from tests.workflows.stories import Story
from tests.workflows.world import an_offer


async def test_a_failover_climbs_again_until_the_market_has_a_machine(skipping: WorkflowEnvironment, long_story: Story):
    handle = await long_story.begin(failover=FailoverSpec(silence=timedelta(seconds=2)))
    await long_story.running(handle)
    long_story.world.offers = []
    long_story.world.outbid(long_story.world.newest())
    await long_story.reaches(handle, Phase.FAILING_OVER)
    climb = skipping.client.get_workflow_handle(names.failover_id(long_story.name, 1))
    await long_story.until(lambda: long_story.world.calls["search"] >= 2)
    await skipping.fast_forward(climb, timedelta(minutes=6))
    await long_story.until(lambda: long_story.world.calls["search"] >= 3)
    long_story.world.offers = [an_offer(9)]
    while (await long_story.status(handle)).epoch < 2:
        await skipping.fast_forward(climb, timedelta(minutes=6))
        await asyncio.sleep(0.05)
    status = await long_story.running(handle, epoch=2)
    assert status.lease is not None
    assert status.lease.machine_id == "m9"
    assert long_story.world.alive == [status.lease.instance_id]


async def test_a_long_wait_for_the_market_continues_as_new(skipping: WorkflowEnvironment, long_story: Story):
    handle = await long_story.begin()
    await long_story.running(handle)
    long_story.world.offers = []
    long_story.world.outbid(long_story.world.newest())
    await long_story.reaches(handle, Phase.FAILING_OVER)
    await long_story.until(lambda: long_story.world.calls["search"] >= 2)
    climb = skipping.client.get_workflow_handle(names.failover_id(long_story.name, 1))
    first_run = (await climb.describe()).run_id
    async with asyncio.timeout(60):
        while (await climb.describe()).run_id == first_run:
            await skipping.fast_forward(climb, timedelta(minutes=6))
    long_story.world.offers = [an_offer(9)]
    while (await long_story.status(handle)).epoch < 2:
        await skipping.fast_forward(climb, timedelta(minutes=6))
        await asyncio.sleep(0.05)
    await long_story.running(handle, epoch=2)


async def test_a_first_placement_whose_offers_all_refuse_waits_and_searches_again(story: Story):
    story.world.refusals = {offer.offer_id: "gone" for offer in story.world.offers}
    handle = await story.begin()
    await story.reaches(handle, Phase.WAITING)
    story.world.refusals = {}
    status = await story.running(handle)
    assert status.epoch == len(story.world.offers)
    assert story.world.alive == ["i1"]


async def test_a_workload_that_waits_for_the_market_can_be_stopped(story: Story):
    story.world.refusals = {offer.offer_id: "gone" for offer in story.world.offers}
    handle = await story.begin()
    await story.reaches(handle, Phase.WAITING)
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    async with asyncio.timeout(30):
        await handle.result()
    assert story.world.ended is not None
    assert story.world.ended[0] is Phase.STOPPED
