"""The crew is killed at every boundary of a story, under every kind of trouble: nothing bills that nobody owns.

A dry run lists the boundaries: before and after each activity and each call to the provider. Then the story is told
again for each of them, and the process is killed (SIGKILL) just there. What is checked is the market's own bill.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import pytest_asyncio

from holdfast.contracts.workload import Phase
from holdfast.simcloud.control import SimControl, SimError
from holdfast.simcloud.model import Trouble
from tests.chaos.money.crew import LISTING_LAG
from tests.chaos.money.yard import A_WHILE, Lane, a_lane, a_yard

LANES = 6
Fault = Callable[[SimControl], object]
FAULTS: dict[str, Fault] = {
    "nothing else": lambda market: None,
    "answer lost after accept": lambda market: market.add_fault(Trouble.LOST_RESPONSE, endpoint="rent", times=1),
    "order carried out twice": lambda market: market.add_fault(Trouble.ACCEPTED_TWICE, endpoint="rent", times=1),
    "late visibility": lambda market: market.set_listing_lag(LISTING_LAG * 0.8),
    "too many requests": lambda market: market.add_fault(Trouble.TOO_FREQUENT, times=4),
    "gateway errors": lambda market: market.add_fault(Trouble.HTTP_ERROR, times=4, status=503),
    "time-out of the order": lambda market: market.add_fault(Trouble.LATENCY, endpoint="rent", times=1, seconds=1.5),
    "listings down": lambda market: market.add_fault(Trouble.DOWN, endpoint="list", times=5),
    "wrong empty list": lambda market: market.add_fault(Trouble.EMPTY_LIST, endpoint="list", times=3),
}
TWICE = "order carried out twice"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def yard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["asyncio.Queue[Lane]"]:
    async with a_yard(tmp_path_factory.mktemp("yard"), LANES) as free:
        yield free


async def tell(lane: Lane, *, fault: str, dies_at: str = "", blind: bool = False) -> list[str]:
    """Placed, outbid, moved, finished; what is wrong in the end."""
    name = f"w{uuid.uuid4().hex[:8]}"
    FAULTS[fault](lane.control)
    lane.begin(dies_at=dies_at, blind=blind)
    handle = await lane.run(name, seconds=0.8)
    outbidding = asyncio.create_task(_outbid_once_it_runs(lane, name, handle))
    trouble = await lane.ends(handle)
    outbidding.cancel()
    lane.control.clear_faults()
    return [trouble] if trouble else await lane.wrongs([name], twice=fault == TWICE)


async def _outbid_once_it_runs(lane: Lane, name: str, handle: object) -> None:
    while (status := await lane.status(handle)) is None or status.phase is not Phase.RUNNING:  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
    try:
        await asyncio.to_thread(partial(lane.control.outbid, name, lasting=A_WHILE))
    except SimError:
        return  # it has just ended


async def boundaries(yard: "asyncio.Queue[Lane]") -> list[str]:
    """Those of an undisturbed story, the first two of each kind."""
    async with a_lane(yard) as lane:
        assert await tell(lane, fault="nothing else") == []
        passed = lane.passed()
    assert {"after http rent 1", "after http rent 2", "after close_lease 2"} <= set(passed), "it was not told whole"
    return [each for each in dict.fromkeys(passed) if int(each.rsplit(" ", 1)[1]) <= 2]


async def tell_all(yard: "asyncio.Queue[Lane]", cases: list[tuple[str, str]]) -> dict[str, list[str]]:
    """A story for each fault and boundary, as many at once as there are lanes; those that went wrong."""

    async def one(fault: str, dies_at: str) -> tuple[str, list[str]]:
        async with a_lane(yard) as lane:
            return f"{fault}: killed {dies_at}", await tell(lane, fault=fault, dies_at=dies_at)

    told = await asyncio.gather(*(one(*case) for case in cases))
    return {case: wrong for case, wrong in told if wrong}


async def test_every_day_some_boundaries_under_each_trouble(yard: "asyncio.Queue[Lane]") -> None:
    found = [each for each in await boundaries(yard) if any(word in each for word in ("launch", "rent", "destroy"))]
    assert len(found) > 8
    cases = [(fault, found[number % len(found)]) for number, fault in enumerate(FAULTS)]
    assert await tell_all(yard, cases) == {}


async def test_a_driver_that_cannot_find_its_labels_is_found_at_once(yard: "asyncio.Queue[Lane]") -> None:
    async with a_lane(yard) as lane:
        wrong = await tell(lane, fault="answer lost after accept", blind=True)
    assert any("left to the sweep" in each for each in wrong), "what it rented and could not find again was not noticed"


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_boundary_leaves_a_machine_that_nobody_owns(
    yard: "asyncio.Queue[Lane]", fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await boundaries(yard)
    wrong = await tell_all(yard, [(fault, boundary) for boundary in found])
    kinds = Counter(each.split(" ")[0] for each in found)
    with capsys.disabled():
        print(f"\n{fault}: killed at {len(found)} boundaries ({dict(kinds)}), {len(wrong)} violations", flush=True)  # noqa: T201
        for case, why in wrong.items():
            print(f"  {case}: {why}", flush=True)  # noqa: T201
    assert wrong == {}
