"""TensorDock's wire, from outside: finding, deploying, the older API, and its quirks."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from holdfast.simcloud.control import SimError
from holdfast.simcloud.model import Flaw, Trouble
from tests.simmarket import RunningMarket, run_market
from tests.unit.simcloud.conftest import until
from tests.unit.simcloud.dock import GPU, Docker, available, flat, resources

DISASSOCIATED = "stoppeddisassociated"
NOBODY = "6f0d8c4e-6f2b-4a39-9b7f-2f3c0f9a1d55"


@pytest.fixture
def dock(shared_market: RunningMarket, ssh_key: asyncssh.SSHKey) -> Iterator[Docker]:
    """The account's owner on the shared market; everything is destroyed afterwards."""
    docker = Docker(shared_market, ssh_key)
    yield docker
    with shared_market.control as control:
        control.clear_faults()
        control.destroy_all()
    docker.close()


# --- finding -------------------------------------------------------------------------------------------------------


def test_places_are_told_to_everybody_and_nodes_to_the_account(dock: Docker) -> None:
    stranger = httpx.Client(base_url=dock.http.base_url, trust_env=False)
    places = stranger.get("/locations").raise_for_status().json()["data"]["locations"]
    assert {"United States", "Canada", "Netherlands"} <= {place["country"] for place in places}
    assert {gpu["v0Name"] for place in places for gpu in place["gpus"]} >= {GPU, "h100-sxm5-80gb", "a100-sxm4-80gb"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        assert stranger.get("/hostnodes", headers=headers).status_code == 401
    stranger.close()


def test_a_node_tells_the_largest_machine_that_it_can_hold(dock: Docker) -> None:
    (node,) = [each for each in dock.nodes(count=2) if each["location"]["city"] == "Amsterdam"]
    assert available(node) == 2
    number = dock.deploy(hostnode_id=node["id"], resources=resources(gpus=2))
    assert available(dock.node(node["id"])) == 0
    assert dock.show(number)["resources"]["gpus"][GPU]["count"] == 2


def test_a_node_has_less_left_while_somebody_is_on_it(dock: Docker) -> None:
    before = dock.nodes()[0]
    number = dock.deploy(hostnode_id=before["id"])
    left, had = dock.node(before["id"])["available_resources"], before["available_resources"]
    assert [had[each] - left[each] for each in ("vcpu_count", "ram_gb", "storage_gb")] == [8, 32, 150]
    assert set(had["available_ports"]) - set(left["available_ports"]) == {had["available_ports"][0]}
    dock.legacy("/client/stop/single", server=number, disassociate_resources="true")
    left = dock.node(before["id"])["available_resources"]
    assert [had[each] - left[each] for each in ("vcpu_count", "ram_gb", "storage_gb")] == [0, 0, 150]


# --- deploying -----------------------------------------------------------------------------------------------------


async def test_a_deployed_machine_is_entered_as_user_and_as_nobody_else(dock: Docker) -> None:
    number = dock.deploy_running(cloud_init={"package_update": True, "runcmd": ["echo ready > told", ["touch", "a b"]]})
    async with await dock.ssh(number) as connection:
        assert (await connection.run("whoami_is=$USER; echo $whoami_is", check=True)).stdout == "user\n"
        gpus = await connection.run("nvidia-smi --query-gpu=name --format=csv,noheader", check=True)
        assert gpus.stdout == "NVIDIA GeForce RTX 4090\n"
        script = "while ! test -e 'a b'; do sleep 0.05; done; cat told"
        assert (await connection.run(script, check=True)).stdout == "ready\n"
    with pytest.raises(asyncssh.PermissionDenied):
        await dock.ssh(number, login="root")


def test_a_machine_of_less_gpus_than_its_slot_sees_its_own(dock: Docker, shared_market: RunningMarket) -> None:
    (node,) = [each for each in dock.nodes(count=2) if each["location"]["city"] == "Amsterdam"]
    number = dock.deploy(hostnode_id=node["id"])
    with shared_market.control as control:
        (told,) = control.instances()
    assert (told["gpu"], dock.show(number)["resources"]["gpus"][GPU]["count"]) == ("1x RTX 4090", 1)


def test_a_place_stands_for_any_of_its_nodes(dock: Docker) -> None:
    node = dock.nodes()[0]
    number = dock.deploy(hostnode_id=None, location_id=node["location_id"], port_forwards=None, useDedicatedIp=True)
    assert dock.show(number)["name"] == "job.e1"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": None},
        {"image": "alpine"},
        {"resources": None},
        {"resources": resources(storage_gb=99)},
        {"resources": resources(vcpu_count=7)},
        {"resources": resources(vcpu_count="8")},
        {"resources": resources(ram_gb=33)},
        {"resources": resources(ram_gb=80)},
        {"resources": resources(gpus=0)},
        {"resources": resources(gpus={GPU: {"count": 1}, "l40s-pcie-48gb": {"count": 1}})},
        {"location_id": NOBODY},
        {"hostnode_id": None},
        {"ssh_key": None},
        {"ssh_key_id": NOBODY},
        {"ssh_key": None, "ssh_key_id": NOBODY},
        {"ssh_key": "nonsense"},
        {"port_forwards": [{"internal_port": 22, "external_port": 80}]},
        {"port_forwards": [{"internal_port": 22, "external_port": 20001}] * 2},
        {"port_forwards": "22:20001"},
        {"port_forwards": [22]},
        {"cloud_init": {"runcmd": "echo one text"}},
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_400(dock: Docker, changes: dict[str, Any]) -> None:
    answer = dock.order(**changes)
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("body", [b"no json", b"[1]", b'{"data": {"type": "container", "attributes": {}}}', b"\xff"])
def test_a_body_that_is_no_order_is_refused(dock: Docker, body: bytes) -> None:
    assert dock.http.post("/instances", content=body).status_code == 400


def test_what_is_not_to_be_had_is_refused_with_200(dock: Docker) -> None:
    (node,) = [each for each in dock.nodes() if each["location"]["country"] == "Bulgaria"]
    dock.deploy(hostnode_id=node["id"])
    for changes in ({}, {"resources": resources(gpus=3)}, {"resources": resources(vcpu_count=2000)}):
        answer = dock.order(hostnode_id=node["id"], port_forwards=None, **changes)
        assert (answer.status_code, answer.json()) == (200, {"error": "Hostnode unavailable", "status": 400})


def test_a_node_that_nobody_knows_is_not_found(dock: Docker) -> None:
    assert dock.order(hostnode_id=NOBODY, port_forwards=None).status_code == 404
    assert dock.http.get(f"/hostnodes/{NOBODY}").json() == {"message": "Hostnode not found"}


def test_nothing_is_deployed_for_less_than_a_dollar(dock: Docker, shared_market: RunningMarket) -> None:
    with shared_market.control as control:
        control.set_credit(Decimal("0.99"), provider="tensordock")
        answer = dock.order()
        control.set_credit(Decimal(100), provider="tensordock")
    assert (answer.status_code, answer.json()["status"]) == (200, 400)
    assert "at least $1" in answer.json()["error"]


def test_two_orders_of_one_name_are_two_machines(dock: Docker) -> None:
    first, second = dock.deploy(), dock.deploy()
    assert first != second and dock.show(first)["name"] == dock.show(second)["name"] == "job.e1"


# --- machines ------------------------------------------------------------------------------------------------------


def test_a_machine_that_runs_has_an_address_and_one_that_is_stopped_has_none(dock: Docker) -> None:
    number = dock.deploy_running()
    assert dock.show(number)["ipAddress"] == "127.0.0.1"
    assert flat(dock.http.post(f"/instances/{number}/stop").json())["status"].lower() == "stopping"
    row = dock.show(number)
    assert (row["status"].lower(), row["ipAddress"], row["portForwards"]) == ("stopped", None, [])


def test_a_machine_that_is_stopped_keeps_its_gpu_and_starts_again(dock: Docker, shared_market: RunningMarket) -> None:
    number = dock.deploy_running()
    dock.http.post(f"/instances/{number}/stop").raise_for_status()
    with shared_market.control as control:
        control.take(number)  # a rival finds nothing to rent
    assert dock.http.post(f"/instances/{number}/stop").status_code == 409
    assert flat(dock.http.post(f"/instances/{number}/start").json())["status"].lower() == "starting"
    until(lambda: dock.status(number) == "running")
    assert dock.http.post(f"/instances/{number}/start").status_code == 409
    with shared_market.control as control:
        control.release(number)


def test_a_host_may_sell_the_gpu_of_a_stopped_machine(dock: Docker, shared_market: RunningMarket) -> None:
    number = dock.deploy_running()
    with shared_market.control as control:
        with pytest.raises(SimError, match="not stopped with its GPUs reserved"):
            control.disassociate(number)
        dock.http.post(f"/instances/{number}/stop").raise_for_status()
        assert control.disassociate("job.e1")
        assert dock.status(number) == DISASSOCIATED
        control.take(number)
        refused = dock.http.post(f"/instances/{number}/start")
        assert (refused.status_code, "GPU" in refused.json()["error"]) == (400, True)
        control.release(number)
    assert dock.status(number) == DISASSOCIATED, "nothing is queued"
    dock.http.post(f"/instances/{number}/start").raise_for_status()
    until(lambda: dock.status(number) == "running")


def test_a_machine_that_died_is_stopped_and_one_out_of_sight_seems_to_run(
    dock: Docker, shared_market: RunningMarket
) -> None:
    number = dock.deploy_running()
    with shared_market.control as control:
        control.offline(number)
        assert dock.status(number) == "running"
        control.online(number)
        control.kill(number)
    assert dock.status(number) == "stopped"


def test_a_machine_with_a_broken_image_is_in_error(dock: Docker, shared_market: RunningMarket) -> None:
    with shared_market.control as control:
        (slot,) = [
            each["slot"]
            for each in control.offers()
            if each["provider"] == "tensordock" and each["region"].endswith("BG") and not each["tenants"]
        ]
        control.set_flaw(slot, Flaw.NO_IMAGE)
        (node,) = [each for each in dock.nodes() if each["location"]["country"] == "Bulgaria"]
        number = dock.deploy(hostnode_id=node["id"])
        until(lambda: dock.status(number) == "error")
        control.set_flaw(slot, None)


def test_a_deleted_machine_is_not_found(dock: Docker) -> None:
    first, second = dock.deploy(), dock.deploy()
    answers = [dock.http.delete(f"/instances/{number}") for number in (first, second)]
    assert {answer.status_code for answer in answers} == {200, 204}
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/start"), ("POST", "/stop")):
        answer = dock.http.request(method, f"/instances/{first}{path}")
        assert (answer.status_code, answer.json()) == (404, {"message": "Instance not found"})


def test_envelopes_and_spellings_change_from_call_to_call(dock: Docker) -> None:
    number = dock.deploy_running()
    shown = [dock.http.get(f"/instances/{number}").json() for _ in range(3)]
    assert sorted(("data" in each, "attributes" in each.get("data", {})) for each in shown) == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert {flat(each)["status"] for each in shown} == {"running", "RUNNING"}
    listed = [dock.http.get("/instances").json()["data"] for _ in range(3)]
    assert sum(isinstance(each, list) for each in listed) == 1
    assert sum("attributes" in each for each in listed if isinstance(each, dict)) == 1


# --- the older API -------------------------------------------------------------------------------------------------


def test_the_older_api_gives_the_gpu_back_at_a_stop(dock: Docker) -> None:
    number = dock.deploy_running()
    assert dock.legacy("/client/stop/single", server=number, disassociate_resources="true") == {"success": True}
    told = dock.legacy("/client/get/single", server=number)["virtualmachine"]
    assert (told["status"], dock.status(number)) == ("StoppedDisassociated", DISASSOCIATED)
    again = dock.legacy("/client/stop/single", server=number)
    assert again["success"] is False and "cannot be stopped" in again["error"]
    assert dock.legacy("/client/start/single", server=number)["success"]
    until(lambda: dock.status(number) == "running")


def test_the_older_api_stops_without_giving_back_unless_it_is_told_to(dock: Docker) -> None:
    number = dock.deploy_running()
    assert dock.legacy("/client/stop/single", server=number, disassociate_resources="false")["success"]
    assert dock.legacy("/client/list")["virtualmachines"][number]["status"] == "Stopped"


def test_the_older_api_wants_both_credentials_and_says_no_with_200(dock: Docker) -> None:
    assert dock.legacy("/auth/test") == {"success": True}
    assert dock.legacy("/auth/test", api_token="wrong")["success"] is False
    assert dock.legacy("/client/get/single", server=NOBODY) == {"success": False, "error": "Instance not found"}


def test_the_balance_is_told_by_the_older_api(dock: Docker) -> None:
    assert dock.legacy("/billing/balance")["hourly_cost"] == 0
    number = dock.deploy()
    assert dock.legacy("/billing/balance")["hourly_cost"] == dock.show(number)["rateHourly"]
    assert dock.legacy("/client/delete/single", server=number)["success"]
    assert dock.legacy("/billing/balance")["balance"] <= 100


# --- secrets, limits, faults ---------------------------------------------------------------------------------------


async def test_a_key_may_be_a_secret_of_the_account(dock: Docker) -> None:
    key = dock.key.export_public_key().decode()
    body = {"data": {"type": "secret", "attributes": {"name": "mine", "type": "SSHKey", "value": key}}}
    kept = dock.http.post("/secrets", json=body).raise_for_status().json()["data"]
    one = f"/secrets/{kept['id']}"
    assert dock.http.get(one).json()["data"]["value"] == key
    assert dock.http.get("/secrets").json()["data"]["secrets"] == [kept]
    assert dock.http.patch(one, json=body).status_code == 405
    number = dock.deploy_running(ssh_key=None, ssh_key_id=kept["id"])
    async with await dock.ssh(number):
        pass
    assert dock.http.delete(one).status_code == 200
    assert dock.http.get(one).status_code == dock.http.delete(one).status_code == 404
    odd = {"data": {"type": "secret", "attributes": {"name": "mine", "type": "PASSWORD", "value": "x"}}}
    assert dock.http.post("/secrets", json=odd).status_code == 400


def test_a_wrong_address_is_a_page_and_says_nothing_about_a_machine(dock: Docker) -> None:
    answer = dock.http.get("/instancez/1")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (404, "text/html")


def test_more_than_a_hundred_calls_in_a_minute_are_too_many_whatever_they_are(
    tmp_path: Path, ssh_key: asyncssh.SSHKey
) -> None:
    with run_market(tmp_path, threshold_scale=1000, hosts=False) as market:
        dock = Docker(market, ssh_key)
        first = [dock.http.get(path).status_code for path in ("/instances", "/hostnodes") for _ in range(50)]
        assert set(first) == {200}
        refused = dock.http.get("/instances")
        assert (refused.status_code, refused.json()) == (429, {"error": "Too many requests"})
        assert dock.legacy("/auth/test")["success"], "nobody counts the calls of the older API"
        dock.close()


def test_an_answer_that_is_lost_leaves_the_machine(dock: Docker, shared_market: RunningMarket) -> None:
    with shared_market.control as control:
        control.add_fault(Trouble.LOST_RESPONSE, endpoint="deploy", provider="tensordock")
        with pytest.raises(httpx.TransportError):
            dock.order()
        assert [each["label"] for each in control.instances()] == ["job.e1"]


def test_an_order_may_be_carried_out_twice(dock: Docker, shared_market: RunningMarket) -> None:
    with shared_market.control as control:
        control.add_fault(Trouble.ACCEPTED_TWICE, endpoint="deploy", provider="tensordock")
        dock.deploy()
        assert [each["label"] for each in control.instances()] == ["job.e1"] * 2
        assert len({each["alias"] for each in control.instances()}) == 2
