"""Work that nobody asks for any more is stopped by its own machine, which later ends itself; who comes back goes on."""

import asyncio

from tests.scenarios.conftest import Tell
from tests.scenarios.stage import PATIENCE
from tests.scenarios.story import Story

LEASE = {"silence": "30s", "boot_timeout": "30s", "deadman": "10s"}


async def test_what_becomes_of_work_and_machines_when_all_workers_fall_silent(tell: Tell) -> None:
    kept = tell("orphan", steps=240, failover=LEASE)
    forsaken = tell("forsaken", steps=240, failover=LEASE | {"end_after": "2s"})
    trusted = tell("trusted", steps=160, failover=LEASE | {"alone": "finish"})
    stories = (kept, forsaken, trusted)
    await asyncio.gather(*(story.begins() for story in stories))
    await asyncio.gather(*(story.works() for story in stories))
    kept.stage.freeze("worker-1")
    try:
        await asyncio.gather(*(_stands_still(story) for story in stories))
        await forsaken.leaves_no_machine()
        (line,) = forsaken.bill()
        assert line["until"] is not None, "the machine has ended its own bill"
        assert kept.alive() and trusted.alive(), "somebody may come back for what is on their disks"
    finally:
        kept.stage.thaw("worker-1")
    await asyncio.gather(*(story.finishes() for story in stories))
    await kept.is_whole(steps=240)
    # The second run was longer than the lease: somebody who watches renews it in time.
    assert len(kept.witness.runs_of(kept.name)) == 2, "stopped once, and started again once, in place"
    report = await forsaken.is_whole(steps=240)
    assert len(report.incidents) == 1 and len(forsaken.bill()) == 2, "it went on from its checkpoint elsewhere"
    await trusted.is_whole(steps=160)
    assert len(trusted.witness.runs_of(trusted.name)) == 1, "it was not stopped"


async def test_a_setup_longer_than_the_lease_is_let_finish(tell: Tell) -> None:
    story = tell("builder", steps=20, setup="sleep 14", failover=LEASE)
    await story.begins()
    await story.finishes()
    await story.is_whole(steps=20)
    assert len(story.bill()) == 1, "the first machine did it all"


async def _stands_still(story: Story) -> None:
    """Its work ends, by whatever hand."""
    async with asyncio.timeout(PATIENCE):
        while story.witness.works_now(story.name):
            await asyncio.sleep(0.2)
