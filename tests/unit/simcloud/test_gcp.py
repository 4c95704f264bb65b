"""Compute Engine's wire, from outside: tokens, what there is, what it costs, and inserting and deleting machines."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from holdfast.simcloud.model import Trouble
from holdfast.simcloud.profile import load
from tests.simmarket import RunningMarket, run_market
from tests.unit.simcloud.engine import ZONE, Engineer, Row, boot_disk, on_demand, reason, spot


@pytest.fixture
def engine(shared_market: RunningMarket, ssh_key: asyncssh.SSHKey) -> Iterator[Engineer]:
    """The project's owner on the shared market; everything is destroyed afterwards."""
    engineer = Engineer(shared_market, ssh_key)
    yield engineer
    with shared_market.control as control:
        control.clear_faults()
        control.destroy_all()
    engineer.close()


# --- tokens --------------------------------------------------------------------------------------------------------


def test_the_key_file_is_private_and_opens_the_api(engine: Engineer, shared_market: RunningMarket) -> None:
    path = shared_market.data_dir / "gcp-key.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert engine.project()["name"] == "holdfast-sim"
    assert engine.exchange(engine.assertion()).json()["expires_in"] == 3599


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer ya29.sim.9999999999.0"}, {"Authorization": "Basic x"}]
)
def test_a_caller_without_a_good_token_is_told_so(engine: Engineer, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{engine.url}/zones/{ZONE}/instances", headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


def test_a_strange_signature_gets_no_token(engine: Engineer) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = engine.exchange(engine.assertion(stranger))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("changes", [{"iss": "nobody"}, {"exp": 1}, {"scope": "email"}])
def test_an_assertion_that_claims_something_else_gets_no_token(engine: Engineer, changes: Row) -> None:
    assert engine.exchange(engine.assertion(**changes)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("nonsense", ["", "a.b", "a.b.c", "é.é.é"])
def test_nonsense_gets_no_token(engine: Engineer, nonsense: str) -> None:
    assert engine.exchange(nonsense).status_code == 400


def test_a_market_started_anew_keeps_key_and_tokens(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path) as market:
        engineer = Engineer(market, ssh_key)
        market.kill()
        market.start()
        assert engineer.project()["name"] == "holdfast-sim"
        engineer.log_in()
        engineer.close()


# --- what there is -------------------------------------------------------------------------------------------------


def test_types_are_told_by_zone_with_a_warning_where_there_are_none(engine: Engineer) -> None:
    found = engine.get("/aggregated/acceleratorTypes", filter="name=nvidia-tesla-t4")["items"]
    assert found[f"zones/{ZONE}"]["acceleratorTypes"][0]["maximumCardsPerInstance"] == 4
    assert found["zones/us-east4-a"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    kinds = engine.get("/aggregated/machineTypes")["items"][f"zones/{ZONE}"]["machineTypes"]
    l4 = next(kind for kind in kinds if kind["name"] == "g2-standard-4")
    assert (l4["guestCpus"], l4["memoryMb"], l4["zone"]) == (4, 16_384, ZONE)
    assert l4["accelerators"] == [{"guestAcceleratorType": "nvidia-l4", "guestAcceleratorCount": 1}]


def test_lists_come_in_pages(engine: Engineer) -> None:
    names, token = [], ""
    while True:
        page = engine.get(f"/zones/{ZONE}/machineTypes", maxResults=3, pageToken=token)
        names += [kind["name"] for kind in page["items"]]
        if not (token := page.get("nextPageToken", "")):
            break
    assert len(names) == len(set(names)) == 8
    answer = engine.http.get("/zones", params={"pageToken": "elsewhere"})
    assert reason(answer) == (400, "invalid")


def test_an_empty_list_has_no_items(engine: Engineer) -> None:
    assert "items" not in engine.get(f"/zones/{ZONE}/instances")


def test_regions_and_project_tell_quotas(engine: Engineer) -> None:
    engine.insert_running()
    told = {quota["metric"]: quota for quota in engine.get("/regions/us-central1")["quotas"]}
    assert told["PREEMPTIBLE_NVIDIA_L4_GPUS"]["usage"] == 1
    assert told["NVIDIA_L4_GPUS"]["usage"] == 0
    assert "GPUS_ALL_REGIONS" in {quota["metric"] for quota in engine.project()["quotas"]}


def test_images_are_found_by_family(engine: Engineer) -> None:
    family = "/compute/v1/projects/deeplearning-platform-release/global/images/family/common-cu124"
    headers = {"Authorization": engine.http.headers["Authorization"]}
    image = engine.bare.get(family, headers=headers).raise_for_status().json()
    assert image["diskSizeGb"] == "50"
    assert engine.bare.get(f"{family}-none", headers=headers).status_code == 404


def test_the_api_is_served_at_the_root_as_well(engine: Engineer, shared_market: RunningMarket) -> None:
    url = f"{shared_market.base_url}/compute/v1/projects/holdfast-sim"
    answer = httpx.get(url, headers={"Authorization": engine.http.headers["Authorization"]}, trust_env=False)
    assert answer.json()["name"] == "holdfast-sim"


def test_another_project_and_another_zone_are_not_found(engine: Engineer) -> None:
    other = engine.url.replace("holdfast-sim", "demo")
    answer = httpx.get(other, headers={"Authorization": engine.http.headers["Authorization"]}, trust_env=False)
    assert reason(answer) == (404, "notFound")
    assert reason(engine.http.get("/zones/mars-1/instances")) == (404, "notFound")


# --- what it costs -------------------------------------------------------------------------------------------------


def prices(engine: Engineer) -> dict[tuple[str, str, str], Decimal]:
    """The price list: by description without its place, usage and region."""
    headers = {"Authorization": engine.http.headers["Authorization"]}
    rows = engine.bare.get("/v1/services/6F81-5844-456A/skus", headers=headers).raise_for_status().json()["skus"]
    found = {}
    for row in rows:
        (rate,) = row["pricingInfo"][0]["pricingExpression"]["tieredRates"]
        money = Decimal(rate["unitPrice"]["units"]) + Decimal(rate["unitPrice"]["nanos"]) / 10**9
        words = row["description"].replace(" running in ", " in ").rsplit(" in ", 1)[0]
        found[words, row["category"]["usageType"], row["serviceRegions"][0]] = money
    assert len(found) == len(rows) == len({row["skuId"] for row in rows})
    return found


def test_a_machine_costs_what_its_parts_cost(engine: Engineer, shared_market: RunningMarket) -> None:
    told = prices(engine)
    engine.insert_running(scheduling=on_demand())
    engine.insert_running("job-e2", labels={"holdfast": "job_e2"})
    with shared_market.control as control:
        firm, cheap = (Decimal(one["gpu_rate"]) for one in control.instances())
    parts = [("G2 Instance Core", 4), ("G2 Instance Ram", 16)]
    asked = sum(told[name, "OnDemand", "us-central1"] * count for name, count in [*parts, ("Nvidia L4 GPU", 1)])
    assert firm == asked
    spot_parts = [(f"Spot Preemptible {name}", count) for name, count in parts]
    spot_parts.append(("Nvidia L4 GPU attached to Spot Preemptible VMs", 1))
    assert cheap == sum(told[name, "Preemptible", "us-central1"] * count for name, count in spot_parts)
    assert cheap < firm / 2


def test_the_profiles_machines_cost_what_the_profile_says() -> None:
    lines = load(None, "gcp").slots
    of_region: dict[tuple[str, str], set[Decimal]] = {}
    for line in lines:
        of_region.setdefault((line.region[:-2], line.kind), set()).add(line.price)
    assert all(len(each) == 1 for each in of_region.values())


def test_spot_prices_have_a_history_that_ends_with_what_is_charged(
    engine: Engineer, shared_market: RunningMarket
) -> None:
    engine.insert_running()
    with shared_market.control as control:
        (one,) = control.instances()
    told = history(engine, "PRICE", "PREEMPTION").raise_for_status().json()
    last = told["priceHistory"][-1]["listPrice"]
    assert Decimal(last["units"]) + Decimal(last["nanos"]) / 10**9 == Decimal(one["gpu_rate"])
    assert all(0 <= each["preemptionRate"] <= 1 for each in told["preemptionHistory"])
    assert reason(history(engine)) == (400, "invalid")
    assert reason(history(engine, "PRICE", kind="g9-huge-1")) == (400, "invalid")


def history(engine: Engineer, *types: str, kind: str = "g2-standard-4") -> httpx.Response:
    body = {
        "types": types,
        "instanceProperties": {"machineType": kind, "scheduling": {"provisioningModel": "SPOT"}},
        "locationPolicy": {"location": f"zones/{ZONE}"},
    }
    return engine.http.post("/regions/us-central1/advice/capacityHistory", json=body)


def test_advice_tells_where_a_machine_can_be_had(engine: Engineer) -> None:
    body = {
        "size": 1,
        "instanceProperties": {"scheduling": {"provisioningModel": "SPOT"}},
        "instanceFlexibilityPolicy": {"instanceSelections": {"a": {"machineTypes": ["a3-highgpu-1g"]}}},
        "distributionPolicy": {"targetShape": "ANY_SINGLE_ZONE"},
    }
    found = engine.http.post("/regions/us-central1/advice/capacity", json=body).raise_for_status().json()
    best = found["recommendations"][0]
    assert best["shards"][0]["zone"] == "zones/us-central1-b"
    assert best["scores"]["obtainability"] > found["recommendations"][-1]["scores"]["obtainability"]


# --- inserting and deleting ----------------------------------------------------------------------------------------


async def test_a_machine_is_entered_by_the_login_of_its_key_and_by_nobody_else(engine: Engineer) -> None:
    row = engine.insert_running()
    assert row["labels"] == {"holdfast": "job_e1"}
    assert row["id"].isdigit()
    assert row["disks"][0]["diskSizeGb"] == "100"
    assert "deletionProtection" not in row
    async with await engine.ssh() as connection:
        told = await connection.run("nvidia-smi --query-gpu=name --format=csv,noheader; echo $USER", check=True)
        assert told.stdout == "NVIDIA L4\nops\n"
    with pytest.raises(asyncssh.PermissionDenied):
        await engine.ssh(login="root")


async def test_a_machine_without_gpus_has_no_nvidia_smi(engine: Engineer) -> None:
    engine.insert_running(kind="e2-standard-2")
    async with await engine.ssh() as connection:
        assert (await connection.run("nvidia-smi")).exit_status == 127


def test_root_cannot_be_the_login(engine: Engineer, ssh_key: asyncssh.SSHKey) -> None:
    items = [{"key": "ssh-keys", "value": f"root:{ssh_key.export_public_key().decode().strip()}"}]
    engine.insert_running(metadata={"items": items})


def test_an_operation_is_pending_then_done(engine: Engineer) -> None:
    first = engine.order().raise_for_status().json()
    assert (first["status"], first["progress"], "endTime" in first) == ("PENDING", 0, False)
    path = f"/zones/{ZONE}/operations/{first['name']}"
    last = engine.well(engine.http.get(path))
    assert (last["progress"], last["operationType"], last["user"]) == (100, "insert", engine.key_file["client_email"])
    assert last["targetId"] == engine.show()["id"]
    assert engine.http.get(f"{path}-1").status_code == 404
    assert engine.http.get(f"/global/operations/{first['name']}").status_code == 404


def test_the_same_request_is_the_same_operation(engine: Engineer) -> None:
    request = str(uuid.uuid4())
    names = {engine.order(request=request).raise_for_status().json()["name"] for _ in range(3)}
    assert len(names) == 1
    assert reason(engine.order()) == (409, "alreadyExists")
    other = engine.http.delete(f"/zones/{ZONE}/instances/job-e1", params={"requestId": request})
    assert reason(other) == (400, "invalid")
    assert reason(engine.order(request="00000000-0000-0000-0000-000000000000")) == (400, "invalid")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "Job"}, "invalid"),
        ({"name": "job.e1"}, "invalid"),
        ({"labels": {"holdfast": "job.e1"}}, "invalid"),
        ({"machineType": None}, "required"),
        ({"machineType": "zones/us-central1-a/machineTypes/a3-ultragpu-8g"}, "invalid"),
        ({"scheduling": spot(onHostMaintenance="MIGRATE")}, "badRequest"),
        ({"scheduling": {}}, "badRequest"),
        ({"scheduling": spot(automaticRestart=True)}, "invalid"),
        ({"scheduling": spot(maxRunDuration={"seconds": "5"})}, "invalid"),
        ({"scheduling": spot(provisioningModel="CHEAP")}, "invalid"),
        ({"disks": []}, "invalid"),
        ({"disks": [boot_disk("20")]}, "invalid"),
        ({"disks": [boot_disk(sourceImage="projects/x/global/images/family/none")]}, "invalid"),
        ({"disks": [boot_disk(diskType="floppy")]}, "invalid"),
        ({"disks": [{"boot": True, "source": f"zones/{ZONE}/disks/none"}]}, "invalid"),
        ({"networkInterfaces": []}, "invalid"),
        ({"metadata": {"items": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}}, "invalid"),
        ({"guestAccelerators": [{"acceleratorType": "nvidia-l4", "acceleratorCount": 2}]}, "badRequest"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_at_once(engine: Engineer, changes: Row, why: str) -> None:
    assert reason(engine.order(**changes)) == (400, why)
    assert "items" not in engine.get(f"/zones/{ZONE}/instances")


def test_an_n1_machine_needs_its_gpu_beside_it(engine: Engineer) -> None:
    t4 = [{"acceleratorType": f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 1}]
    row = engine.insert_running(kind="n1-standard-4", guestAccelerators=t4)
    assert row["guestAccelerators"][0]["acceleratorCount"] == 1
    failed = engine.done(engine.order(name="job-e2", kind="n1-standard-4", scheduling=on_demand()))
    assert failed["error"]["errors"][0]["code"].startswith("ZONE_RESOURCE_POOL_EXHAUSTED")


def test_no_capacity_is_told_by_the_operation_and_leaves_nothing(engine: Engineer) -> None:
    engine.insert_running(kind="g2-standard-12")
    answer = engine.order(name="job-e2", kind="g2-standard-12")
    assert answer.status_code == 200
    failed = engine.done(answer)
    assert (failed["httpErrorStatusCode"], failed["httpErrorMessage"]) == (503, "SERVICE UNAVAILABLE")
    assert failed["error"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    assert engine.http.get(f"/zones/{ZONE}/instances/job-e2").status_code == 404
    assert engine.http.get(f"/zones/{ZONE}/disks/job-e2").status_code == 404


def test_no_capacity_names_the_zones_that_have_some(engine: Engineer) -> None:
    zone = "us-central1-c"
    engine.insert_running(zone=zone)
    failed = engine.done(engine.order(zone=zone, name="job-e2"))
    (error,) = failed["error"]["errors"]
    facts = error["errorDetails"][0]["errorInfo"]["metadatas"]
    assert error["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
    assert (facts["attachment"], ZONE in facts["zonesAvailable"].split(",")) == ("nvidia-l4:1", True)


def test_a_deleted_machine_is_not_found_and_its_name_is_free(engine: Engineer) -> None:
    engine.insert_running()
    gone = engine.well(engine.delete())
    assert gone["operationType"] == "delete"
    assert reason(engine.http.get(f"/zones/{ZONE}/instances/job-e1")) == (404, "notFound")
    assert reason(engine.delete()) == (404, "notFound")
    assert engine.http.get(f"/zones/{ZONE}/disks/job-e1").status_code == 404
    engine.insert()


def test_a_delete_during_the_creation_ends_it_with_a_conflict(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path, boot={"kind": "constant", "seconds": 60}) as market:
        engineer = Engineer(market, ssh_key)
        inserted = engineer.order()
        engineer.well(engineer.delete())
        assert engineer.done(inserted)["httpErrorStatusCode"] == 409
        engineer.close()


def test_machines_of_all_zones_are_found_by_label_and_state(engine: Engineer) -> None:
    engine.insert_running()
    engine.insert_running("job-e2", "us-east4-a", labels={"holdfast": "job_e2", "team": "a"})

    def found(query: str) -> list[str]:
        items = engine.get("/aggregated/instances", filter=query)["items"]
        return sorted(one["name"] for zone in items.values() for one in zone.get("instances", []))

    assert found("labels.holdfast=job_e1 AND status=RUNNING") == ["job-e1"]
    assert found('(labels.holdfast = "job_e2") (status != TERMINATED)') == ["job-e2"]
    assert found("labels.holdfast:*") == ["job-e1", "job-e2"]
    assert found("labels.team:* OR name=job-e1") == ["job-e1", "job-e2"]
    assert found("NOT labels.team=a") == ["job-e1"]
    assert found("name eq job-.*") == ["job-e1", "job-e2"]
    assert found("name ne job-e1") == ["job-e2"]
    assert found("zone:us-east4-a") == ["job-e2"]
    for nonsense in ("labels.holdfast", "(name=x", "name=x)", "= x", "name ~ x y", "name eq [", "a=b AND"):
        answer = engine.http.get("/aggregated/instances", params={"filter": nonsense})
        assert (nonsense, *reason(answer)) == (nonsense, 400, "invalid")


# --- the bill ------------------------------------------------------------------------------------------------------


def test_a_run_costs_a_minute_at_least_and_its_disk_for_as_long_as_it_exists(
    engine: Engineer, shared_market: RunningMarket
) -> None:
    engine.insert_running("bill-e1", labels={"holdfast": "bill_e1"}, scheduling=on_demand())
    engine.well(engine.act("stop", "bill-e1"))
    engine.well(engine.delete("bill-e1"))
    with shared_market.control as control:
        line = next(line for line in control.bill()["lines"] if line["label"] == "bill.e1")
    rate = max(Decimal(period["gpu_rate"]) for period in line["periods"])
    assert Decimal(line["gpu"]) == pytest.approx(rate / 60)
    assert {Decimal(period["storage_rate"]) for period in line["periods"]} == {Decimal(10) / 720}
    assert line["running_seconds"] < 60


# --- failures of the API -------------------------------------------------------------------------------------------


def test_a_lost_answer_is_found_by_repeating_the_request(engine: Engineer, shared_market: RunningMarket) -> None:
    request = str(uuid.uuid4())
    with shared_market.control as control:
        control.add_fault(Trouble.LOST_RESPONSE, endpoint="insert", provider="gcp")
    with pytest.raises(httpx.TransportError):
        engine.order(request=request)
    engine.well(engine.order(request=request))
    assert engine.show()["name"] == "job-e1"


def test_an_order_that_comes_twice_is_refused_the_second_time(engine: Engineer, shared_market: RunningMarket) -> None:
    with shared_market.control as control:
        control.add_fault(Trouble.ACCEPTED_TWICE, endpoint="insert", provider="gcp", times=2)
    assert reason(engine.order()) == (409, "alreadyExists")
    engine.well(engine.order(name="job-e2", request=str(uuid.uuid4())))


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        ({"trouble": Trouble.HTTP_ERROR, "status": 404}, 404, "<html"),
        ({"trouble": Trouble.TOO_FREQUENT}, 403, "rateLimitExceeded"),
        ({"trouble": Trouble.OTHER_SHAPE}, 200, "somethingElse"),
        ({"trouble": Trouble.REFUSED_AS_OK}, 200, "backendError"),
        ({"trouble": Trouble.EMPTY_LIST}, 200, "compute#list"),
    ],
)
def test_the_api_fails_as_it_is_told(
    engine: Engineer, shared_market: RunningMarket, fault: dict[str, Any], status: int, word: str
) -> None:
    with shared_market.control as control:
        control.add_fault(endpoint="aggregated", provider="gcp", **fault)
    answer = engine.http.get("/aggregated/instances")
    assert (answer.status_code, word in answer.text) == (status, True)


def test_a_new_machine_may_not_be_listed_yet(engine: Engineer, shared_market: RunningMarket) -> None:
    with shared_market.control as control:
        control.set_listing_lag(timedelta(hours=1), provider="gcp")
        engine.insert_running()
        control.set_listing_lag(timedelta(0), provider="gcp")
    assert engine.show()["status"] == "RUNNING"
    assert "items" not in engine.get(f"/zones/{ZONE}/instances")


def test_any_other_call_answers_with_a_page(engine: Engineer) -> None:
    for path in ("/compute/v1/projects/holdfast-sim/zones/z/nodeGroups", "/elsewhere"):
        answer = engine.bare.get(path)
        assert (answer.status_code, answer.headers["content-type"][:9]) == (404, "text/html")
