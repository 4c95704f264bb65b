"""Ways to another machine: near first, several at once, in a time box, in the order that was best so far."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from holdfast.contracts.machines import Conduct, InstanceState, Terms
from holdfast.contracts.memory import PlaceMemory, StrategyRecord
from holdfast.contracts.spec import FailoverSpec, Order, Strategy
from holdfast.contracts.workload import Ack, FailoverRequest, Phase, StopRequest
from tests.workflows.stories import Story
from tests.workflows.world import PROVIDER, an_offer

FAR = [an_offer(n, f"0.{10 + n}", region="US") for n in (11, 12)]
NEAR = [an_offer(n, f"0.{30 + n}") for n in range(1, 6)]


def policy(*ladder: Strategy, **more: Any) -> FailoverSpec:
    return FailoverSpec(ladder=ladder or (Strategy.SNAPSHOT,), silence=timedelta(seconds=2), **more)


async def lost(story: Story, **spec: Any) -> Any:
    """A workload whose first machine has just been outbid, while the market has others."""
    story.world.offers = NEAR[:1]
    handle = await story.begin(**spec)
    await story.running(handle)
    story.world.offers = NEAR
    story.world.outbid(story.world.newest())
    return handle


async def test_regional_stays_in_the_lost_machines_region_though_others_are_cheaper(story: Story):
    story.world.offers = NEAR[:1]
    handle = await story.begin(failover=policy(Strategy.REGIONAL, Strategy.SNAPSHOT))
    await story.running(handle)
    story.world.offers = [*FAR, *NEAR]
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None
    assert (status.lease.region, status.lease.machine_id) == ("DE", "m2")
    assert story.world.incidents[0].strategy == Strategy.REGIONAL
    assert sum("US" in each.reason for each in story.world.decisions[-1].rejected) == len(FAR)


async def test_regional_goes_to_the_policys_next_regions_then_the_next_rung_anywhere(story: Story):
    story.world.offers = NEAR[:1]
    handle = await story.begin(failover=policy(Strategy.REGIONAL, Strategy.SNAPSHOT, regions=("CA",)))
    await story.running(handle)
    story.world.offers = [an_offer(21, region="FR"), an_offer(22, "0.90", region="CA")]
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.region == "CA"
    story.world.offers = [an_offer(21, region="FR")]
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=3)
    assert status.lease is not None and status.lease.region == "FR"
    assert [each.strategy for each in story.world.incidents] == [Strategy.REGIONAL, Strategy.SNAPSHOT]


async def test_regional_leaves_a_region_that_has_just_lost_a_machine_to_the_market(story: Story):
    spot = [replace(each, terms=Terms.INTERRUPTIBLE, bid=each.hourly) for each in NEAR]
    story.world.offers = spot[:1]
    handle = await story.begin(failover=policy(Strategy.REGIONAL, Strategy.SNAPSHOT, regions=("CA",)))
    await story.running(handle)
    story.world.offers = [*spot, replace(spot[0], offer_id="22", machine_id="m22", region="CA", hourly=Decimal("0.90"))]
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.region == "CA"


async def test_a_race_keeps_the_first_machine_that_is_ready_and_proves_the_others_gone(story: Story):
    story.world.slow_to_boot = {"m2"}
    handle = await lost(story, failover=policy(race=2))
    await story.until(lambda: bool(story.world.incidents))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m3"
    (winner,) = [each for each, machine in story.world.machines.items() if machine.instance.machine_id == "m3"]
    await story.until(lambda: story.world.alive == [winner])
    outcomes = {each.machine_id: each.outcome for each in story.world.incidents[0].attempts}
    assert outcomes == {"m2": "another machine was ready first", "m3": "running"}
    await story.until(lambda: any("ready first" in reason for reason in story.world.closed.values()))
    losers = [label for label, reason in story.world.closed.items() if "ready first" in reason]
    assert [story.world.conduct[label] for label in losers] == [(Conduct.NEUTRAL, "")]


async def test_the_winner_of_a_race_has_the_newest_epoch_and_may_commit(story: Story):
    story.world.slow_to_boot = {"m3"}
    handle = await lost(story, failover=policy(race=2))
    await story.until(lambda: bool(story.world.incidents))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m2"
    assert status.lease.epoch == status.epoch == story.world.epoch == 4
    saved = await story.save_now(handle)
    assert saved.epoch == 4


async def test_a_second_machine_is_tried_beside_one_that_takes_too_long(story: Story):
    story.world.slow_to_boot = {"m2"}
    handle = await lost(story, failover=policy(hedge=timedelta(seconds=1)))
    await story.until(lambda: bool(story.world.incidents))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m3"
    await story.until(lambda: len(story.world.alive) == 1)


async def test_a_race_may_cost_no_more_than_the_budget(story: Story):
    story.world.offers = NEAR[:1]
    handle = await story.begin(failover=policy(race=3))
    await story.running(handle)
    story.world.offers = NEAR
    story.world.claims_are_refused_after = 2
    story.world.outbid(story.world.newest())
    await story.until(lambda: bool(story.world.incidents))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m2"
    assert [each.outcome.split(":")[0] for each in story.world.incidents[0].attempts].count("taken") == 2


async def test_stopped_during_a_race_nothing_is_left(story: Story):
    story.world.slow_to_boot = {"m1", "m2", "m3"}
    story.world.offers = NEAR[:3]
    handle = await story.begin(failover=policy(race=3))
    await story.until(lambda: len(story.world.machines) == 3)
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    await handle.result()
    assert story.world.alive == []
    assert len(story.world.closed) == 3


@pytest.mark.long
async def test_the_next_rung_is_tried_when_one_takes_too_long(story: Story):
    story.world.offers = NEAR[:1]
    ladder = (Strategy.REGIONAL, Strategy.SNAPSHOT)
    handle = await story.begin(failover=policy(*ladder, rung_timeout=timedelta(seconds=10)))
    await story.running(handle)
    story.world.offers = [NEAR[1], FAR[0]]
    story.world.slow_to_boot = {"m2"}
    story.world.outbid(story.world.newest())
    await story.until(lambda: bool(story.world.incidents))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m11"
    assert story.world.incidents[0].strategy == Strategy.SNAPSHOT
    await story.until(lambda: len(story.world.alive) == 1)


async def test_auto_begins_with_what_was_fastest(story: Story):
    story.world.recoveries = [
        StrategyRecord(strategy=Strategy.REGIONAL, times=9, typical=timedelta(minutes=5)),
        StrategyRecord(strategy=Strategy.SNAPSHOT, times=9, typical=timedelta(seconds=40)),
    ]
    handle = await lost(story, failover=policy(Strategy.REGIONAL, Strategy.SNAPSHOT, order=Order.AUTO))
    await story.running(handle, epoch=2)
    assert story.world.incidents[0].strategy == Strategy.SNAPSHOT


async def test_a_place_where_machines_fail_is_left_alone(story: Story):
    story.world.offers = [*NEAR[:1]]
    handle = await story.begin(failover=policy())
    await story.running(handle)
    story.world.offers = [FAR[0], *NEAR]
    until = story.world.heads[0].taken_at + timedelta(days=1)
    story.world.places = [PlaceMemory(provider=PROVIDER, region="US", until=until, reason="3 machines failed")]
    story.world.outbid(story.world.newest())
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.region == "DE"
    assert "3 machines failed" in story.world.decisions[-1].rejected[0].reason


async def test_a_person_may_say_by_which_strategy_a_machine_is_left(story: Story):
    handle = await story.begin(failover=policy(Strategy.SNAPSHOT, Strategy.REGIONAL))
    await story.running(handle)
    request = FailoverRequest(strategy=Strategy.REGIONAL)
    await handle.execute_update("failover", request, result_type=Ack)
    await story.running(handle, epoch=2)
    assert story.world.incidents[0].strategy == Strategy.REGIONAL
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("failover", FailoverRequest(strategy=Strategy.WARMPOOL), result_type=Ack)
    assert "permits no way to another machine (warmpool: the policy names no pool)" in str(refused.value.cause)


async def test_more_moves_in_a_day_than_the_policy_allows_wait_for_the_day_or_a_person(story: Story):
    handle = await lost(story, failover=policy(per_day=1))
    await story.running(handle, epoch=2)
    story.world.outbid(story.world.newest())
    await story.reaches(handle, Phase.FAILING_OVER)
    await story.until(lambda: len(story.world.alive) == 0)
    status = await story.status(handle)
    assert "1 move in 24 hours" in status.reason
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("failover", FailoverRequest(strategy=Strategy.WARMPOOL), result_type=Ack)
    await handle.execute_update("failover", FailoverRequest(strategy=Strategy.REGIONAL), result_type=Ack)
    await story.running(handle, epoch=3)
    assert story.world.incidents[-1].strategy == Strategy.REGIONAL


async def exited(story: Story, **spec: Any) -> Any:
    """A workload whose machine's container ended, its disk intact, before anything was saved."""
    story.world.offers = NEAR[:1]
    handle = await story.begin(workdir=False, **spec)
    await story.running(handle)
    story.world.offers = NEAR
    machine = story.world.newest()
    machine.instance = replace(machine.instance, state=InstanceState.EXITED, ssh=None)
    return handle, machine


async def test_a_restart_that_takes_long_loses_against_a_new_machine(story: Story):
    handle, machine = await exited(story, failover=policy(Strategy.COLDSTART, race=2))
    before = (await story.status(handle)).epoch
    first = machine.instance.machine_id
    story.world.slow_to_boot = {first}
    story.world.fall_silent(machine)
    await story.until(lambda: bool(story.world.incidents))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id != first
    assert status.lease.epoch == status.epoch > before + 1
    await story.until(lambda: len(story.world.alive) == 1)


async def test_a_restart_that_is_ready_first_keeps_the_machine_and_its_files(story: Story):
    handle, machine = await exited(story, failover=policy(Strategy.COLDSTART, race=2))
    kept = machine.instance.machine_id
    story.world.slow_to_boot = {each.machine_id for each in NEAR} - {kept}
    story.world.fall_silent(machine)
    await story.until(lambda: bool(story.world.incidents))
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == kept
    assert story.world.incidents[0].work_lost is None
    await story.until(lambda: len(story.world.alive) == 1)
