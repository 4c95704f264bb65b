"""What we say it cost is what the market's bill says, and no budget is exceeded."""

from decimal import Decimal

import pytest

from holdfast.client.errors import BudgetExceeded
from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.money import By, Drift, Scope, Span
from holdfast.contracts.workload import Phase
from tests.scenarios.conftest import Tell
from tests.scenarios.story import Story

SECOND = Decimal(1) / 3600


@pytest.mark.long
async def test_our_cost_is_the_market_s_bill_across_a_pause(tell: Tell) -> None:
    story = tell("metered", steps=60)
    await story.begins()
    await story.works()
    await story.holdfast.pause(story.name)
    await story.comes_to(lambda status: status.phase is Phase.PAUSED, "it is paused")
    await story.holdfast.resume(story.name)
    await story.finishes()
    report = await story.leaves_nothing()
    ours = {lease.label: lease.cost for lease in report.leases}
    for line in story.bill():
        # The market charges every second begun, in each of its periods, for the GPU and for the disk.
        rounding = sum(
            ((Decimal(each["gpu_rate"]) + Decimal(each["storage_rate"])) * SECOND for each in line["periods"]),
            Decimal(0),
        )
        assert len(line["periods"]) > 2 and abs(ours[line["label"]] - Decimal(line["total"])) <= rounding
    costs = await story.holdfast.costs()
    assert {line.label: line.cost for line in costs.lines if line.workload == story.name} == ours
    groups = (await story.holdfast.costs(by=By.WORKLOAD)).groups
    assert [each.cost for each in groups if each.name == story.name] == [report.cost]
    (drift,) = costs.drift
    # A bid that was refused in another story may have left its line on the account's bill, and on nobody's record.
    assert drift.machines >= 1 and not drift.detail
    by_schedule = await story.client.execute_workflow(
        names.RECONCILE,
        "vast",
        id=f"{names.reconcile_id('vast')}/{story.name}",
        task_queue=names.CONTROL_QUEUE,
        result_type=Drift,
    )
    assert by_schedule.machines >= drift.machines and by_schedule.provider == "vast"


async def test_on_a_budget_of_zero_nothing_is_rented(tell: Tell) -> None:
    story = tell("penniless")
    await story.holdfast.set_budget(Scope.WORKLOAD, story.name, Span.TOTAL, Decimal(0))
    with pytest.raises(BudgetExceeded, match=r"the budget of \$0.00"):
        await story.begins()
    assert story.bill() == [] and not await story.holdfast.is_running(story.name)


async def test_work_whose_budget_is_lowered_is_saved_and_stopped_and_told_why(tell: Tell) -> None:
    story = tell("lowered", steps=2000)
    await story.holdfast.set_budget(Scope.WORKLOAD, story.name, Span.TOTAL, Decimal(1))
    await story.begins()
    before = await story.works()
    await story.holdfast.set_budget(Scope.WORKLOAD, story.name, Span.TOTAL, Decimal("0.0001"))
    ended = await _stopped(story)
    assert ended == f"the budget of $0.0001 for workload {story.name!r} is used up"
    report = await story.leaves_nothing()
    assert report.checkpoints[-1].reason is SaveReason.STOP
    assert before.head is not None and report.checkpoints[-1].sequence > before.head.sequence
    (standing,) = await story.holdfast.budgets(workload=story.name)
    assert standing.spent == report.cost and standing.reserved == 0


async def _stopped(story: Story) -> str:
    result = await story.holdfast.wait(story.name)
    assert result.phase is Phase.STOPPED
    return result.reason
