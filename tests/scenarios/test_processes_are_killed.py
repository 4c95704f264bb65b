"""`kill -9` of any process of ours while a workload runs: the work is not disturbed, and the story goes on."""

import asyncio

import pytest

from holdfast.contracts.workload import WorkloadStatus
from tests.scenarios.conftest import Tell
from tests.scenarios.stage import PATIENCE
from tests.scenarios.story import Story


@pytest.mark.long
async def test_worker_then_temporal_then_store_then_market_killed_while_a_workload_runs(tell: Tell) -> None:
    story = tell("kills", steps=300)
    await story.begins()
    await story.works()
    for process in ("worker-1", "temporal", "store", "market"):
        await _kill_and_await(story, process)
    await story.finishes()
    report = await story.is_whole(steps=300)
    assert report.incidents == () and len(story.bill()) == 1, "no machine was lost, so none may be replaced"
    assert len(story.witness.runs_of(story.name)) == 1, "the work was never started a second time"


async def test_a_machine_lost_while_the_worker_is_dead_is_replaced_all_the_same(tell: Tell) -> None:
    story = tell("headless")
    await story.begins()
    await story.works()
    story.stage.kill("worker-1")
    story.market.outbid(story.name)
    await story.works(epoch=2)
    await story.finishes()
    await story.is_whole()


async def _kill_and_await(story: Story, process: str) -> None:
    """Kill it, and wait until it was started again and the workload saves again."""
    killed = story.stage.pid(process)
    story.stage.kill(process)
    async with asyncio.timeout(PATIENCE):
        while not story.stage.is_back(process, instead_of=killed):
            await asyncio.sleep(0.1)
    before = await story.comes_to(lambda status: status.head is not None, "it answers again")

    def has_saved_since(status: WorkloadStatus) -> bool:
        assert status.head is not None and before.head is not None
        return status.phase == "finished" or status.head.sequence > before.head.sequence

    await story.comes_to(has_saved_since, f"it saves again without the old {process}")
