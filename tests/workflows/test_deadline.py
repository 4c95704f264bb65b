"""Work with a deadline: on spot while that is safe, on nothing while there is time, on demand in time."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import Terms
from holdfast.contracts.spec import CheckpointSpec, DeadlineRule, DeadlineSpec, FailoverSpec, PolicySpec
from holdfast.contracts.workload import Phase
from tests.workflows.stories import PATIENCE, Story
from tests.workflows.world import an_offer

pytestmark = pytest.mark.long  # slack runs out in real time

SECOND = timedelta(seconds=1)
SPOT = [an_offer(n, f"0.{30 + n}") for n in range(1, 4)]
ON_DEMAND = [an_offer(n, f"0.{60 + n}", terms=Terms.ON_DEMAND, bid=None) for n in range(11, 14)]


@pytest.fixture(autouse=True)
def _some_providers_know_no_spot(story: Story) -> None:
    story.world.firm_too = True


def due(*, within: int, **more: Any) -> dict[str, Any]:
    """A minute of work, and what a try on spot may cost: two changeovers, one cadence, one review, 13 s together."""
    deadline = DeadlineSpec(work=60 * SECOND, within=within * SECOND, changeover=2 * SECOND, **more)
    return {
        "policy": PolicySpec(deadline=deadline),
        "checkpoint": CheckpointSpec(every=5 * SECOND),
        "failover": FailoverSpec(silence=2 * SECOND),
    }


async def test_with_time_to_spare_the_work_runs_on_spot_and_a_loss_is_answered_on_spot(story: Story):
    story.world.offers = [*SPOT, *ON_DEMAND]
    handle = await story.begin(**due(within=600))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.terms is Terms.INTERRUPTIBLE
    assert status.deadline is not None and status.deadline.slack > timedelta(minutes=8)
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.terms is Terms.INTERRUPTIBLE


async def test_a_loss_with_too_little_slack_for_another_try_is_answered_on_demand(story: Story):
    story.world.offers = [*SPOT, *ON_DEMAND]
    handle = await story.begin(**due(within=75))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.terms is Terms.INTERRUPTIBLE
    started_at = status.started_at
    assert started_at is not None
    await story.until(lambda: datetime.now(UTC) - started_at > 3 * SECOND)  # of work that is not saved yet
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.terms is Terms.ON_DEMAND
    assert status.deadline is not None and "on demand until the end" in status.deadline.reason


async def test_without_spot_nothing_is_rented_until_the_slack_is_needed(story: Story):
    story.world.offers = ON_DEMAND
    handle = await story.begin(**due(within=85))
    status = await story.reaches(handle, Phase.WAITING)
    assert "there is no spot" in status.reason and story.world.machines == {}
    status = await story.running(handle)
    assert status.lease is not None and status.lease.terms is Terms.ON_DEMAND
    assert len(story.world.machines) == 1


async def test_a_loss_is_waited_out_while_there_is_time_and_nothing_bills_meanwhile(story: Story):
    story.world.offers = [*SPOT, *ON_DEMAND]
    handle = await story.begin(**due(within=600))
    await story.running(handle)
    story.world.offers = ON_DEMAND
    story.world.outbid(story.world.newest())
    await story.until(lambda: story.world.alive == [])
    status = await story.status(handle)
    assert status.phase is Phase.FAILING_OVER and "there is no spot" in status.reason
    story.world.offers = [replace(each, machine_id="back") for each in SPOT[:1]]
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.machine_id == "back"
    assert story.world.newest().restored is not None


async def test_spot_that_goes_away_during_a_failover_does_not_cost_the_deadline(story: Story):
    story.world.offers = [*SPOT, *ON_DEMAND]
    handle = await story.begin(**due(within=85))
    await story.running(handle)
    story.world.refusals = {each.offer_id: "gone" for each in SPOT}  # listed, and not to be had
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=4)
    assert status.lease is not None and status.lease.terms is Terms.ON_DEMAND
    assert story.world.incidents[-1].cause is Cause.OUTBID


async def test_slack_that_only_a_save_is_missing_for_is_saved_and_the_machine_stayed_on(story: Story):
    story.world.offers = [*SPOT, *ON_DEMAND]
    handle = await story.begin(**due(within=78))
    await story.running(handle)
    saver = story.client.get_workflow_handle(names.checkpoints_id(story.name))
    never = timedelta(hours=1)
    await saver.execute_update("change_cadence", never, result_type=timedelta)
    await story.until(lambda: any(each.reason is SaveReason.REQUESTED for each in story.world.saves))
    async with asyncio.timeout(PATIENCE):
        while (told := (await story.status(handle)).deadline) is None or told.slack < 8 * SECOND:
            await asyncio.sleep(0.1)
    assert (await story.running(handle)).epoch == 1


async def test_a_machine_on_spot_is_left_for_one_on_demand_before_the_slack_is_gone(story: Story):
    """Nothing can be saved while it runs, so slack runs out on a machine that is never lost."""
    story.world.offers = [*SPOT, *ON_DEMAND]
    handle = await story.begin(**due(within=78))
    await story.running(handle)
    story.world.save_fails = True
    await story.reaches(handle, Phase.FAILING_OVER)
    story.world.save_fails = False  # the last save is tried again until it can be had
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.terms is Terms.ON_DEMAND
    assert story.world.incidents[-1].cause is Cause.DEADLINE
    assert story.world.incidents[-1].work_lost == timedelta()


async def test_a_machine_that_only_restarted_goes_on_in_place_whatever_the_deadline_would_choose(story: Story):
    story.world.offers = [*SPOT, *ON_DEMAND]
    handle = await story.begin(**due(within=600))
    await story.running(handle)
    story.world.offers = ON_DEMAND  # for anything else it would wait, and let the machine go
    story.world.lose_work(story.world.newest())
    await story.running(handle, epoch=2)
    assert story.world.alive == ["i1"]


async def test_a_machine_on_demand_is_let_go_when_the_work_is_ahead_and_never_left_for_another_one(story: Story):
    story.world.offers = ON_DEMAND
    handle = await story.begin(**due(within=600, rule=DeadlineRule.UNIFORM))
    status = await story.running(handle)  # behind even progress, with much slack
    assert status.lease is not None and status.lease.terms is Terms.ON_DEMAND
    await story.until(lambda: story.world.alive == [])
    assert len(story.world.machines) == 1


async def test_a_machine_on_demand_is_left_for_spot_that_costs_clearly_less(story: Story):
    story.world.offers = ON_DEMAND
    handle = await story.begin(**due(within=600, rule=DeadlineRule.UNIFORM))
    await story.running(handle)
    story.world.offers = [*ON_DEMAND, *SPOT]
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.terms is Terms.INTERRUPTIBLE
    assert story.world.incidents[-1].cause is Cause.DEADLINE
