"""Stories of hours: an empty market is waited out, in histories that stay short."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.spec import FailoverSpec
from holdfast.contracts.workload import Ack, Phase, StopRequest
from tests.workflows.stories import PATIENCE, Story
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
    async with asyncio.timeout(PATIENCE):
        while (await climb.describe()).run_id == first_run:
            await skipping.fast_forward(climb, timedelta(minutes=6))
    long_story.world.offers = [an_offer(9)]
    while (await long_story.status(handle)).epoch < 2:
        await skipping.fast_forward(climb, timedelta(minutes=6))
        await asyncio.sleep(0.05)
    await long_story.running(handle, epoch=2)


@pytest.mark.long
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


async def test_a_long_outage_is_waited_out_in_runs_that_stay_short(skipping: WorkflowEnvironment, long_story: Story):
    handle = await long_story.begin()
    await long_story.running(handle)
    first_run = (await handle.describe()).run_id
    long_story.world.api_is_down = True
    long_story.world.fall_silent(long_story.world.newest(), last_sign=datetime.now(UTC) - timedelta(hours=1))
    await long_story.reaches(handle, Phase.SUSPECT)
    async with asyncio.timeout(2 * PATIENCE):
        while (await handle.describe()).run_id == first_run:
            looks = long_story.world.calls["inspect"]
            await skipping.fast_forward(handle, timedelta(minutes=1))
            await long_story.until(lambda seen=looks: long_story.world.calls["inspect"] > seen)
    looks = long_story.world.calls["inspect"]
    await long_story.until(lambda: long_story.world.calls["inspect"] > looks)
    assert (await long_story.status(handle)).phase is Phase.SUSPECT
    long_story.world.api_is_down = False
    await skipping.fast_forward(handle, timedelta(minutes=1))
    await long_story.running(handle, epoch=2)
    await long_story.until(lambda: long_story.world.alive == ["i2"])


@pytest.mark.long
async def test_nothing_is_started_in_place_on_a_machine_that_is_being_destroyed(story: Story):
    """The first climb could not start it again and let it go. No clock is moved here: a child that runs forbids it."""
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("destroy 1 begins")
    story.world.gpu_is_taken = True
    story.world.offers = []
    story.world.lose_work(story.world.newest())
    await story.moment("destroy 1 begins")
    await story.until(lambda: story.world.calls["search"] >= 2)
    story.world.gpu_is_taken = False
    story.world.offers = [an_offer(9)]
    await story.moment("resume_work 2 is done")
    assert not story.world.moments.reached("start_instance 2 begins")
    story.world.moments.go_on()
    await story.until(lambda: story.world.alive == ["i2"])


async def test_silence_is_counted_from_the_last_sign_that_the_watch_had(story: Story):
    """A machine that was watched in good health for hours, and cannot be reached for a moment, is not given up."""
    story.world.age = timedelta(hours=2)
    handle = await story.begin(failover=FailoverSpec(silence=timedelta(minutes=10)))
    await story.running(handle)
    machine = story.world.newest()
    machine.host_is_up = False
    await handle.signal("provider_said", replace(machine.instance, state=InstanceState.OFFLINE))
    await story.moment("try_reach 1 is done")
    machine.host_is_up = True
    await story.moment("try_reach 2 begins")
    assert (await story.running(handle)).epoch == 1
    assert story.world.incidents == []
