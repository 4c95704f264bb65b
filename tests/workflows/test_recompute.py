"""Decisions made again from the histories of the workflows that made them."""

import asyncio
from dataclasses import replace
from decimal import Decimal

from holdfast.client.recomputing import recompute
from holdfast.contracts.failover import Decision
from holdfast.contracts.reports import Recomputed
from holdfast.contracts.spec import FailoverSpec, Strategy
from tests.workflows.stories import PATIENCE, Story
from tests.workflows.world import an_offer


async def again(story: Story, *decisions: Decision) -> tuple[Recomputed, ...]:
    """Once the server's index knows all runs of the workload."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await recompute(story.client, story.name, decisions or story.world.decisions)
            if all(each.same is not None for each in found):
                return found
            await asyncio.sleep(0.2)


async def after_a_loss(story: Story, *, refused: str = "o2", **policy: object) -> None:
    handle = await story.begin(failover=FailoverSpec.model_validate({"silence": "2s", **policy}))
    await story.running(handle)
    await story.save_now(handle)
    story.world.refusals = {refused: "gone"}
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=3)


async def test_placement_and_failover_come_out_the_same(story: Story):
    await after_a_loss(story)
    found = await again(story)
    assert [(each.same, each.occasion) for each in found] == [(True, "placement"), (True, "failover: outbid")]
    assert found[0].why == "5 offers of toy give the same ranking"


async def test_so_does_one_that_goes_by_regions_and_avoids_machines(story: Story):
    story.world.offers = [an_offer(1, "0.10"), an_offer(2, "0.20"), an_offer(3, "0.80", region="CA")]
    # The region of the loss is asked last.
    await after_a_loss(story, refused="o3", ladder=[Strategy.REGIONAL], regions=["CA"])
    found = await again(story)
    assert all(each.same for each in found)
    assert story.world.decisions[-1].regions_first


async def test_a_record_that_was_changed_is_found_out(story: Story):
    await after_a_loss(story)
    first, second = story.world.decisions
    dearer = replace(first.chosen[0], score=9.0, hourly=Decimal(9))
    found = await again(story, replace(first, chosen=(first.chosen[1], dearer)), replace(second, rejected_total=7))
    assert [each.same for each in found] == [False, False]
    assert found[0].why.startswith("another ranking: at place 1 stood o2 of toy")
    assert "not 7" in found[1].why


async def test_what_no_history_tells_is_not_known(story: Story):
    await after_a_loss(story)
    (first, *_) = story.world.decisions
    found = await recompute(story.client, story.name, [replace(first, epoch=77)])
    assert [(each.same, each.why) for each in found] == [(None, "its history is kept no longer")]
    await again(story)
    (older,) = await recompute(story.client, story.name, [replace(first, avoid=None)])
    assert older.same is None and "older version" in older.why


async def test_a_name_that_is_none_asks_no_server(story: Story):
    found = await recompute(story.client, "nobody-of-that-name", [])
    assert found == ()
