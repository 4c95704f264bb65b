"""Compute Engine's wire, from outside: what becomes of machines, disks and snapshots once they exist."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncssh
import pytest

from tests.simmarket import RunningMarket, run_market
from tests.unit.simcloud.conftest import until
from tests.unit.simcloud.engine import ZONE, Engineer, Row, boot_disk, on_demand, reason, spot

ELSEWHERE = "europe-west4-a"


@pytest.fixture
def engine(shared_market: RunningMarket, ssh_key: asyncssh.SSHKey) -> Iterator[Engineer]:
    """The project's owner on the shared market; everything is destroyed afterwards."""
    engineer = Engineer(shared_market, ssh_key)
    yield engineer
    with shared_market.control as control:
        control.clear_faults()
        control.destroy_all()
    for disk in engineer.get(f"/zones/{ZONE}/disks").get("items", []):
        until(lambda disk=disk: engineer.http.delete(f"/zones/{ZONE}/disks/{disk['name']}").status_code in (200, 404))
    for snapshot in engineer.get("/global/snapshots").get("items", []):
        engineer.http.delete(f"/global/snapshots/{snapshot['name']}")
    engineer.close()


async def write(engine: Engineer, text: str, name: str = "job-e1", zone: str = ZONE) -> None:
    async with await engine.ssh(name, zone=zone) as connection:
        await connection.run(f"echo {text} > kept", check=True)


async def read(engine: Engineer, name: str = "job-e1", zone: str = ZONE) -> str:
    async with await engine.ssh(name, zone=zone) as connection:
        return str((await connection.run("cat kept", check=True)).stdout).strip()


# --- stopping and starting -----------------------------------------------------------------------------------------


async def test_a_stopped_machine_keeps_its_disk_and_gets_another_address(engine: Engineer) -> None:
    first = engine.insert_running()
    await write(engine, "hello")
    engine.well(engine.act("stop"))
    stopped = engine.show()
    assert (stopped["status"], "lastStopTimestamp" in stopped) == ("TERMINATED", True)
    assert "natIP" not in stopped["networkInterfaces"][0]["accessConfigs"][0]
    engine.well(engine.act("start"))
    again = engine.until_status("RUNNING")
    assert again["networkInterfaces"] != first["networkInterfaces"]
    assert again["lastStartTimestamp"] > first["lastStartTimestamp"]
    assert await read(engine) == "hello"


def test_stopping_and_starting_twice_is_no_error(engine: Engineer) -> None:
    engine.insert_running()
    engine.well(engine.act("start"))
    engine.well(engine.act("stop"))
    engine.well(engine.act("stop"))
    assert engine.status() == "TERMINATED"


def test_a_machine_that_stops_is_told_to_and_cannot_be_started_yet(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    slow = {"gcp": {"wind_down": {"kind": "constant", "seconds": 60}}}
    with run_market(tmp_path, providers=slow) as market:
        engineer = Engineer(market, ssh_key)
        engineer.insert_running()
        operation = engineer.act("stop").raise_for_status().json()
        assert engineer.status() == "STOPPING"
        assert reason(engineer.act("start")) == (400, "resourceNotReady")
        waited = engineer.http.post(f"/zones/{ZONE}/operations/{operation['name']}/wait").json()
        assert waited["status"] == "RUNNING", "a wait may end before its operation does"
        engineer.close()


def test_a_start_may_find_no_capacity_and_leaves_the_machine_stopped(engine: Engineer) -> None:
    engine.insert_running(kind="g2-standard-12")
    engine.well(engine.act("stop"))
    engine.insert_running("job-e2", kind="g2-standard-12")
    failed = engine.done(engine.act("start"))
    assert failed["error"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    assert engine.status() == "TERMINATED"
    engine.well(engine.delete("job-e2"))
    engine.well(engine.act("start"))


def test_a_machine_with_gpus_cannot_be_suspended(engine: Engineer) -> None:
    engine.insert_running()
    assert reason(engine.act("suspend")) == (400, "unsupportedOperation")
    engine.insert_running("cpu", kind="e2-standard-2")
    engine.well(engine.act("suspend", "cpu"))
    assert engine.status("cpu") == "SUSPENDED"
    assert reason(engine.act("start", "cpu")) == (400, "unsupportedOperation")
    engine.well(engine.act("resume", "cpu"))
    engine.until_status("RUNNING", "cpu")


async def test_a_reset_keeps_the_disk(engine: Engineer) -> None:
    engine.insert_running()
    await write(engine, "hello")
    engine.well(engine.act("reset"))
    engine.until_status("RUNNING")
    assert await read(engine) == "hello"


def test_a_machine_ends_by_its_own_run_time(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path) as market:
        engineer = Engineer(market, ssh_key)
        limited = spot(maxRunDuration={"seconds": "3600"}, instanceTerminationAction="DELETE")
        told = engineer.insert(scheduling=limited)["resourceStatus"]["scheduling"]["terminationTimestamp"]
        assert datetime.fromisoformat(told) > datetime.now(UTC) + timedelta(minutes=50)
        soon = {"terminationTime": datetime.now(UTC).isoformat(), "maxRunDuration": None}
        engineer.well(engineer.act("setScheduling", **limited | soon))
        until(lambda: engineer.http.get(f"/zones/{ZONE}/instances/job-e1").status_code == 404)
        engineer.close()


def test_a_protected_machine_is_not_deleted(engine: Engineer) -> None:
    engine.insert_running(deletionProtection=True)
    assert engine.delete().status_code == 400
    engine.well(engine.http.post(f"/zones/{ZONE}/instances/job-e1/setDeletionProtection?deletionProtection=false"))
    engine.well(engine.delete())


# --- labels, metadata, schedule ------------------------------------------------------------------------------------


def test_labels_change_for_whoever_knows_the_present_ones(engine: Engineer, shared_market: RunningMarket) -> None:
    before = engine.insert_running()["labelFingerprint"]
    wanted = {"holdfast": "other_e7", "team": "a"}
    engine.well(engine.act("setLabels", labels=wanted, labelFingerprint=before))
    assert engine.show()["labels"] == wanted
    assert reason(engine.act("setLabels", labels={}, labelFingerprint=before)) == (412, "conditionNotMet")
    with shared_market.control as control:
        assert [one["label"] for one in control.instances()] == ["other.e7"]


async def test_keys_change_with_the_metadata(engine: Engineer) -> None:
    row = engine.insert_running()
    print_of = row["metadata"]["fingerprint"]
    fresh = asyncssh.generate_private_key("ssh-ed25519")
    items = [{"key": "ssh-keys", "value": f"ops:{fresh.export_public_key().decode().strip()}"}]
    engine.well(engine.act("setMetadata", fingerprint=print_of, items=items))
    assert reason(engine.act("setMetadata", fingerprint=print_of, items=[])) == (412, "conditionNotMet")
    with pytest.raises(asyncssh.PermissionDenied):
        await engine.ssh()
    engine.key = fresh
    async with await engine.ssh() as connection:
        assert (await connection.run("true")).exit_status == 0


def test_a_stopped_machine_may_become_a_spot_machine(engine: Engineer) -> None:
    engine.insert_running(scheduling=on_demand())
    assert reason(engine.act("setScheduling", **spot())) == (400, "badRequest")
    engine.well(engine.act("stop"))
    engine.well(engine.act("setScheduling", **spot()))
    assert engine.show()["scheduling"]["provisioningModel"] == "SPOT"


def test_the_serial_port_tells_what_the_start_script_printed(engine: Engineer) -> None:
    items = [*engine.wanted()["metadata"]["items"], {"key": "startup-script", "value": "echo ready"}]
    engine.insert_running(metadata={"items": items})
    path = f"/zones/{ZONE}/instances/job-e1/serialPort"
    until(lambda: engine.get(path)["contents"] == "ready\n")
    assert engine.get(path, start=2) | {"kind": ""} == {"kind": "", "contents": "ady\n", "start": "2", "next": "6"}
    engine.well(engine.act("stop"))
    assert engine.http.get(path).status_code == 400


# --- disks and snapshots -------------------------------------------------------------------------------------------


async def test_a_disk_that_is_kept_outlives_its_machine_and_boots_another(
    engine: Engineer, shared_market: RunningMarket
) -> None:
    engine.insert_running(disks=[boot_disk(auto_delete=False)])
    await write(engine, "hello")
    path = f"/zones/{ZONE}/disks/job-e1"
    assert reason(engine.http.delete(path)) == (400, "resourceInUseByAnotherResource")
    engine.well(engine.delete())
    assert "users" not in engine.get(path)
    with shared_market.control as control:
        assert [line for line in control.bill()["lines"] if line["until"] is None and line["label"] == "job-e1"]
    engine.insert_running("job-e2", disks=[{"boot": True, "autoDelete": True, "source": f"zones/{ZONE}/disks/job-e1"}])
    assert await read(engine, "job-e2") == "hello"
    with shared_market.control as control:
        assert not [line for line in control.bill()["lines"] if line["until"] is None and line["label"] == "job-e1"]
    engine.well(engine.delete("job-e2"))
    assert engine.http.get(path).status_code == 404


async def test_a_snapshot_of_a_running_machine_starts_one_in_another_region(engine: Engineer) -> None:
    engine.insert_running()
    await write(engine, "hello")
    made = engine.http.post(
        f"/zones/{ZONE}/disks/job-e1/createSnapshot", json={"name": "snap", "labels": {"holdfast": "job_e1"}}
    )
    assert engine.well(made)["operationType"] == "createSnapshot"
    until(lambda: engine.get("/global/snapshots/snap")["status"] == "READY")
    snapshot = engine.get("/global/snapshots/snap")
    assert int(snapshot["storageBytes"]) > 0
    assert (snapshot["diskSizeGb"], snapshot["storageLocations"]) == ("100", ["us-central1"])

    body = {"name": "restored", "sourceSnapshot": "global/snapshots/snap", "sizeGb": "100"}
    engine.well(engine.http.post(f"/zones/{ELSEWHERE}/disks", json=body))
    until(lambda: engine.get(f"/zones/{ELSEWHERE}/disks/restored")["status"] == "READY")
    source = {"boot": True, "autoDelete": True, "source": f"zones/{ELSEWHERE}/disks/restored"}
    engine.insert_running("job-e2", ELSEWHERE, disks=[source])
    assert await read(engine, "job-e2", ELSEWHERE) == "hello"

    engine.well(engine.http.delete("/global/snapshots/snap"))
    assert engine.http.get("/global/snapshots/snap").status_code == 404


async def test_a_machine_starts_from_a_snapshot_in_one_call(engine: Engineer) -> None:
    engine.insert_running()
    await write(engine, "hello")
    body = {"name": "snap", "sourceDisk": f"projects/holdfast-sim/zones/{ZONE}/disks/job-e1"}
    engine.well(engine.http.post("/global/snapshots", json=body))
    until(lambda: engine.get("/global/snapshots/snap")["status"] == "READY")
    disk = boot_disk(sourceImage=None, sourceSnapshot="global/snapshots/snap")
    engine.insert_running("job-e2", disks=[disk])
    assert await read(engine, "job-e2") == "hello"


def test_a_snapshot_goes_through_its_states(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path, providers={"gcp": {"operation": {"kind": "constant", "seconds": 4}}}) as market:
        engineer = Engineer(market, ssh_key)
        engineer.well(engineer.http.post(f"/zones/{ZONE}/disks", json={"name": "d", "sizeGb": "10"}))
        engineer.http.post(f"/zones/{ZONE}/disks/d/createSnapshot", json={"name": "snap"}).raise_for_status()
        seen: list[str] = []

        def ready() -> bool:
            status = engineer.get("/global/snapshots/snap")["status"]
            seen.extend([status] if status not in seen else [])
            return bool(status == "READY")

        early = engineer.http.post(f"/zones/{ZONE}/disks", json={"name": "e", "sourceSnapshot": "snap"})
        assert reason(early) == (400, "resourceNotReady")
        until(ready)
        assert seen == ["CREATING", "UPLOADING", "READY"]
        engineer.close()


def test_a_disk_that_is_copied_too_often_is_told_by_the_operation(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path, threshold_scale=1) as market:
        engineer = Engineer(market, ssh_key)
        engineer.well(engineer.http.post(f"/zones/{ZONE}/disks", json={"name": "d", "sizeGb": "10"}))

        def copy(number: int) -> Row:
            path, body = f"/zones/{ZONE}/disks/d/createSnapshot", {"name": f"snap-{number}"}
            return engineer.done(engineer.http.post(path, json=body))

        assert all("error" not in copy(number) for number in range(6))
        assert copy(6)["error"]["errors"][0]["code"] == "RESOURCE_OPERATION_RATE_EXCEEDED"
        assert engineer.http.get("/global/snapshots/snap-6").status_code == 404
        engineer.close()


def test_disks_grow_and_are_given_and_taken(engine: Engineer, shared_market: RunningMarket) -> None:
    engine.insert_running()
    body = {"name": "data", "sizeGb": "50", "type": f"zones/{ZONE}/diskTypes/pd-ssd", "labels": {"holdfast": "job_e1"}}
    engine.well(engine.http.post(f"/zones/{ZONE}/disks", json=body))
    assert reason(engine.http.post(f"/zones/{ZONE}/disks", json=body)) == (409, "alreadyExists")
    assert reason(engine.http.post(f"/zones/{ZONE}/disks/data/resize", json={"sizeGb": "40"})) == (400, "invalid")
    engine.well(engine.http.post(f"/zones/{ZONE}/disks/data/resize", json={"sizeGb": "60"}))
    until(lambda: engine.get(f"/zones/{ZONE}/disks/data")["status"] == "READY")
    engine.well(engine.act("attachDisk", source=f"zones/{ZONE}/disks/data", deviceName="data"))
    assert [disk["deviceName"] for disk in engine.show()["disks"]] == ["persistent-disk-0", "data"]
    with shared_market.control as control:
        rate = Decimal(control.instances()[0]["storage_rate"])
    assert rate == pytest.approx((100 * Decimal("0.10") + 60 * Decimal("0.17")) / 720)
    assert reason(engine.act("detachDisk?deviceName=persistent-disk-0")) == (400, "badRequest")
    engine.well(engine.act("detachDisk?deviceName=data"))
    found = engine.get(f"/zones/{ZONE}/disks", filter="labels.holdfast=job_e1")["items"]
    assert [disk["name"] for disk in found] == ["data"]


async def test_a_boot_disk_moves_from_one_stopped_machine_to_another(engine: Engineer) -> None:
    engine.insert_running()
    await write(engine, "hello")
    engine.well(engine.act("stop"))
    engine.well(engine.act("detachDisk?deviceName=persistent-disk-0"))
    assert reason(engine.act("start")) == (400, "badRequest")
    engine.insert_running("job-e2")
    engine.well(engine.act("stop", "job-e2"))
    engine.well(engine.act("detachDisk?deviceName=persistent-disk-0", "job-e2"))
    engine.well(engine.act("attachDisk", "job-e2", source=f"zones/{ZONE}/disks/job-e1", boot=True))
    engine.well(engine.act("start", "job-e2"))
    engine.until_status("RUNNING", "job-e2")
    assert await read(engine, "job-e2") == "hello"


def test_a_repeated_change_is_made_once(engine: Engineer) -> None:
    engine.insert_running()
    query = {"requestId": str(uuid.uuid4())}
    path = f"/zones/{ZONE}/disks/job-e1/createSnapshot"
    names = {engine.http.post(path, params=query, json={"name": "snap"}).json()["name"] for _ in range(2)}
    assert len(names) == 1
