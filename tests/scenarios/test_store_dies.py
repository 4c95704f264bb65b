"""Without its store a workload works on; nothing that was saved is lost, and nothing is let go unsaved."""

import asyncio

from holdfast.contracts import names
from holdfast.contracts.workload import Catalog
from tests.scenarios.conftest import Tell
from tests.scenarios.stage import PATIENCE
from tests.scenarios.story import Story

BALLAST = "head -c 64000000 /dev/urandom > ballast"  # so that a save takes long enough to be struck in its middle


async def test_a_store_that_dies_in_the_middle_of_an_upload_costs_no_checkpoint(tell: Tell) -> None:
    story = tell("upload", steps=100, setup=BALLAST)
    await story.begins()
    before = await _in_the_middle_of_a_save(story)
    story.stage.kill("store")
    await story.comes_to(lambda status: (status.head.sequence if status.head else 0) > before, "the next save succeeds")
    await story.finishes()
    await story.is_whole(steps=100)
    verified = await story.holdfast.verify(story.name)
    assert not verified.corrupt


async def test_the_end_waits_for_the_store_before_the_machine_is_let_go(tell: Tell) -> None:
    story = tell("patience", steps=60)
    await story.begins()
    await story.works()
    story.stage.freeze("store")
    await _until_the_work_is_done(story)
    assert (await story.status()).phase == "running" and len(story.alive()) == 1
    story.stage.kill("store")
    await story.finishes()
    await story.is_whole()


async def _in_the_middle_of_a_save(story: Story) -> int:
    """Wait for one that brings the ballast; the sequence number of the last checkpoint before."""
    await story.comes_to(lambda status: status.phase == "running", "it runs")
    handle = story.client.get_workflow_handle(names.checkpoints_id(story.name))
    async with asyncio.timeout(PATIENCE):
        while not (catalog := await handle.query("catalog", result_type=Catalog)).saving:
            await asyncio.sleep(0.01)
    return catalog.head.sequence if catalog.head else 0


async def _until_the_work_is_done(story: Story) -> None:
    async with asyncio.timeout(PATIENCE):
        while story.witness.works_now(story.name):
            await asyncio.sleep(0.2)
