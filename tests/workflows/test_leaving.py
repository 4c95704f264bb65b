"""Machines that are left before they are taken: on notice, and before their contract ends."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.incidents import Cause
from holdfast.contracts.memory import StrategyRecord
from holdfast.contracts.spec import FailoverSpec, Strategy
from holdfast.contracts.workload import Phase, StopRequest
from tests.workflows.stories import Story
from tests.workflows.world import a_risk, an_offer

HALF_A_MINUTE = timedelta(seconds=30)


async def test_a_notice_is_answered_by_a_save_and_a_move_that_loses_no_work(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.give_notice(story.world.newest(), left=HALF_A_MINUTE)
    await story.running(handle, epoch=2)
    assert [each.reason for each in story.world.saves] == [SaveReason.NOTICE]
    incident = story.world.incidents[0]
    assert (incident.cause, incident.work_lost) == (Cause.NOTICE, timedelta())
    assert "saved as checkpoint 1" in incident.reason
    assert story.world.newest().restored == story.world.saves[0].manifest
    await story.until(lambda: len(story.world.alive) == 1)


async def test_the_work_is_stopped_before_it_is_saved_and_moves_only_then(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.order.clear()
    story.world.give_notice(story.world.newest(), left=HALF_A_MINUTE)
    await story.running(handle, epoch=2)
    steps = [each for each in story.world.order if each.startswith(("stop work", "claim", "start"))]
    assert steps[:2] == ["stop work", "claim 2"]


async def test_a_save_that_takes_longer_than_the_notice_is_not_waited_for(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.saves_hang = True
    story.world.give_notice(story.world.newest(), left=timedelta(seconds=3))
    await story.running(handle, epoch=2)
    assert story.world.saves == []
    assert "took longer than" in story.world.incidents[0].reason


async def test_a_notice_that_leaves_no_time_is_answered_at_once_by_a_move(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.give_notice(story.world.newest(), left=timedelta())
    await story.running(handle, epoch=2)
    assert story.world.saves == []
    assert "no time for a last save" in story.world.incidents[0].reason
    await story.until(lambda: len(story.world.alive) == 1)


async def test_a_machine_that_is_gone_before_its_notice_runs_out_is_a_loss_like_any_other(story: Story):
    handle = await story.begin()
    await story.running(handle)
    machine = story.world.newest()
    story.world.give_notice(machine, left=timedelta(seconds=4))
    machine.host_is_up = machine.running = False
    await story.running(handle, epoch=2)
    assert story.world.saves == []
    assert story.world.incidents[0].cause is Cause.NOTICE


async def test_a_stop_during_the_last_save_leaves_nothing_behind(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.saves_hang = True
    story.world.give_notice(story.world.newest(), left=timedelta(seconds=4))
    await story.reaches(handle, Phase.FAILING_OVER)
    await story.order(handle, "stop", StopRequest(save=False))
    result = await handle.result()
    assert result["phase"] == Phase.STOPPED
    assert story.world.alive == []


async def test_a_machine_is_left_before_its_contract_ends(story: Story):
    soon = datetime.now(UTC) + timedelta(seconds=24)
    story.world.offers = [an_offer(1, contract_ends=soon)]
    handle = await story.begin(
        failover=FailoverSpec(silence=timedelta(seconds=2), contract_margin=timedelta(seconds=10))
    )
    await story.running(handle)
    story.world.offers = [replace(an_offer(2), contract_ends=soon + timedelta(days=1))]
    await story.running(handle, epoch=2)
    incident = story.world.incidents[0]
    assert (incident.cause, incident.work_lost) == (Cause.CONTRACT_ENDED, timedelta())
    assert [each.reason for each in story.world.saves] == [SaveReason.NOTICE]
    assert datetime.now(UTC) < soon, "it left in time"


async def test_a_contract_that_ends_too_soon_is_not_begun(story: Story):
    story.world.offers = [
        an_offer(1, "0.10", contract_ends=datetime.now(UTC) + timedelta(minutes=20)),
        an_offer(2, "0.90", contract_ends=datetime.now(UTC) + timedelta(hours=20)),
    ]
    handle = await story.begin()
    status = await story.running(handle)
    assert status.lease is not None and status.lease.machine_id == "m2"


def shopper(**more: object) -> FailoverSpec:
    """Looks around every 2.5 s."""
    return FailoverSpec.model_validate({"silence": "2s", "payback": "1m", **more})


def quick_moves() -> list[StrategyRecord]:
    """So that a minute pays for one."""
    return [StrategyRecord(strategy=Strategy.SNAPSHOT, times=10_000, typical=timedelta(), spent=timedelta())]


async def test_a_machine_is_left_for_a_much_cheaper_one(story: Story):
    story.world.recoveries = quick_moves()
    story.world.offers = [an_offer(1, "0.80")]
    handle = await story.begin(failover=shopper())
    await story.running(handle)
    story.world.offers = [an_offer(1, "0.10"), an_offer(2, "0.20")]
    status = await story.running(handle, epoch=2)
    assert status.lease is not None and status.lease.hourly < Decimal("0.80")
    incident = story.world.incidents[0]
    assert (incident.cause, incident.work_lost) == (Cause.CHEAPER, timedelta())
    assert "$0.200/h at toy for $0.800/h saves $0.01" in incident.reason
    assert [each.reason for each in story.world.saves] == [SaveReason.STOP]


@pytest.mark.long
async def test_one_that_is_hardly_cheaper_or_does_not_pay_in_time_is_not_moved_to(story: Story):
    story.world.offers = [an_offer(1, "0.80")]
    handle = await story.begin(failover=shopper())  # a move takes 95 s, as far as anybody knows
    await story.running(handle)
    story.world.offers = [an_offer(2, "0.70"), an_offer(3, "0.20")]
    searches = story.world.calls["search"]
    await story.until(lambda: story.world.calls["search"] >= searches + 3)
    assert (await story.status(handle)).epoch == 1
    assert story.world.incidents == [] and "stop work" not in story.world.order


@pytest.mark.long
async def test_a_region_where_machines_are_taken_is_not_moved_to_for_a_saving_that_one_loss_eats(story: Story):
    story.world.recoveries = [
        StrategyRecord(strategy=Strategy.SNAPSHOT, times=10_000, typical=timedelta(seconds=34), spent=timedelta())
    ]
    story.world.risks = [a_risk("DE", 0.0), a_risk("US", 0.999)]
    story.world.offers = [an_offer(1, "0.80")]
    handle = await story.begin(failover=shopper())
    await story.running(handle)
    story.world.offers = [an_offer(2, "0.20", region="US")]
    searches = story.world.calls["search"]
    await story.until(lambda: story.world.calls["search"] >= searches + 3)
    assert story.world.incidents == [] and "stop work" not in story.world.order
    story.world.risks = [a_risk("DE", 0.0), a_risk("US", 0.0)]
    assert (await story.running(handle, epoch=2)).lease is not None
    assert story.world.incidents[0].cause is Cause.CHEAPER


async def test_without_a_last_save_nothing_is_left_for_its_price(story: Story):
    story.world.recoveries = quick_moves()
    story.world.offers = [an_offer(1, "0.80")]
    handle = await story.begin(failover=shopper())
    await story.running(handle)
    story.world.save_fails = True
    story.world.offers = [an_offer(1, "0.80"), an_offer(2, "0.20")]
    await story.until(lambda: story.world.order.count(f"start {story.name}.e1") + len(story.world.machines) >= 1)
    await story.until(lambda: "stop work" in story.world.order)
    await story.until(lambda: any(each.startswith("start ") for each in story.world.order[1:]))
    assert len(story.world.machines) == 1, "it went on where it was"


@pytest.mark.long
async def test_the_moves_of_a_day_leave_no_look_around(story: Story):
    story.world.recoveries = quick_moves()
    story.world.offers = [an_offer(1, "0.80")]
    handle = await story.begin(failover=shopper(per_day=1))
    await story.running(handle)
    story.world.offers = [an_offer(2, "0.40")]
    await story.running(handle, epoch=2)
    searches = story.world.calls["search"]
    story.world.offers = [an_offer(3, "0.10")]
    await asyncio.sleep(6)  # two looks long: nothing can be waited for that must not come
    assert story.world.calls["search"] == searches
    assert (await story.status(handle)).epoch == 2
