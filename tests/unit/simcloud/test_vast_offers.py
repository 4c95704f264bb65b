"""Searching and renting over Vast's wire, from outside."""

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


@pytest.mark.parametrize("query", [{"nonsense": {"eq": 1}}, {"num_gpus": 1}, {"type": "lease"}, {"order": "dph_total"}])
def test_a_bad_query_is_refused(tenant: Tenant, query: dict[str, object]) -> None:
    answer = tenant.http.post("/api/v0/bundles/", json=query)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


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
