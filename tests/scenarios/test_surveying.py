"""Prices of the real market: by the schedule, once for each bucket, with gaps where a provider is down."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from holdfast.client.holdfast import Holdfast
from holdfast.contracts import names
from holdfast.contracts.machines import Terms
from holdfast.contracts.market import AskingsInput, Basis, MarketPoint, SurveyLine
from holdfast.settings import MarketSettings
from holdfast.simcloud.model import Trouble
from tests.scenarios.stage import PATIENCE, Stage

GPU = "RTX 4090"
SECOND = timedelta(seconds=1)


@pytest_asyncio.fixture(loop_scope="session")
async def surveyor(holdfast: Holdfast, stage: Stage) -> Holdfast:
    """A client whose buckets are seconds: each survey has one of its own."""
    settings = stage.settings.model_copy(update={"market": MarketSettings(every=SECOND)})
    return Holdfast(holdfast.temporal, settings=settings)


async def survey(client: Holdfast) -> dict[str, SurveyLine]:
    done = await client.survey_prices(gpus=(GPU,))
    return {line.provider: line for line in done.lines}


async def asked(client: Holdfast, *, held: bool = False) -> list[MarketPoint]:
    """What Vast.ai asks for one on demand, whatever the region."""
    found = await client.prices(GPU, providers=("vast",), regions=("",), kind=Terms.ON_DEMAND, held=held)
    return [each for each in found if each.span == SECOND]


def on_offer(stage: Stage) -> list[Decimal]:
    """Prices of those that a search may show, up to the cheapest that nobody has: what is rented is in no search.

    A tenant that was outbid, or stands still, leaves his machine on offer.
    """
    lots = [
        each
        for each in stage.market.offers()
        if each["gpu"] == f"1x {GPU}" and each["provider"] == "vast"
        if not (each["rival"] or each["withdrawn"] or each["offline"])
    ]
    least = min(Decimal(each["price"]) for each in lots if not each["tenants"])
    return sorted(price for each in lots if (price := Decimal(each["price"])) <= least)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():
            await asyncio.sleep(0.2)


async def test_the_schedule_has_asked_every_provider_as_soon_as_the_stack_was_up(
    holdfast: Holdfast, stage: Stage
) -> None:
    async def all_answered() -> bool:
        told = await holdfast.askings(AskingsInput())
        return {each.provider for each in told if each.answered} >= set(stage.settings.providers)

    await until(all_answered, "the first survey is over")
    schedule = await holdfast.temporal.get_schedule_handle(names.SURVEY).describe()
    (every,) = schedule.schedule.spec.intervals
    assert every.every == timedelta(hours=1)
    points = await holdfast.prices(GPU, regions=("",))
    assert {each.provider for each in points} >= {"vast", "tensordock"}
    assert all(each.minimum > 0 and each.offers for each in points)


async def test_what_is_written_down_is_what_the_market_asks(surveyor: Holdfast, stage: Stage) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:  # other stories may rent, and let go, while the market is asked
            before = on_offer(stage)
            lines = await survey(surveyor)
            if lines["vast"].answered and on_offer(stage) == before:
                break
    (point,) = (await asked(surveyor))[-1:]
    assert point.offers
    disks = [point.minimum - each for each in before]
    assert any(Decimal(0) < each < Decimal("0.005") for each in disks), f"ten GB of disk are in the price: {disks}"


async def test_an_hour_that_is_surveyed_twice_has_one_point(holdfast: Holdfast) -> None:
    async def points() -> set[tuple[object, ...]]:
        found = await holdfast.prices(GPU, providers=("vast",))
        return {(each.at, each.region, each.kind) for each in found if each.span > SECOND}

    await survey(holdfast)
    before = await points()
    again = (await survey(holdfast))["vast"].recorded
    assert again.new in (0, len(before)), "none, or those of another hour"
    assert len(await points()) == len(before) + again.new


async def test_one_provider_that_is_down_leaves_a_gap_and_the_others_are_surveyed(
    surveyor: Holdfast, stage: Stage
) -> None:
    before = await asked(surveyor)
    stage.market.add_fault(Trouble.DOWN, endpoint="search", lasting=timedelta(minutes=5))
    lines = await survey(surveyor)
    assert not lines["vast"].answered and lines["tensordock"].answered and lines["gcp"].answered
    assert await asked(surveyor) == before, "no price is made up"
    newest = (await surveyor.askings(AskingsInput(providers=("vast",), unanswered=True)))[0]
    assert newest.detail and newest.span == SECOND
    stage.market.clear_faults()
    assert (await survey(surveyor))["vast"].answered
    assert len(await asked(surveyor)) == len(before) + 1


@pytest.mark.long
async def test_a_single_wild_price_is_held_back_and_a_real_move_is_not(surveyor: Holdfast, stage: Stage) -> None:
    for _ in range(4):
        await survey(surveyor)
        await asyncio.sleep(1)
    usual = (await asked(surveyor))[-1].median
    lots = [each for each in stage.market.offers() if each["gpu"] == f"1x {GPU}" and each["provider"] == "vast"]
    try:
        for lot in lots:
            stage.market.change_offer(lot["slot"], price=Decimal(lot["price"]) * 10)
        await survey(surveyor)
        (wild,) = (await asked(surveyor, held=True))[-1:]
        assert wild.median > 8 * usual and (await asked(surveyor))[-1].median == usual
        await asyncio.sleep(1)
        await survey(surveyor)
        believed = await asked(surveyor)
        assert [each.median > 8 * usual for each in believed[-2:]] == [True, True], "the second confirms the first"
    finally:
        for lot in lots:
            stage.market.change_offer(lot["slot"], price=Decimal(lot["price"]))


async def test_the_market_s_own_history_is_on_record_as_what_was_paid(holdfast: Holdfast) -> None:
    async def told() -> bool:
        return bool(await holdfast.prices(GPU, providers=("vast",), basis=Basis.PAID))

    await until(told, "the history is read")
    points = await holdfast.prices(GPU, providers=("vast",), basis=Basis.PAID)
    assert len(points) > 100 and points[-1].at - points[0].at > timedelta(days=20)
