"""Compute Engine in the simulated market when things go wrong: preemption, no capacity, quotas, tokens, dead hosts."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from holdfast.simcloud.control import SimControl, SimError
from holdfast.simcloud.model import Flaw
from tests.simmarket import RunningMarket, run_market
from tests.unit.simcloud.conftest import until
from tests.unit.simcloud.engine import ZONE, Engineer, on_demand, reason, spot

L4 = "PREEMPTIBLE_NVIDIA_L4_GPUS"
ASK = "curl -s -H 'Metadata-Flavor: Google' http://$GCE_METADATA_HOST/computeMetadata/v1"


@pytest.fixture
def engine(shared_market: RunningMarket, ssh_key: asyncssh.SSHKey) -> Iterator[Engineer]:
    """The project's owner on the shared market; everything is destroyed afterwards."""
    engineer = Engineer(shared_market, ssh_key)
    yield engineer
    with shared_market.control as control:
        control.clear_faults()
        control.destroy_all()
    engineer.close()


@pytest.fixture
def control(shared_market: RunningMarket) -> Iterator[SimControl]:
    with shared_market.control as found:
        yield found


# --- preemption ----------------------------------------------------------------------------------------------------


async def test_a_preempted_machine_learns_it_inside_and_stops(engine: Engineer, control: SimControl) -> None:
    engine.insert_running()
    before = len(engine.preemptions())
    async with await engine.ssh() as connection:
        assert (await connection.run(f"{ASK}/instance/preempted", check=True)).stdout == "FALSE"
        control.preempt("job.e1", notice=timedelta(hours=1))
        assert engine.status() == "STOPPING"
        assert (await connection.run(f"{ASK}/instance/preempted", check=True)).stdout == "TRUE"
    assert len(engine.preemptions()) == before + 1
    told = engine.preemptions()[-1]
    assert (told["status"], told["user"], told["targetId"]) == ("DONE", "system", engine.show()["id"])
    assert told["name"].startswith("systemevent-")
    engine.well(engine.act("stop"))
    assert engine.status() == "TERMINATED"


async def test_notice_ordered_ahead_comes_before_the_system_is_told(engine: Engineer, control: SimControl) -> None:
    engine.insert_running(scheduling=spot(preemptionNoticeDuration={"seconds": "120"}))
    async with await engine.ssh() as connection:
        known = f"etag=$({ASK}/instance/preempted -D - | sed -n 's/^ETag: //p' | tr -d '\\r'); echo ready"
        news = f"{ASK}/instance/preempted?wait_for_change=true\\&last_etag=$etag; echo"
        asked = await connection.create_process(f"{known}; {news}; sleep 60 & echo at work; wait")
        assert await asked.stdout.readline() == "ready\n"
        control.preempt("job.e1")
        assert await asked.stdout.readline() == "TRUE\n"
        assert await asked.stdout.readline() == "at work\n", "its programs are asked to end only after the notice"
        assert engine.status() == "RUNNING", "nobody outside is told before the window"
        asked.terminate()


async def test_the_system_is_asked_to_end_and_runs_its_last_script(engine: Engineer, control: SimControl) -> None:
    items = [*engine.wanted()["metadata"]["items"], {"key": "shutdown-script", "value": "echo last words > last"}]
    engine.insert_running(metadata={"items": items})
    async with await engine.ssh() as connection:
        script = "trap 'echo asked > asked; exit' TERM; echo ready; while :; do sleep 0.05; done"
        work = await connection.create_process(script)
        assert await work.stdout.readline() == "ready\n"
        control.preempt("job.e1", notice=timedelta(hours=1))
        await connection.run("while ! test -e asked || ! test -s last; do sleep 0.05; done", check=True)
        assert (await connection.run("cat asked last", check=True)).stdout == "asked\nlast words\n"


def test_after_the_window_the_machine_is_stopped_or_gone(engine: Engineer, control: SimControl) -> None:
    engine.insert_running()
    engine.insert_running("job-e2", labels={"holdfast": "job_e2"}, scheduling=spot(instanceTerminationAction="DELETE"))
    control.preempt("job", notice=timedelta(0))
    assert engine.status() == "TERMINATED"
    assert engine.http.get(f"/zones/{ZONE}/instances/job-e2").status_code == 404
    assert engine.http.get(f"/zones/{ZONE}/disks/job-e2").status_code == 404
    engine.well(engine.act("start"))
    engine.until_status("RUNNING")


def test_a_simulated_maintenance_event_preempts_a_spot_machine_only(engine: Engineer) -> None:
    engine.insert_running()
    engine.insert_running("firm", labels={}, scheduling=on_demand())
    engine.well(engine.act("simulateMaintenanceEvent", "firm"))
    engine.well(engine.act("simulateMaintenanceEvent"))
    assert (engine.status(), engine.status("firm")) == ("STOPPING", "RUNNING")


def test_a_machine_on_demand_is_not_preempted(engine: Engineer, control: SimControl) -> None:
    engine.insert_running(scheduling=on_demand())
    with pytest.raises(SimError, match="no Spot machine"):
        control.preempt("job.e1")


def test_levers_of_one_provider_are_not_there_for_another(engine: Engineer, control: SimControl) -> None:
    engine.insert_running()
    with pytest.raises(SimError, match="is not stopped"):
        control.disassociate("job.e1")
    with pytest.raises(SimError, match="no living instance"):
        control.preempt("nobody")


@pytest.mark.parametrize("lever", ["outbid", "take"])
def test_whoever_takes_a_spot_machine_preempts_it(engine: Engineer, control: SimControl, lever: str) -> None:
    engine.insert_running(zone="us-central1-c")
    getattr(control, lever)("job.e1")
    assert engine.status(zone="us-central1-c") in ("STOPPING", "TERMINATED")
    assert engine.preemptions("us-central1-c")[-1]["targetId"] == engine.show(zone="us-central1-c")["id"]
    control.release("job.e1")


# --- inside --------------------------------------------------------------------------------------------------------


async def test_the_metadata_server_tells_a_machine_about_itself(engine: Engineer) -> None:
    row = engine.insert_running()
    async with await engine.ssh() as connection:

        async def told(path: str, header: str = "-H 'Metadata-Flavor: Google'") -> str:
            command = f"curl -s -w ' %{{http_code}}' {header} http://$GCE_METADATA_HOST{path}"
            return str((await connection.run(command, check=True)).stdout)

        root = "/computeMetadata/v1"
        assert await told(f"{root}/instance/id") == f"{row['id']} 200"
        assert (await told(f"{root}/instance/zone")).endswith(f"/zones/{ZONE} 200")
        assert await told(f"{root}/project/project-id") == "holdfast-sim 200"
        assert "ssh-keys\n" in await told(f"{root}/instance/attributes/")
        assert (await told(f"{root}/instance/attributes")).endswith("301")
        assert await told(f"{root}/instance/nothing") == "Not Found\n 404"
        assert (await told(f"{root}/instance/id", header="")).endswith("403")
        assert '"preempted": "FALSE"' in await told(f"{root}/instance/?recursive=true")
        assert (await told(f"{root}/instance/id?wait_for_change=true\\&timeout_sec=0")).endswith("200")


# --- capacity, quotas, tokens, zones -------------------------------------------------------------------------------


def test_a_zone_without_capacity_refuses_inside_the_operation(engine: Engineer, control: SimControl) -> None:
    assert control.set_capacity(ZONE, kind="g2-standard-4", available=1) == 2
    engine.insert_running()
    assert "error" in engine.done(engine.order(name="job-e2"))
    engine.well(engine.act("stop"))
    control.set_capacity(ZONE, available=0)
    assert engine.done(engine.act("start"))["httpErrorStatusCode"] == 503
    control.set_capacity(ZONE)
    engine.well(engine.act("start"))
    with pytest.raises(SimError, match="there is no zone"):
        control.set_capacity("mars-1")


def test_capacity_that_is_taken_for_a_while_comes_back(engine: Engineer, control: SimControl) -> None:
    control.set_capacity(ZONE, available=0, lasting=timedelta(seconds=0.2))
    until(lambda: "error" not in engine.done(engine.order()))


def test_a_quota_is_told_by_the_call_or_by_the_operation(engine: Engineer, control: SimControl) -> None:
    control.set_quota(L4, 0)
    assert reason(engine.order()) == (403, "quotaExceeded")
    control.set_quota(L4, 0, region="us-central1", late=True)
    failed = engine.done(engine.order())
    (error,) = failed["error"]["errors"]
    assert (error["code"], failed["httpErrorStatusCode"]) == ("QUOTA_EXCEEDED", 403)
    assert error["errorDetails"][0]["quotaInfo"]["dimensions"] == {"region": "us-central1"}
    control.set_quota(L4, None)
    control.set_quota(L4, None, region="us-central1")
    engine.insert_running()
    with pytest.raises(SimError, match="no quota is called"):
        control.set_quota("PATIENCE", 1)


def test_a_token_that_has_run_out_is_refused_and_a_fresh_one_is_not(engine: Engineer, control: SimControl) -> None:
    control.expire_tokens()
    assert reason(engine.http.get(engine.url)) == (401, "authError")
    engine.log_in()
    assert engine.project()["name"] == "holdfast-sim"


def test_a_zone_that_does_not_answer_makes_lists_partial(engine: Engineer, control: SimControl) -> None:
    engine.insert_running()
    control.set_unreachable(ZONE)
    try:
        found = engine.get("/aggregated/instances", returnPartialSuccess="true")["items"]
        assert found[f"zones/{ZONE}"]["warning"]["code"] == "UNREACHABLE"
        assert reason(engine.http.get("/aggregated/instances")) == (503, "backendError")
        assert engine.http.get(f"/zones/{ZONE}/instances/job-e1").status_code == 503
    finally:
        control.set_unreachable(ZONE, unreachable=False)
    assert engine.status() == "RUNNING"


def test_too_many_calls_in_a_minute_are_refused(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path, threshold_scale=1) as market:
        engineer = Engineer(market, ssh_key)
        body = {"sourceDisk": "zones/mars/disks/x", "name": "snap"}
        answers = [engineer.http.post("/global/snapshots", json=body) for _ in range(376)]
        assert reason(answers[-2]) == (404, "notFound")
        assert reason(answers[-1]) == (403, "rateLimitExceeded")
        engineer.close()


# --- dead hosts ----------------------------------------------------------------------------------------------------


def host_errors(engine: Engineer) -> int:
    query = 'operationType="compute.instances.hostError"'
    return len(engine.get(f"/zones/{ZONE}/operations", filter=query).get("items", []))


def test_a_machine_whose_host_dies_is_stopped_and_said_so(engine: Engineer, control: SimControl) -> None:
    engine.insert_running()
    before = host_errors(engine)
    control.kill("job.e1")
    engine.until_status("TERMINATED")
    assert host_errors(engine) == before + 1


def test_a_machine_that_asked_for_it_is_started_again(engine: Engineer, control: SimControl) -> None:
    first = engine.insert_running(scheduling=on_demand(automaticRestart=True))
    control.kill("job.e1")
    until(lambda: engine.show()["lastStartTimestamp"] > first["lastStartTimestamp"])
    engine.until_status("RUNNING")


def test_a_machine_that_never_comes_up_runs_all_the_same(engine: Engineer, control: SimControl) -> None:
    slots = [offer["slot"] for offer in control.offers() if offer["provider"] == "gcp" and offer["region"] == ZONE]
    for slot in slots:
        control.set_flaw(slot, Flaw.NEVER_BOOTS)
    try:
        engine.insert()
        assert engine.status() == "RUNNING"
        engine.well(engine.delete())
    finally:
        for slot in slots:
            control.set_flaw(slot, None)
