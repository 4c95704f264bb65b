"""Searching when the provider does not do what it was asked."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from holdfast.contracts.machines import Requirements, Terms
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.vast.offers import PAGE, query_of
from tests.unit.providers.wire import KEY, OFFER, Wire

NEEDS = Requirements(gpu="RTX 4090", disk_gb=60, min_reliability=0.98, max_hourly=Decimal("0.2"))


async def test_a_row_becomes_an_offer() -> None:
    (offer,) = await Wire(search=_found(OFFER)).provider().search_offers(NEEDS)
    assert (offer.offer_id, offer.machine_id, offer.region, offer.place) == ("27410093", "40217", "CA", "Quebec, CA")
    assert (offer.hourly, offer.bid, offer.terms) == (Decimal("0.1839"), Decimal("0.1667"), Terms.INTERRUPTIBLE)
    assert offer.gpu_memory_gb == pytest.approx(24, abs=0.1)


@pytest.mark.parametrize(
    "change",
    [
        {"gpu_name": "RTX 3090"},
        {"num_gpus": 2},
        {"dph_total": 0.21},
        {"reliability2": 0.97},
        {"disk_space": 59},
        {"verification": "unverified"},
        {"rented": True},
        {"rentable": False},
        {"min_bid": None},
        {"end_date": 1.0},
        {"machine_id": None},
    ],
)
async def test_a_row_that_the_filter_should_have_held_back_is_dropped(change: dict[str, Any]) -> None:
    good = OFFER | {"id": 1}
    offers = await Wire(search=_found(OFFER | change, good)).provider().search_offers(NEEDS)
    assert [offer.offer_id for offer in offers] == ["1"]


async def test_a_full_page_is_followed_by_the_next_one_above_its_price() -> None:
    # Half of the first page does not fit, so it is not enough; the page's last price goes on in the second.
    first = [_numbered(number, reliability2=0.99 if number % 2 else 0.5) for number in range(PAGE)]
    wire = Wire(search=[_found(*first), _found(first[-1], _numbered(900))])
    offers = await wire.provider().search_offers(NEEDS)
    assert len(offers) == PAGE // 2 + 1
    assert wire.body("search")["dph_total"] == {"lte": 0.2, "gte": pytest.approx(0.1 + (PAGE - 1) / 10000)}


async def test_a_page_of_nothing_new_is_left_behind() -> None:
    same = _found(*(_numbered(number, dph_total=0.15, reliability2=0.5) for number in range(PAGE)))
    wire = Wire(search=[same, same, _found(_numbered(900))])
    assert len(await wire.provider().search_offers(NEEDS)) == 1
    assert wire.body("search")["dph_total"] == {"lte": 0.2, "gt": 0.15}


async def test_a_full_page_of_which_one_row_cannot_be_read_is_followed_by_the_next() -> None:
    first = [_numbered(number, reliability2=0.5) for number in range(PAGE)]
    first[5]["machine_id"] = None
    wire = Wire(search=[_found(*first), _found(_numbered(900))])
    assert [offer.offer_id for offer in await wire.provider().search_offers(NEEDS)] == ["900"]


async def test_a_price_floor_that_the_provider_does_not_heed_ends_the_search() -> None:
    wire = Wire(search=_found(*(_numbered(number, reliability2=0.5) for number in range(PAGE))))
    assert list(await wire.provider().search_offers(NEEDS)) == []
    assert len(wire.asked) == 3


async def test_an_offer_whose_end_no_calendar_holds_is_an_offer() -> None:
    offers = await Wire(search=_found(OFFER, OFFER | {"id": 2, "end_date": 1e15})).provider().search_offers(NEEDS)
    assert [offer.contract_ends is None for offer in offers] == [True, False]


@pytest.mark.parametrize("body", [{}, {"offers": None}, [], {"offers": [{"id": "odd"}]}])
async def test_an_odd_answer_is_not_an_empty_market(body: object) -> None:
    with pytest.raises(ProviderUnavailable):
        await Wire(search=httpx.Response(200, json=body)).provider().search_offers(NEEDS)


def test_the_query_asks_for_every_limit_in_the_providers_units() -> None:
    needs = Requirements(
        gpu="rtx_4090",
        gpu_memory_gb=24,
        memory_gb=64,
        cpu_cores=8,
        disk_gb=60,
        terms=Terms.ON_DEMAND,
        regions=("CA", "US"),
        min_download_mbps=300,
        min_contract=timedelta(days=2),
    )
    query = query_of(needs)
    assert query["gpu_name"] == {"in": ["rtx 4090", "RTX 4090"]}
    assert (query["type"], query["allocated_storage"]) == ("on-demand", 60)
    assert 22_000 < query["gpu_ram"]["gte"] < 24_564
    assert 60_000 < query["cpu_ram"]["gte"] <= 64_000
    assert query["duration"] == {"gte": 172800.0}
    assert query["geolocation"] == {"in": ["CA", "US"]}
    assert "dph_total" not in query and "reliability2" not in query


async def test_the_key_travels_in_the_header_and_nowhere_else() -> None:
    wire = Wire(search=_found(OFFER))
    await wire.provider().search_offers(NEEDS)
    ((_, request),) = wire.asked
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(request.url) and KEY.encode() not in request.content


def _numbered(number: int, **changes: Any) -> dict[str, Any]:
    return OFFER | {"id": number, "dph_total": 0.1 + number / 10000} | changes


def _found(*rows: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"offers": list(rows)})
