"""Searching and renting over Vast's wire, from outside."""

from decimal import Decimal

import httpx
import pytest

from holdfast.simcloud.model import Flaw
from tests.simmarket import RunningMarket
from tests.unit.simcloud.conftest import Tenant


def test_search_filters_and_orders(tenant: Tenant) -> None:
    query = {"gpu_name": {"eq": "RTX 4090"}, "num_gpus": {"eq": 1}, "verified": {"eq": True}, "external": {"eq": False}}
    offers = tenant.search(**query, order=[["dph_total", "asc"]], limit=3)
    assert [offer["gpu_name"] for offer in offers] == ["RTX 4090"] * 3
    assert [offer["dph_total"] for offer in offers] == sorted(offer["dph_total"] for offer in offers)
    assert all(offer["verification"] == "verified" and "verified" not in offer for offer in offers)


def test_a_bid_search_shows_the_least_winning_bid_plus_the_disk(tenant: Tenant) -> None:
    (offer,) = tenant.search(type="bid", machine_id={"eq": 40217}, allocated_storage=100)
    assert offer["is_bid"] is True
    assert offer["min_bid"] == offer["dph_base"] == 0.51
    assert offer["dph_total"] == pytest.approx(0.51 + 0.15 * 100 / 720)


def test_a_filter_on_id_matches_nothing_but_ask_contract_id_does(tenant: Tenant) -> None:
    offer = tenant.search()[0]
    assert tenant.search(id={"eq": offer["id"]}) == []
    assert tenant.search(ask_contract_id={"eq": offer["id"]})[0]["id"] == offer["id"]


def test_a_country_code_finds_its_offers(tenant: Tenant) -> None:
    found = tenant.search(geolocation={"in": ["CA"]})
    assert {offer["geolocation"] for offer in found} == {"Quebec, CA"}


def test_never_more_than_64_offers_are_shown(tenant: Tenant, shared_market: RunningMarket) -> None:
    with shared_market.control as control:
        slots = [
            control.add_offer(gpu="RTX 3090", price=0.2, bid=0.1, machine=90000 + n, host=9, region="Oslo, NO")["slot"]
            for n in range(60)
        ]
        assert len(tenant.search(limit=500)) == 64
        for slot in slots:
            control.change_offer(slot, withdrawn=True)


def test_the_official_clients_filters_find_what_they_name(tenant: Tenant) -> None:
    numbers = {"num_gpus": {"gte": "1"}, "dph_total": {"lt": "0.5"}, "machine_id": {"in": ["20117", "20344", "40217"]}}
    offers = tenant.search(**numbers, reliability={"gt": "0.99"}, driver_version={"gte": "570086015"})
    assert [offer["machine_id"] for offer in offers] == [20344]
    assert tenant.search(driver_version={"gt": "570.86.15"}, gpu_name={"eq": "RTX 4090"}) == []


def test_a_documented_field_that_nobody_knows_of_an_offer_is_null(tenant: Tenant) -> None:
    assert tenant.search(cpu_ghz={"eq": None}, limit=1)[0]["cpu_ghz"] is None
    assert tenant.search(cpu_ghz={"gte": "2.5"}) == []
    assert tenant.search(order=[["pcie_bw", "desc"]])


def test_the_newer_search_finds_the_same(tenant: Tenant) -> None:
    query = {"gpu_name": {"eq": "RTX 4090"}, "type": "bid", "order": [["dph_total", "asc"]], "limit": 3}
    answer = tenant.http.put("/api/v0/search/asks/", json={"select_cols": ["*"], "q": query}).raise_for_status()
    assert [row["id"] for row in answer.json()["offers"]] == [row["id"] for row in tenant.search(**query)]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"nonsense": {"eq": 1}}, "invalid_request"),
        ({"num_gpus": 1}, "invalid_request"),
        ({"type": "lease"}, "invalid_request"),
        ({"type": ["bid"]}, "invalid_request"),
        ({"order": "dph_total"}, "invalid_request"),
        ({"order": [["geolocation", "asc"], ["search", "asc"]]}, "invalid_request"),
        ({"allocated_storage": "NaN"}, "invalid_args"),
        ({"allocated_storage": -6000}, "invalid_args"),
        ({"limit": "Infinity"}, "invalid_args"),
        ({"limit": "1e999999999"}, "invalid_args"),
    ],
)
def test_a_bad_query_is_refused(tenant: Tenant, query: dict[str, object], error: str) -> None:
    answer = tenant.http.post("/api/v0/bundles/", json=query)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_limit_below_zero_shows_nothing(tenant: Tenant) -> None:
    assert tenant.search(limit=-3) == []


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"gpu_name": {"eq": "\\ud800"}}', b"\xff"])
def test_a_body_that_nobody_can_read_is_refused(tenant: Tenant, body: bytes) -> None:
    answer = tenant.http.post("/api/v0/bundles/", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_nothing_is_rented_to_an_empty_account(tenant: Tenant, shared_market: RunningMarket) -> None:
    offer = tenant.search()[0]["id"]
    with shared_market.control as control:
        control.set_credit(Decimal(0))
        answer = tenant.order(offer)
        control.set_credit(Decimal(100))
    assert (answer.json()["success"], answer.json()["error"]) == (False, "insufficient_credit")
    assert "new_contract" not in answer.json()
    assert tenant.order(offer).json()["success"] is True, "it is still there"


def test_a_disk_that_the_machine_does_not_have_is_not_rented(tenant: Tenant) -> None:
    offer = tenant.search(type="bid")[0]
    for price in (None, offer["min_bid"], offer["min_bid"] / 2):
        answer = tenant.order(offer["id"], disk=offer["disk_space"] + 1, price=price)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_args")
    assert tenant.http.get("/api/v1/instances/").json()["total_instances"] == 0


def test_an_offer_is_gone_once_rented(tenant: Tenant) -> None:
    offer = tenant.search()[0]["id"]
    assert tenant.order(offer).json()["success"] is True
    again = tenant.order(offer)
    assert again.status_code == 404
    assert "no_such_ask" in again.json()["msg"]


def test_a_withdrawn_offer_answers_400_with_no_such_ask_in_the_text(
    tenant: Tenant, shared_market: RunningMarket
) -> None:
    with shared_market.control as control:
        slot = control.offers()[0]
        control.change_offer(slot["slot"], withdrawn=True)
        answer = tenant.order(slot["offer"])
        control.change_offer(slot["slot"], withdrawn=False)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_args")
    assert "no_such_ask" in answer.json()["msg"]


def test_an_offer_that_an_on_demand_tenant_holds_answers_410(tenant: Tenant, shared_market: RunningMarket) -> None:
    number = tenant.rent_running()
    with shared_market.control as control:
        (held,) = [slot for slot in control.offers() if number in slot["tenants"]]
    assert tenant.order(held["offer"]).status_code == 410


def test_a_price_makes_it_interruptible_and_none_makes_it_on_demand(tenant: Tenant) -> None:
    assert tenant.show(tenant.rent(price=2.5))["is_bid"] is True
    assert tenant.show(tenant.rent())["is_bid"] is False


def test_a_bid_that_is_too_low_is_false_with_a_stopped_contract(tenant: Tenant) -> None:
    offer = tenant.search(type="bid")[0]
    answer = tenant.order(offer["id"], price=offer["min_bid"] / 2)
    assert answer.status_code == 200
    assert answer.json()["success"] is False
    row = tenant.show(answer.json()["new_contract"])
    assert (row["actual_status"], row["cur_state"], row["intended_status"]) == ("stopped", "stopped", "stopped")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"image": None}, "invalid_args"),
        ({"disk": 2}, "invalid_args"),
        ({"disk": "much"}, "invalid_args"),
        ({"disk": "NaN"}, "invalid_args"),
        ({"disk": 1e9}, "invalid_args"),
        ({"price": "NaN"}, "invalid_args"),
        ({"label": 5}, "invalid_args"),
        ({"onstart": ["echo"]}, "invalid_args"),
        ({"runtype": 5}, "invalid_args"),
        ({"target_state": ["running"]}, "invalid_args"),
        ({"target_state": "asleep"}, "invalid_args"),
        ({"price": 0}, "invalid_price"),
        ({"price": 500}, "invalid_price"),
        ({"label": "x" * 257}, "label_too_long"),
        ({"onstart": "x" * 4097}, "invalid_args"),
    ],
)
def test_a_bad_order_rents_nothing(tenant: Tenant, body: dict[str, object], error: str) -> None:
    answer = tenant.order(tenant.search()[0]["id"], **body)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert tenant.http.get("/api/v1/instances/").json()["total_instances"] == 0


@pytest.mark.parametrize(
    ("flaw", "message"), [(Flaw.NO_IMAGE, "manifest unknown"), (Flaw.BROKEN_RUNTIME, "OCI runtime create failed")]
)
def test_a_bad_machine_says_why_it_does_not_start(
    tenant: Tenant, shared_market: RunningMarket, flaw: Flaw, message: str
) -> None:
    with shared_market.control as control:
        slot = control.offers()[0]
        control.set_flaw(slot["slot"], flaw)
        number = tenant.order(slot["offer"]).json()["new_contract"]
        row = tenant.show(number)
        control.set_flaw(slot["slot"], None)
    assert row["actual_status"] in ("created", "loading")
    assert message in row["status_msg"]
    assert row["ports"] is None


def test_a_wrong_key_answers_404_auth_error_and_none_403(shared_market: RunningMarket) -> None:
    url = f"{shared_market.base_url}/api/v1/instances/"
    wrong = httpx.get(url, headers={"Authorization": "Bearer wrong"}, trust_env=False)
    missing = httpx.get(url, trust_env=False)
    assert (wrong.status_code, wrong.json()["error"]) == (404, "auth_error")
    assert (missing.status_code, missing.json()["error"]) == (403, "auth_error")
