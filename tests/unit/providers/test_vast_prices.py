"""Past prices from a feed that leaves things out."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from holdfast.providers.base import PricePoint
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable
from tests.unit.providers.wire import KEY, Wire

NOON = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
SINCE = NOON - timedelta(hours=3)
PRICING: dict[str, Any] = {
    "timestamps": [int(NOON.timestamp()), int(NOON.timestamp()) - 3600],
    "rented_p10": [0.25, None],
    "rented_median": [0.39, None],
    "rented_p90": [0.6, None],
    "avail_p10": [0.3, 0.31],
    "avail_median": [0.5, 0.51],
    "avail_p90": [0.9, 0.91],
}


async def test_what_was_paid_comes_before_what_was_asked_and_the_oldest_first() -> None:
    first, second = await _history(Wire(prices=_feed(PRICING)))
    assert first == _point(NOON - timedelta(hours=1), "0.51", "0.31", "0.91")
    assert second == _point(NOON, "0.39", "0.25", "0.6")


async def test_the_question_names_the_gpu_as_vast_does_and_never_more_than_some_hundred_points() -> None:
    wire = Wire(prices=_feed(PRICING))
    await wire.provider().price_history("RTX_4090", datetime.now(UTC) - timedelta(days=365))
    asked = wire.asked[-1][1].url.params
    assert (asked["gpu_name"], asked["verified"]) == ("RTX 4090", "yes")
    assert (int(asked["end"]) - int(asked["start"])) / int(asked["step"]) <= 501


async def test_points_from_before_the_question_and_without_a_price_are_left_out() -> None:
    old = PRICING | {"timestamps": [int(NOON.timestamp()), int((SINCE - timedelta(hours=1)).timestamp())]}
    assert [point.at for point in await _history(Wire(prices=_feed(old)))] == [NOON]
    mute = PRICING | {"rented_median": [-1, "much"], "avail_median": []}
    assert await _history(Wire(prices=_feed(mute))) == []


async def test_a_gpu_that_the_feed_does_not_know_has_no_history() -> None:
    assert await _history(Wire(prices=httpx.Response(200, json={"success": True, "gpus": {}}))) == []


async def test_an_account_without_machines_is_told_that_it_may_not_read_the_feed() -> None:
    wire = Wire(prices=httpx.Response(200, json={"success": True, "gpus": {}, "needs_machine": True}))
    with pytest.raises(CredentialsRefused, match="rent machines out") as refused:
        await _history(wire)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"success": True},
        {"success": True, "gpus": []},
        {"success": True, "gpus": {"RTX 4090": {}}},
        {"success": True, "gpus": {"RTX 4090": {"pricing": PRICING | {"timestamps": ["noon", "one"]}}}},
    ],
)
async def test_a_feed_of_another_shape_is_no_answer(body: Any) -> None:
    with pytest.raises(ProviderUnavailable):
        await _history(Wire(prices=httpx.Response(200, json=body)))


async def _history(wire: Wire) -> list[PricePoint]:
    return list(await wire.provider().price_history("RTX 4090", SINCE))


def _feed(pricing: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"success": True, "gpus": {"RTX 4090": {"pricing": pricing}}})


def _point(at: datetime, hourly: str, low: str, high: str) -> PricePoint:
    return PricePoint(at=at, gpu="RTX 4090", hourly=Decimal(hourly), low=Decimal(low), high=Decimal(high))
