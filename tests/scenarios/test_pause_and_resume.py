"""Paused, a workload costs its disk only; resumed, it goes on where it was, or elsewhere if its GPU was taken."""

from holdfast.contracts.workload import Phase
from tests.scenarios.conftest import Tell
from tests.scenarios.story import Story


async def test_a_paused_workload_is_billed_for_its_disk_only_and_resumes_on_its_machine(tell: Tell) -> None:
    story = tell("nap")
    await _paused(story)
    (machine,) = story.alive()
    assert machine["stop"] == "user" and not story.witness.works_now(story.name)
    assert float(story.bill()[0]["periods"][-1]["gpu_rate"]) == 0 < float(machine["storage_rate"])
    await story.holdfast.resume(story.name)
    await story.finishes()
    await story.is_whole()
    assert len(story.bill()) == 1


async def test_a_workload_whose_gpu_was_taken_meanwhile_resumes_on_another_machine(tell: Tell) -> None:
    story = tell("usurped")
    await _paused(story)
    story.market.take(story.name)
    await story.holdfast.resume(story.name)
    await story.finishes()
    await story.is_whole()
    assert len(story.witness.machines_of(story.name)) == 2


async def _paused(story: Story) -> None:
    await story.begins()
    await story.works()
    await story.holdfast.pause(story.name)
    await story.comes_to(lambda status: status.phase is Phase.PAUSED, "it is paused")
