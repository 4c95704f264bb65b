"""A machine that is cut off works on unseen. It is given up; what it does from then on counts for nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.client.calls import ask
from holdfast.client.errors import HoldfastError
from holdfast.contracts import activities, names
from holdfast.contracts.incidents import Cause
from holdfast.simcloud.model import Trouble
from tests.scenarios.conftest import Tell


async def test_a_machine_behind_a_partition_is_replaced_cannot_commit_and_is_destroyed_when_it_is_back(
    tell: Tell,
) -> None:
    story = tell("partition", steps=300)
    await story.begins()
    stale = (await story.works()).head
    assert stale is not None
    lost = story.alive()[0]["id"]
    # Destroyed at once it could do no harm: the provider's API will not do us that favour yet.
    story.market.add_fault(Trouble.HTTP_ERROR, endpoint="destroy", status=500, lasting=timedelta(minutes=10))
    story.market.partition(lost)
    await story.comes_to(lambda status: status.epoch > 1 and status.phase == "running", "it runs elsewhere")
    assert len(story.witness.works_now(story.name)) == 2, "the old machine knows of nothing and works on"
    later = activities.CommitCheckpointInput(checkpoint=replace(stale, sequence=1000), expected_sequence=stale.sequence)
    with pytest.raises(HoldfastError, match="epoch"):
        await ask(story.client, activities.commit_checkpoint, later, queue=names.CONTROL_QUEUE, summary="a stale one")
    story.market.heal(lost)
    story.market.clear_faults()
    await story.finishes()
    report = await story.is_whole(steps=300)
    assert [incident.cause for incident in report.incidents] == [Cause.SILENT]


async def test_a_short_partition_moves_nothing(tell: Tell) -> None:
    story = tell("hiccup", failover={"silence": "30s", "boot_timeout": "30s"})
    await story.begins()
    await story.works()
    story.market.partition(story.name)
    await story.comes_to(lambda status: status.phase == "suspect", "its silence is noticed")
    story.market.heal(story.name)
    await story.comes_to(lambda status: status.phase == "running", "it is believed to be alive again")
    await story.finishes()
    report = await story.is_whole()
    assert report.incidents == () and len(story.bill()) == 1


async def test_machines_that_fall_silent_together_are_not_given_up(tell: Tell) -> None:
    """The provider's API answers all the while; it is the host worker that may have lost its network."""
    stories = [tell(name, steps=120) for name in ("left", "right")]
    for story in stories:
        await story.begins()
    for story in stories:
        await story.works()
    for story in stories:
        story.market.partition(story.name)
    for story in stories:
        await story.comes_to(lambda status: "may be its network" in status.reason, "our own side is doubted")
    for story in stories:
        story.market.heal(story.name)
    for story in stories:
        await story.finishes()
        assert (await story.is_whole(steps=120)).incidents == () and len(story.bill()) == 1
