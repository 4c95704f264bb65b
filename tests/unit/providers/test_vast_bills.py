"""Reading Vast.ai's bill: every page, every line, or nothing."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from holdfast.contracts.money import Charge
from holdfast.providers.errors import ProviderUnavailable
from tests.unit.providers.wire import HTML, Wire

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def charge(source: str, amount: Any) -> dict[str, Any]:
    return {"source": source, "amount": amount, "type": "instance", "items": [{"type": "gpu", "amount": amount}]}


def page(*charges: dict[str, Any], total: int | None = None, token: str | None = None) -> httpx.Response:
    body = {"count": len(charges), "total": total, "next_token": token, "results": list(charges)}
    return httpx.Response(200, json=body)


async def test_the_lines_of_a_machine_are_added_up_and_other_things_left_out() -> None:
    wire = Wire(charges=page(charge("instance-7", 0.1), charge("instance-7", 0.02), charge("volume-3", 5), total=3))
    assert await wire.provider().charges(SINCE) == [Charge(instance_id="7", amount=Decimal("0.12"))]


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        httpx.Response(200, json={}),
        httpx.Response(200, json=[]),
        page(charge("instance-7", "much")),
        page({"amount": 1}),
        page(charge("instance-7", 1), total=2),
        page(charge("instance-7", 1), token="again"),
    ],
)
async def test_a_bill_that_is_odd_or_not_whole_is_none(answer: httpx.Response) -> None:
    with pytest.raises(ProviderUnavailable):
        await Wire(charges=answer).provider().charges(SINCE)
