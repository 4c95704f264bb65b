"""Paused, a workload costs its disk only; resumed, it goes on where it was, or elsewhere if its GPU was taken."""

from holdfast.contracts.workload import Phase
from tests.scenarios.conftest import Tell
from tests.scenarios.story import Story


async def test_a_paused_workload_costs_its_disk_only_and_resumes_where_it_was_or_elsewhere(tell: Tell) -> None:
    story = tell("nap", steps=80)
    await story.begins()
    first = await _pauses(story, after=0)
    (machine,) = story.alive()
    assert machine["stop"] == "user" and not story.witness.works_now(story.name)
    assert float(story.bill()[-1]["periods"][-1]["gpu_rate"]) == 0 < float(machine["storage_rate"])
    await story.holdfast.resume(story.name)
    await _pauses(story, after=first)
    assert [each["id"] for each in story.alive()] == [machine["id"]], "its GPU was free, so it stayed where it was"
    story.market.take(story.name)
    await story.holdfast.resume(story.name)
    await story.finishes()
    await story.is_whole(steps=80)
    assert len(story.witness.machines_of(story.name)) == 2


async def _pauses(story: Story, *, after: int) -> int:
    """Pause it once it works under a later epoch than this one; the epoch it works under."""
    working = await story.works(epoch=after + 1)
    await story.holdfast.pause(story.name)
    await story.comes_to(lambda status: status.phase is Phase.PAUSED, "it is paused")
    return working.epoch
