"""Faults are data: each is scripted over the control API and seen over the wire."""

import json
from datetime import timedelta

import httpx
import pytest

from holdfast.simcloud.control import SimControl, SimError
from holdfast.simcloud.model import Trouble
from tests.simmarket import RunningMarket
from tests.unit.simcloud.conftest import Tenant, until


@pytest.fixture
def control(shared_market: RunningMarket, tenant: Tenant) -> SimControl:
    """The controls of the shared market; the tenant's fixture clears what they did."""
    return shared_market.control


def by_label(tenant: Tenant, label: str) -> list[int]:
    filters = json.dumps({"label": {"eq": label}})
    page = tenant.http.get("/api/v1/instances/", params={"select_filters": filters}).json()
    return [row["id"] for row in page["instances"]]


def test_a_lost_response_commits_the_rental_and_tells_nobody(tenant: Tenant, control: SimControl) -> None:
    offer = tenant.search()[0]["id"]
    control.add_fault(Trouble.LOST_RESPONSE, endpoint="rent")
    with pytest.raises(httpx.TransportError):
        tenant.order(offer, label="job.e1")
    assert len(by_label(tenant, "job.e1")) == 1


def test_a_new_instance_may_be_late_in_the_listing(tenant: Tenant, control: SimControl) -> None:
    control.set_listing_lag(timedelta(seconds=1))
    tenant.rent(label="job.e1")
    first = by_label(tenant, "job.e1")
    control.set_listing_lag(timedelta(0))
    assert first == []
    until(lambda: len(by_label(tenant, "job.e1")) == 1)


def test_a_gateway_error_is_html_and_does_nothing(tenant: Tenant, control: SimControl) -> None:
    offer = tenant.search()[0]["id"]
    control.add_fault(Trouble.HTTP_ERROR, endpoint="rent", status=503)
    answer = tenant.order(offer)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert tenant.order(offer).status_code == 200


def test_an_empty_list_hides_what_exists(tenant: Tenant, control: SimControl) -> None:
    number = tenant.rent(label="job.e1")
    control.add_fault(Trouble.EMPTY_LIST, endpoint="list", times=2)
    assert by_label(tenant, "job.e1") == []
    assert by_label(tenant, "job.e1") == []
    assert by_label(tenant, "job.e1") == [number]


def test_an_api_that_is_down_answers_nobody_until_it_is_back(tenant: Tenant, control: SimControl) -> None:
    control.add_fault(Trouble.DOWN, lasting=timedelta(hours=1))
    for _ in range(3):
        with pytest.raises(httpx.TransportError):
            tenant.search()
    control.clear_faults()
    assert tenant.search()


def test_a_fault_that_lasts_ends_by_itself(tenant: Tenant, control: SimControl) -> None:
    control.add_fault(Trouble.TOO_FREQUENT, endpoint="list", lasting=timedelta(seconds=0.2))
    until(lambda: tenant.http.get("/api/v1/instances/").status_code == 200)
    assert control.faults() == []


def test_a_scripted_429_has_the_style_of_its_endpoint(tenant: Tenant, control: SimControl) -> None:
    control.add_fault(Trouble.TOO_FREQUENT, endpoint="rent")
    answer = tenant.order(tenant.search()[0]["id"])
    assert (answer.status_code, answer.json()) == (429, {"detail": "API requests too frequent endpoint threshold=4.5"})


def test_latency_delays_but_changes_nothing(tenant: Tenant, control: SimControl) -> None:
    control.add_fault(Trouble.LATENCY, endpoint="search", seconds=0.3)
    impatient = {"timeout": httpx.Timeout(0.05)}
    with pytest.raises(httpx.ReadTimeout):
        tenant.http.post("/api/v0/bundles/", json={}, **impatient)
    assert tenant.search()


def test_levers_find_instances_by_number_label_and_workload(tenant: Tenant, control: SimControl) -> None:
    number = tenant.rent_running(label="train.e7")
    other = tenant.rent_running(label="trainer.e1")
    assert control.partition(number) == [number]
    assert control.heal("train.e7") == [number]
    assert control.kill("train") == [number]
    assert tenant.wait(number, "exited")
    assert tenant.show(other)["actual_status"] == "running"


def test_a_lever_that_cannot_work_says_why(tenant: Tenant, control: SimControl) -> None:
    number = tenant.rent_running()
    with pytest.raises(SimError, match="on demand"):
        control.outbid(number)
    with pytest.raises(SimError, match="no living instance"):
        control.kill("nobody")
    with pytest.raises(SimError, match="no slot"):
        control.set_flaw(9999, None)


def test_the_provider_may_take_its_time_to_notice_a_death(tenant: Tenant, control: SimControl) -> None:
    number = tenant.rent_running()
    control.kill(number, word_lag=timedelta(hours=1), word="offline")
    assert tenant.show(number)["actual_status"] == "running"
    (report,) = control.instances()
    assert (report["state"], report["said"], report["pid"]) == ("exited", "running", None)


def test_a_rival_may_stay_for_a_while(tenant: Tenant, control: SimControl) -> None:
    number = tenant.rent_running(price=2.5)
    control.outbid(number, lasting=timedelta(seconds=0.3))
    assert tenant.show(number)["cur_state"] == "stopped"
    tenant.wait(number, "running")


def test_a_contract_that_ends_stops_its_instance(tenant: Tenant, control: SimControl) -> None:
    number = tenant.rent_running()
    control.end_contract(number)
    assert tenant.wait(number, "exited")["cur_state"] == "stopped"
    answer = tenant.http.put(f"/api/v0/instances/{number}/", json={"state": "running"})
    assert answer.json()["success"] is False
