"""Searching: the provider filters nothing, and tells what it has in parts."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from holdfast.contracts.machines import Requirements, Terms
from holdfast.providers.errors import ProviderUnavailable
from tests.unit.providers.dock import GPU, KEY, NODE, NODE_ID, Dock, node, nodes

NEEDS = Requirements(gpu="RTX 4090", disk_gb=60, terms=Terms.ON_DEMAND, min_reliability=0.98)
NOWHERE = {name: value for name, value in NODE.items() if name != "location"}


async def test_a_node_becomes_an_offer_with_the_price_of_all_its_parts() -> None:
    (offer,) = await Dock(hostnodes=nodes(NODE)).provider().search_offers(NEEDS)
    assert (offer.offer_id, offer.machine_id, offer.host_id) == (f"{NODE_ID}:{GPU}", NODE_ID, "host-12")
    assert (offer.cpu_cores, offer.memory_gb, offer.disk_gb) == (4, 16, 100)
    assert offer.hourly == Decimal("0.37") + 4 * Decimal("0.003") + 16 * Decimal("0.002") + Decimal("0.005")
    assert (offer.storage_hourly, offer.terms, offer.bid) == (Decimal("0.005"), Terms.ON_DEMAND, None)
    assert (offer.region, offer.place) == ("US", "Chubbuck, Idaho, United States")
    assert (offer.reliability, offer.download_mbps, offer.upload_mbps) == (pytest.approx(0.994), 5000, 2500)
    assert (offer.gpu_memory_gb, offer.exclusive) == (24, False)


async def test_a_workload_that_asks_for_more_gets_more_and_pays_for_it() -> None:
    needs = Requirements(gpu_count=2, cpu_cores=9, memory_gb=70, disk_gb=300, terms=Terms.ON_DEMAND)
    (offer,) = await Dock(hostnodes=nodes(NODE)).provider().search_offers(needs)
    assert (offer.gpu_count, offer.cpu_cores, offer.memory_gb, offer.disk_gb) == (2, 10, 96, 300)
    assert offer.hourly == Decimal("0.977"), "2 * 0.37 + 10 * 0.003 + 96 * 0.002 + 300 * 0.00005"
    assert offer.exclusive, "three GPUs hold such a machine once"


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("vcpu_count", 2),
        ("ram_gb", 8),
        ("storage_gb", 99),
        ("max_vcpus", 2),
        ("max_ram_gb", 8),
        ("max_storage_gb", 50),
        ("max_vcpus_per_gpu", 2),
        ("max_ram_per_gpu", 8),
        ("available_ports", []),
        ("gpus", []),
        ("gpus", [{"v0Name": GPU, "availableCount": 0, "price_per_hr": 0.3}]),
        ("gpus", [{"v0Name": "rtxa6000-pcie-48gb", "availableCount": 1, "price_per_hr": 0.3}]),
        ("gpus", [{"v0Name": GPU, "availableCount": 1, "price_per_hr": 0}]),
    ],
)
async def test_a_node_that_lacks_something_is_left_out(limit: str, value: Any) -> None:
    free = {"per_vcpu_hr": 0, "per_gb_ram_hr": 0, "per_gb_storage_hr": 0}
    good = NODE | {"id": "good"}
    offers = (
        await Dock(hostnodes=nodes(node(**{limit: value}) | {"pricing": free}, good)).provider().search_offers(NEEDS)
    )
    assert [offer.machine_id for offer in offers] == ["good"]


@pytest.mark.parametrize("limit", ["vcpu_count", "max_ram_gb", "max_storage_gb", "available_ports"])
async def test_a_limit_that_is_not_told_is_none(limit: str) -> None:
    assert await Dock(hostnodes=nodes(node(**{limit: None}))).provider().search_offers(NEEDS)


@pytest.mark.parametrize("change", [{"uptime_percentage": 97.0}, {"uptime_percentage": None}])
async def test_what_is_not_reliable_enough_is_left_out(change: dict[str, Any]) -> None:
    assert list(await Dock(hostnodes=nodes(NODE | change)).provider().search_offers(NEEDS)) == []


async def test_the_cheapest_comes_first_and_interruptible_terms_are_met_by_firm_ones() -> None:
    dear = node(gpus=[{"v0Name": GPU, "availableCount": 1, "price_per_hr": 0.41}]) | {"id": "dear"}
    needs = Requirements(gpu="rtx_4090")
    offers = await Dock(hostnodes=nodes(dear, NODE)).provider().search_offers(needs)
    assert [offer.machine_id for offer in offers] == [NODE_ID, "dear"]
    assert {offer.terms for offer in offers} == {Terms.ON_DEMAND}


async def test_places_are_asked_for_only_where_the_nodes_do_not_tell_theirs() -> None:
    place = {"id": NODE["location_id"], "city": "Delft", "stateprovince": "South Holland", "country": "Netherlands"}
    places = httpx.Response(200, json={"data": {"locations": [place, {"odd": True}]}})
    dock = Dock(hostnodes=[nodes(NODE), nodes(NOWHERE, NODE | {"id": "told"})], locations=places)
    provider = dock.provider()
    await provider.search_offers(NEEDS)
    assert dock.calls() == ["hostnodes"]
    found = {offer.machine_id: offer.region for offer in await provider.search_offers(NEEDS)}
    assert found == {NODE_ID: "NL", "told": "US"}


async def test_a_node_that_cannot_be_read_is_left_out() -> None:
    offers = await Dock(hostnodes=nodes(NODE | {"id": "odd", "pricing": None}, NODE)).provider().search_offers(NEEDS)
    assert [offer.machine_id for offer in offers] == [NODE_ID]


@pytest.mark.parametrize("body", [{}, {"data": {"hostnodes": None}}, [], {"data": {"hostnodes": [{"id": "odd"}]}}])
async def test_an_odd_answer_is_not_an_empty_market(body: object) -> None:
    with pytest.raises(ProviderUnavailable):
        await Dock(hostnodes=httpx.Response(200, json=body)).provider().search_offers(NEEDS)


async def test_the_key_travels_in_the_header_and_nowhere_else() -> None:
    dock = Dock(hostnodes=nodes(NODE))
    await dock.provider().search_offers(NEEDS)
    ((_, request),) = dock.asked
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(request.url) and KEY.encode() not in request.content
