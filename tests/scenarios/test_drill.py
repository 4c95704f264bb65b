"""A rehearsed loss on real hosts: what is saved before it is there after it, and the result is as if undisturbed."""

from decimal import Decimal

from holdfast.contracts.incidents import Cause
from tests.scenarios.conftest import Tell


async def test_a_drill_moves_the_work_one_that_is_too_dear_leaves_it_and_neither_costs_any_of_it(tell: Tell) -> None:
    story = tell("drilled", steps=80)
    await story.begins()
    await story.works()
    steps: list[str] = []
    moved = await story.holdfast.drill(story.name, budget=Decimal(1), told=steps.append)
    assert moved.passed and moved.moved and any("booting" in each for each in steps)
    await story.works(epoch=2)
    dear = await story.holdfast.drill(story.name, budget=Decimal("0.000001"))
    assert not dear.passed and not dear.moved and "used up" in dear.incident.reason
    await story.finishes()
    report = await story.is_whole(steps=80)
    assert [each.cause for each in report.incidents] == [Cause.DRILL, Cause.DRILL]
    assert all(not each.work_lost for each in report.incidents)
