"""Offers lie: the next one is tried, and a machine that is no good is given back."""

import pytest

from holdfast.simcloud.model import Trouble
from tests.scenarios.conftest import Tell
from tests.scenarios.stage import eventually


@pytest.mark.parametrize(
    ("gpu", "boot_timeout"),
    [pytest.param("RTX 3090", "10s", id="never boots"), pytest.param("RTX 5090", "30s", id="has another GPU")],
)
async def test_a_machine_that_is_no_good_is_given_back_and_the_next_offer_is_taken(
    tell: Tell, gpu: str, boot_timeout: str
) -> None:
    story = tell("lemon", steps=20, gpu=gpu, failover={"silence": "2s", "boot_timeout": boot_timeout})
    await story.begins()
    await story.finishes()
    report = await story.is_whole(steps=20)
    lemon, good = report.leases
    assert lemon.machine_id != good.machine_id and good.closed_because.startswith("finished")
    assert len(story.witness.machines_of(story.name)) == 1, "the bad machine never did any work"


@pytest.mark.parametrize("change", [{"withdrawn": True}, {"min_bid": "0.90"}], ids=["is gone", "costs more by now"])
async def test_an_offer_that_changed_since_the_search_is_left_for_the_next_one(
    tell: Tell, change: dict[str, object]
) -> None:
    story = tell("stale", steps=20, gpu="RTX A6000", failover={"silence": "2s", "boot_timeout": "5s"})
    cheapest = min(
        (offer for offer in story.market.offers() if "A6000" in offer["gpu"] and not offer["withdrawn"]),
        key=lambda offer: float(offer["min_bid"]),
    )
    story.market.add_fault(Trouble.LATENCY, endpoint="rent", seconds=3)
    await story.begins()
    eventually(lambda: not story.market.faults(), "the order is under way")
    story.market.change_offer(cheapest["slot"], **change)  # type: ignore[arg-type]  # one field of either kind
    await story.finishes()
    report = await story.is_whole(steps=20)
    assert len(report.leases) == 2
    assert str(cheapest["machine_id"]) != report.leases[1].machine_id
