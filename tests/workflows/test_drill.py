"""A rehearsed loss: the work moves as after a real one, or goes on where it was; nothing is lost either way."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from holdfast.contracts.incidents import Cause
from holdfast.contracts.spec import FailoverSpec, Strategy
from holdfast.contracts.workload import Ack, FailoverRequest, Phase
from tests.workflows.stories import Story
from tests.workflows.world import an_offer

DRILL = FailoverRequest(reason="a drill", drill=Decimal(1))


async def rehearsed(story: Story, request: FailoverRequest = DRILL, **failover: Any) -> WorkflowHandle[Any, Any]:
    handle = await story.begin(failover=FailoverSpec(silence=timedelta(seconds=2), **failover))
    await story.running(handle)
    await handle.execute_update("failover", request, result_type=Ack)
    return handle


async def test_the_work_moves_and_its_machine_is_let_go_only_then(story: Story):
    story.world.moments.hold("resume_work 2 is done")
    handle = await rehearsed(story)
    await story.moment("resume_work 2 is done")
    assert story.world.alive == ["i1", "i2"], "the machine that was left is kept until the work runs elsewhere"
    story.world.moments.go_on()
    await story.running(handle, epoch=2)
    await story.until(lambda: story.world.alive == ["i2"])
    await story.until(lambda: bool(story.world.incidents[-1].recovered_at))
    incident = story.world.incidents[-1]
    assert (incident.cause, incident.strategy) == (Cause.DRILL, Strategy.SNAPSHOT)
    assert incident.work_lost == timedelta()
    assert incident.reason == "a drill"


async def test_without_another_machine_the_work_goes_on_where_it_was(story: Story):
    story.world.offers = [an_offer(1)]
    handle = await rehearsed(story)
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.instance_id == "i1"
    assert story.world.alive == ["i1"]
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[-1].recovered_at))
    incident = story.world.incidents[-1]
    assert incident.strategy == Strategy.COLDSTART and "aborted" in incident.reason
    assert incident.work_lost is None, "what was on its disk is all there"


async def test_a_drill_that_gets_dear_is_aborted_and_what_it_rented_is_given_back(story: Story):
    story.world.slow_to_boot = {each.machine_id for each in story.world.offers[1:]}
    handle = await rehearsed(story, FailoverRequest(reason="a drill", drill=Decimal("0.0002")))
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[-1].recovered_at))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.instance_id == "i1"
    assert "budget of $0.0002 is used up" in story.world.incidents[-1].reason
    await story.until(lambda: story.world.alive == ["i1"])


async def test_a_workload_whose_budget_pays_for_no_second_machine_goes_on(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.claims_are_refused = "the budget has nothing left"
    await handle.execute_update("failover", DRILL, result_type=Ack)
    await story.until(lambda: story.world.calls["search"] >= 2)
    story.world.claims_are_refused = ""
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[-1].recovered_at))
    status = await story.running(handle)
    assert status.lease is not None and story.world.alive == [status.lease.instance_id]


async def test_a_machine_that_dies_during_a_drill_is_lost_in_earnest_and_the_work_is_not(story: Story):
    story.world.refusals = {each.offer_id: "gone" for each in story.world.offers[1:]}
    story.world.moments.hold("launch 2 begins")
    handle = await rehearsed(story)
    await story.moment("launch 2 begins")
    first = story.world.newest()
    story.world.vanish(first)
    story.world.gpu_is_taken = True
    story.world.moments.go_on()
    await story.until(lambda: story.world.calls["search"] >= 3)
    story.world.refusals = {}
    status = await story.running(handle)
    assert status.lease is not None and status.lease.instance_id != "i1"
    await story.until(lambda: story.world.alive == [status.lease.instance_id] if status.lease else False)


async def test_a_drill_is_asked_for_with_a_budget_and_only_of_work_that_runs(story: Story):
    handle = await story.begin()
    await story.running(handle)
    for wrong in (FailoverRequest(drill=Decimal(0)), FailoverRequest(drill=Decimal(1), save_first=False)):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("failover", wrong, result_type=Ack)
        assert "a drill needs a budget above zero" in str(refused.value.cause)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("failover", DRILL, result_type=Ack)
