"""Losses in the worst moments: in the middle of a save, of a restore, with nowhere to go, with a rotten checkpoint."""

import asyncio

import pytest

from holdfast.checkpoints.stores.opening import open_store
from holdfast.contracts import names
from holdfast.contracts.failover import FailoverResult
from holdfast.contracts.workload import Catalog, Phase
from tests.scenarios.conftest import Tell
from tests.scenarios.looking import GLANCE
from tests.scenarios.story import PATIENCE, STEPS, Story

pytestmark = pytest.mark.long

BALLAST = 12_000_000  # bytes that no compression makes fewer
CRAWL = 1_000_000  # bytes per second: a save or a restore of the ballast takes long enough to be struck in its middle


def heavy(steps: int = STEPS) -> str:
    """The training, with ballast beside it that is new on each machine: each save after a start has it to carry."""
    ballast = f"head -c {BALLAST} /dev/urandom > ballast.bin"
    return f"{ballast}; exec python3 train.py --steps {steps} --pace 0.1 --save-every 2"


async def saving(story: Story) -> None:
    """Wait until a save is on its way."""
    handle = story.client.get_workflow_handle(names.checkpoints_id(story.name))
    async with asyncio.timeout(PATIENCE):
        while not (await handle.query("catalog", result_type=Catalog)).saving:
            await asyncio.sleep(GLANCE)


async def restoring(story: Story, *, lost_epoch: int) -> None:
    """Wait until the answer to a loss is restoring a checkpoint."""
    handle = story.client.get_workflow_handle(names.failover_id(story.name, lost_epoch), result_type=FailoverResult)
    async with asyncio.timeout(PATIENCE):
        while not str(await handle.query("phase")).startswith("restoring"):
            await asyncio.sleep(GLANCE)


async def test_a_machine_that_dies_during_a_save_costs_only_what_came_after_the_last_one(tell: Tell) -> None:
    story = tell("cut-save", command=heavy())
    await story.begins()
    before = await story.comes_to(lambda status: status.phase is Phase.RUNNING, "it runs")
    story.market.slow(story.name, bytes_per_second=CRAWL)
    await saving(story)
    story.market.kill(story.name)
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    assert len(report.incidents) == 1 and before.epoch == 1


async def test_a_machine_that_dies_during_the_restore_is_followed_by_a_third(tell: Tell) -> None:
    story = tell("cut-restore", command=heavy())
    await story.begins()
    first = await story.works()
    story.market.kill(story.name)
    await story.comes_to(lambda status: status.phase is Phase.FAILING_OVER, "it is lost")
    async with asyncio.timeout(PATIENCE):
        while not (second := [each for each in story.alive() if each["label"] != _label(first)]):
            await asyncio.sleep(GLANCE / 10)
    story.market.slow(second[0]["label"], bytes_per_second=CRAWL)
    await restoring(story, lost_epoch=1)
    story.market.kill(second[0]["label"])
    await story.works(epoch=3)
    await story.finishes()
    report = await story.is_whole()
    (incident,) = report.incidents
    assert (incident.epoch_lost, incident.epoch_gained) == (1, 3), "one loss, one answer"


async def test_with_no_offer_in_its_region_it_goes_to_the_next_and_with_none_at_all_it_waits(tell: Tell) -> None:
    story = tell(
        "cornered",
        gpu="A100 SXM4",
        steps=150,
        failover={"silence": "2s", "boot_timeout": "30s", "ladder": ["regional"], "regions": ["CA"]},
    )
    await story.begins()
    first = await story.works()
    assert first.lease is not None and first.lease.region == "SE"
    story.market.take(story.name)  # and nothing else of the kind is in Sweden
    second = await story.works(epoch=2)
    assert second.lease is not None and second.lease.region == "CA"
    story.market.take(story.name)  # nor anywhere else now
    await story.comes_to(lambda status: status.phase is Phase.FAILING_OVER, "it is lost again")
    handle = story.client.get_workflow_handle(names.failover_id(story.name, 2))
    async with asyncio.timeout(PATIENCE):
        while "no machine could be had" not in str(await handle.query("phase")):
            await asyncio.sleep(GLANCE)
    story.market.add_offer(gpu="A100 SXM4", price=0.31, bid=0.16, machine=620, host=9620, region="Canada, CA")
    await story.works(epoch=3)
    await story.finishes()
    await story.is_whole(steps=150)


async def test_a_newest_checkpoint_that_rotted_is_passed_over_for_the_one_before(tell: Tell) -> None:
    story = tell("rotten", steps=100)
    await story.begins()
    newest = (
        await story.comes_to(lambda status: bool(status.head and status.head.sequence >= 2), "it saved twice")
    ).head
    assert newest is not None
    await story.holdfast.pause(story.name)  # so that the newest stays the newest
    paused = await story.comes_to(lambda status: status.phase is Phase.PAUSED, "it is paused")
    assert paused.head is not None
    store = open_store(story.stage.settings)
    try:
        await store.delete([paused.head.manifest])
        assert await store.put(paused.head.manifest, b"rot")
    finally:
        await store.close()
    story.market.destroy(story.name)
    await story.holdfast.resume(story.name)
    await story.works(epoch=2)
    await story.finishes()
    await story.is_whole(steps=100)


def _label(status: object) -> str:
    lease = getattr(status, "lease", None)
    assert lease is not None
    return str(lease.label)
