"""A provider's API that fails says nothing about any machine."""

from datetime import timedelta

import pytest

from holdfast.contracts.workload import WorkloadStatus
from holdfast.simcloud.model import Trouble
from tests.scenarios.conftest import Tell
from tests.scenarios.stage import eventually


async def test_an_api_that_is_down_or_broken_or_knows_no_machines_moves_nothing(tell: Tell) -> None:
    story = tell("outage", steps=100)
    await story.begins()
    await story.works()
    for trouble in (Trouble.DOWN, Trouble.HTTP_ERROR, Trouble.EMPTY_LIST):
        story.market.add_fault(trouble, endpoint="list", times=2, status=500)
        eventually(lambda: not story.market.faults(), f"two listings met {trouble}")
    await story.finishes()
    report = await story.is_whole(steps=100)
    assert report.incidents == () and len(story.bill()) == 1


@pytest.mark.long
async def test_twenty_five_status_calls_without_an_answer_move_nothing(tell: Tell) -> None:
    """As in a public incident: 25 in 19 hours, of which 24 destroyed a healthy job. Here they come in half a minute."""
    story = tell("timeouts", steps=500)
    await story.begins()
    await story.works()
    for trouble, times in ((Trouble.DOWN, 20), (Trouble.EMPTY_LIST, 2), (Trouble.DOWN, 5)):
        story.market.add_fault(trouble, endpoint="list", times=times)
        eventually(lambda: not story.market.faults(), f"{times} listings met {trouble}")
        assert (await story.status()).epoch == 1
    await story.finishes()
    report = await story.is_whole(steps=500)
    assert report.incidents == () and len(story.bill()) == 1


async def test_a_loss_while_the_api_is_down_is_waited_out_and_answered_when_it_is_back(tell: Tell) -> None:
    story = tell("blind")
    await story.begins()
    await story.works()
    story.market.add_fault(Trouble.DOWN, lasting=timedelta(minutes=10))
    story.market.kill(story.name)
    await story.comes_to(_cannot_tell, "it cannot tell whose fault the silence is")
    assert len(story.bill()) == 1, "nothing is rented on a suspicion"
    story.market.clear_faults()
    await story.works(epoch=2)
    await story.finishes()
    await story.is_whole()


async def test_a_rental_whose_answer_is_lost_is_found_and_not_paid_twice(tell: Tell) -> None:
    story = tell("unheard", steps=20)
    story.market.add_fault(Trouble.LOST_RESPONSE, endpoint="rent", times=2)
    await story.begins()
    await story.finishes()
    await story.is_whole(steps=20)
    assert len(story.bill()) == 1


def _cannot_tell(status: WorkloadStatus) -> bool:
    return status.phase == "suspect" and "fault may be our own" in status.reason
