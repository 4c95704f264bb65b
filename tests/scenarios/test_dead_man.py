"""Work that nobody asks for any more is stopped by its own machine; somebody who comes back finds it and goes on."""

import asyncio

from tests.scenarios.conftest import Tell
from tests.scenarios.stage import PATIENCE

LEASE = {"silence": "30s", "boot_timeout": "30s", "deadman": "10s"}


async def test_work_is_stopped_when_all_workers_are_silent_and_goes_on_when_they_are_back(tell: Tell) -> None:
    story = tell("orphan", steps=240, failover=LEASE)
    await story.begins()
    await story.works()
    story.stage.freeze("worker-1")
    try:
        async with asyncio.timeout(PATIENCE):
            while story.witness.works_now(story.name):
                await asyncio.sleep(0.2)
    finally:
        story.stage.thaw("worker-1")
    await story.finishes()
    await story.is_whole(steps=240)
    # The second run was longer than the lease: somebody who watches renews it in time.
    assert len(story.witness.runs_of(story.name)) == 2, "stopped once, and started again once"


async def test_a_setup_longer_than_the_lease_is_let_finish(tell: Tell) -> None:
    story = tell("builder", steps=20, setup="sleep 14", failover=LEASE)
    await story.begins()
    await story.finishes()
    await story.is_whole(steps=20)
    assert len(story.bill()) == 1, "the first machine did it all"
