"""Listing, showing and changing instances over Vast's wire, from outside."""

import json
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from tests.simmarket import RunningMarket, run_market
from tests.unit.simcloud.conftest import SlowBody, Tenant, until


def listed(tenant: Tenant, **parameters: Any) -> dict[str, Any]:
    text = {name: json.dumps(value) if not isinstance(value, str) else value for name, value in parameters.items()}
    page: dict[str, Any] = tenant.http.get("/api/v1/instances/", params=text).raise_for_status().json()
    return page


def test_a_running_instance_has_its_address_and_a_stopped_one_has_none(tenant: Tenant) -> None:
    number = tenant.rent_running(label="job.e1", env={"A": "1"})
    row = tenant.show(number)
    assert row["public_ipaddr"] == "127.0.0.1\n"
    assert isinstance(row["ports"]["22/tcp"][0]["HostPort"], str)
    assert row["extra_env"] == [["A", "1"]]
    tenant.http.put(f"/api/v0/instances/{number}/", json={"state": "stopped"})
    row = tenant.show(number)
    assert (row["ports"], row["actual_status"], row["cur_state"]) == (None, "exited", "stopped")


def test_the_listing_comes_in_pages(tenant: Tenant) -> None:
    numbers = [tenant.rent() for _ in range(3)]
    first = listed(tenant, limit="2")
    second = listed(tenant, limit="2", after_token=first["next_token"])
    assert [row["id"] for page in (first, second) for row in page["instances"]] == numbers
    assert (first["total_instances"], second["next_token"]) == (3, None)
    newest = listed(tenant, order_by=[{"col": "id", "dir": "desc"}])["instances"][0]
    assert newest["id"] == numbers[-1]


def test_the_listing_filters_by_label_and_counts_labels(tenant: Tenant) -> None:
    mine = tenant.rent(label="job.e1")
    tenant.rent(label="other.e1")
    page = listed(tenant, select_filters={"label": {"eq": "job.e1"}})
    assert [row["id"] for row in page["instances"]] == [mine]
    assert page["label_counts"] == {"job.e1": 1, "other.e1": 1}


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"select_filters": '{"dph_total": {"gt": 1}}'}, "invalid_request"),
        ({"select_filters": "not json"}, "invalid_request"),
        ({"select_filters": "[1]"}, "invalid_request"),
        ({"select_filters": "5"}, "invalid_request"),
        ({"select_filters": '{"label": {"in": 5}}'}, "invalid_request"),
        ({"order_by": '[{"col": "ports"}]'}, "invalid_request"),
        ({"limit": "Infinity"}, "invalid_args"),
        ({"after_token": "%%%"}, "invalid_token"),
        ({"after_token": "LTU="}, "invalid_token"),
    ],
)
def test_a_bad_listing_is_refused(tenant: Tenant, parameters: dict[str, str], error: str) -> None:
    for _ in range(2):
        tenant.rent_running()
    answer = tenant.http.get("/api/v1/instances/", params=parameters)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_the_old_listing_is_retired(tenant: Tenant) -> None:
    answer = tenant.http.get("/api/v0/instances/")
    assert (answer.status_code, answer.json()["error"]) == (410, "deprecated_endpoint")


def test_a_destroyed_instance_is_null_and_a_second_destroy_404(tenant: Tenant) -> None:
    number = tenant.rent()
    assert tenant.http.delete(f"/api/v0/instances/{number}/").json()["success"] is True
    assert tenant.show(number) is None
    assert tenant.http.delete(f"/api/v0/instances/{number}/").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("PUT", "instances/{}/", "label"),
        ("PUT", "instances/{}/", "state"),
        ("POST", "instances/{}/ssh/", "ssh_key"),
        ("PUT", "instances/bid_price/{}/", "price"),
        ("PUT", "instances/request_logs/{}/", "tail"),
    ],
)
def test_an_instance_that_is_destroyed_while_a_change_of_it_arrives_stays_destroyed(
    tenant: Tenant, method: str, path: str, field: str
) -> None:
    number = tenant.rent(price=1.0)
    values = {"label": "ghost", "state": "running", "price": 2, "tail": "5"}
    values["ssh_key"] = tenant.key.export_public_key().decode()
    with SlowBody(tenant.http, method, "/api/v0/" + path.format(number), {field: values[field]}) as call:
        tenant.http.delete(f"/api/v0/instances/{number}/").raise_for_status()
        status = call.finish()
    assert (status, tenant.show(number)) == (404, None)


def test_a_label_can_be_changed_but_not_be_endless(tenant: Tenant) -> None:
    number = tenant.rent(label="a")
    assert tenant.http.put(f"/api/v0/instances/{number}/", json={"label": "b"}).json() == {"success": True}
    assert tenant.show(number)["label"] == "b"
    long = tenant.http.put(f"/api/v0/instances/{number}/", json={"label": "x" * 1025})
    assert long.json()["error"] == "label_too_long"


def test_taken_gpus_refuse_a_start_with_200(tenant: Tenant, shared_market: RunningMarket) -> None:
    number = tenant.rent_running()
    tenant.http.put(f"/api/v0/instances/{number}/", json={"state": "stopped"})
    with shared_market.control as control:
        control.take(number)
        answer = tenant.http.put(f"/api/v0/instances/{number}/", json={"state": "running"})
        assert (answer.status_code, answer.json()["error"]) == (200, "resources_unavailable")
        row = tenant.show(number)
        assert (row["intended_status"], row["cur_state"]) == ("running", "stopped")
        control.release(number)
    tenant.wait(number, "running")


def test_a_higher_bid_brings_an_outbid_instance_back(tenant: Tenant, shared_market: RunningMarket) -> None:
    number = tenant.rent_running(price=1.0)
    with shared_market.control as control:
        control.outbid(number)
    row = tenant.show(number)
    assert (row["cur_state"], row["intended_status"], row["next_state"]) == ("stopped",) * 3
    tenant.http.put(f"/api/v0/instances/bid_price/{number}/", json={"client_id": "me", "price": 2.0}).raise_for_status()
    assert tenant.wait(number, "running")["dph_base"] == 2.0
    with shared_market.control as control:
        control.release(number)


def test_the_other_way_of_describing_an_outbid_instance(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path, outbid_fields="wants_running") as market:
        tenant = Tenant(market, ssh_key)
        number = tenant.rent_running(price=1.0)
        with market.control as control:
            control.outbid(number)
        row = tenant.show(number)
    assert (row["cur_state"], row["intended_status"]) == ("stopped", "running")


def test_a_bid_change_needs_an_interruptible_instance_and_a_sane_price(tenant: Tenant) -> None:
    owned, bid = tenant.rent(), tenant.rent(price=1.0)
    assert tenant.http.put(f"/api/v0/instances/bid_price/{owned}/", json={"price": 1.0}).status_code == 400
    assert tenant.http.put(f"/api/v0/instances/bid_price/{bid}/", json={"price": 500}).status_code == 400


async def test_a_reboot_keeps_the_disk_and_may_change_the_port(tenant: Tenant) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        await connection.run("echo kept > file", check=True)
    tenant.http.put(f"/api/v0/instances/reboot/{number}/", json={}).raise_for_status()
    tenant.wait(number, "running")
    async with await tenant.ssh(number) as connection:
        assert (await connection.run("cat file", check=True)).stdout == "kept\n"


async def test_a_recycled_machine_begins_with_an_empty_disk_and_a_rebooted_one_does_not(tenant: Tenant) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        await connection.run("echo lost > file", check=True)
    tenant.http.put(f"/api/v0/instances/recycle/{number}/", json={}).raise_for_status()
    tenant.wait(number, "running")
    async with await tenant.ssh(number) as connection:
        assert (await connection.run("cat file")).exit_status == 1
        await connection.run("echo kept > file", check=True)
    tenant.http.put(f"/api/v0/instances/reboot/{number}/", json={}).raise_for_status()
    tenant.wait(number, "running")
    async with await tenant.ssh(number) as connection:
        assert (await connection.run("cat file", check=True)).stdout == "kept\n"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "instances/command/1/"),
        ("PUT", "instances/prepay/1/"),
        ("DELETE", "instances/"),
        ("PUT", "launch_instance/"),
        ("POST", "volumes/search/"),
        ("GET", "instances/1"),
    ],
)
def test_a_call_that_the_market_does_not_have_says_so_and_not_that_anything_is_gone(
    tenant: Tenant, method: str, path: str
) -> None:
    answer = tenant.http.request(method, f"/api/v0/{path}", json={})
    assert (answer.status_code, answer.json()["error"]) == (404, "invalid_request")
    assert f"does not have {method} /api/v0/{path}" in answer.json()["msg"]


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_an_id_that_no_database_holds_is_refused(tenant: Tenant, number: int) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = tenant.http.request(method, f"/api/v0/instances/{number}/", json={"state": "stopped"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_args")


def test_the_account_answers_with_and_without_a_slash(tenant: Tenant) -> None:
    for path in ("/api/v0/users/current", "/api/v0/users/current/"):
        assert tenant.http.get(path, params={"owner": "me"}).raise_for_status().json()["email"]


def test_account_keys_are_an_error_when_there_are_none(tenant: Tenant) -> None:
    for key in tenant.http.get("/api/v0/ssh/").json():
        assert tenant.http.delete(f"/api/v0/ssh/{key['id']}/").json() == {"success": True}
    assert tenant.http.get("/api/v0/ssh/").status_code == 404


async def test_a_key_attached_later_opens_the_machine_until_it_is_detached(tenant: Tenant) -> None:
    number = tenant.rent_running()
    guest = Tenant.__new__(Tenant)
    guest.http, guest.key = tenant.http, asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await guest.ssh(number)
    public = guest.key.export_public_key().decode()
    tenant.http.post(f"/api/v0/instances/{number}/ssh/", json={"ssh_key": public}).raise_for_status()
    async with await guest.ssh(number):
        pass
    keys = json.loads(tenant.http.get(f"/api/v0/instances/{number}/ssh/").json()["ssh_keys"])
    (attached,) = [key["id"] for key in keys if key["public_key"] == public.strip()]
    tenant.http.delete(f"/api/v0/instances/{number}/ssh/{attached}/").raise_for_status()
    with pytest.raises(asyncssh.PermissionDenied):
        await guest.ssh(number)
    assert tenant.http.post(f"/api/v0/instances/{number}/ssh/", json={"ssh_key": "nonsense"}).status_code == 400


def test_a_log_is_fetched_from_an_address_that_answers_404_at_first(tenant: Tenant) -> None:
    number = tenant.rent_running(onstart="echo hello from onstart")
    answer = tenant.http.put(f"/api/v0/instances/request_logs/{number}/", json={"tail": "10"}).json()
    found = httpx.get(answer["result_url"], trust_env=False)
    assert found.status_code == 404

    def content() -> str:
        return httpx.get(answer["result_url"], trust_env=False).text

    until(lambda: content() == "hello from onstart\n")


def test_a_machines_own_key_may_end_that_machine_and_nothing_else(tenant: Tenant) -> None:
    own, other = tenant.rent(), tenant.rent()
    order = tenant.order(tenant.search()[0]["id"]).json()
    headers = {"Authorization": f"Bearer {order['instance_api_key']}"}

    def call(method: str, path: str) -> httpx.Response:
        return tenant.http.request(method, path, headers=headers)

    assert call("GET", "/api/v1/instances/").status_code == 403
    assert call("DELETE", f"/api/v0/instances/{other}/").json()["error"] == "auth_error"
    assert call("DELETE", f"/api/v0/instances/{order['new_contract']}/").json()["success"] is True
    assert call("DELETE", f"/api/v0/instances/{own}/").json()["error"] == "auth_error", "the key died with its machine"


def test_credit_falls_with_the_bill(tenant: Tenant) -> None:
    before = tenant.http.get("/api/v0/users/current/").json()["credit"]
    tenant.rent_running()
    until(lambda: tenant.http.get("/api/v0/users/current/").json()["credit"] < before)


def test_calls_that_come_too_soon_get_429_in_the_endpoints_own_style(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path, threshold_scale=1000) as market:
        tenant = Tenant(market, ssh_key)
        number = tenant.order(tenant.search()[0]["id"]).json()["new_contract"]
        one = f"/api/v0/instances/{number}/"
        calls = {"text": ("GET", "/api/v1/instances/"), "detail": ("GET", one), "envelope": ("DELETE", one)}
        searches = [tenant.http.post("/api/v0/bundles/", json={}) for _ in range(10)]
        first = [tenant.http.request(*call).status_code for call in calls.values()]
        refused = {style: tenant.http.request(*call) for style, call in calls.items()}
    assert first == [200, 200, 200]
    assert {answer.status_code for answer in refused.values()} == {429}
    assert not any("retry-after" in answer.headers for answer in refused.values())
    assert [answer.status_code for answer in searches] == [200] * 9 + [429], "ten a minute, and one came before"
    assert searches[-1].text == "API requests too frequent"
    assert refused["text"].text == "API requests too frequent: endpoint threshold=1.0"
    assert refused["detail"].json() == {"detail": "API requests too frequent endpoint threshold=2.0"}
    assert refused["envelope"].json()["error"] == "rate_limit_exceeded"
