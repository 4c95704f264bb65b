"""A workload's life at the command line, against a real server."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client

from holdfast.client.errors import InvalidState
from holdfast.client.holdfast import Holdfast
from holdfast.client.specs import read_spec
from holdfast.contracts import names
from holdfast.contracts.workload import Phase, WorkloadInput

from .conftest import SPEC, Run
from .standins import World


async def test_runs_a_spec_and_shows_it_in_ps(online: Run, spec: Path, name: str) -> None:
    started = await online("run", str(spec), "--json")
    assert (started.code, started.document["name"]) == (0, name), started.err
    assert started.document["cheapest"]["hourly"] == "0.31"
    for _ in range(100):  # the listing is a moment behind
        listed = await online("ps", "--json")
        if name in [line["name"] for line in listed.document]:
            break
    assert name in [line["name"] for line in listed.document]
    assert (await online("stop", name)).code == 0


async def test_refuses_a_name_that_is_running(online: Run, spec: Path, name: str) -> None:
    assert (await online("run", str(spec))).code == 0
    again = await online("run", str(spec))
    assert again.code == 12
    assert f"holdfast stop {name}" in again.err
    assert (await online("stop", name)).code == 0


async def test_shows_status_with_the_watch_s_last_heartbeat(online: Run, spec: Path, name: str) -> None:
    await online("run", str(spec))
    for _ in range(100):
        told = await online("status", name, "--json")
        if told.document["live"]:
            break
    assert told.document["status"]["phase"] == "running"
    assert told.document["live"]["progress"] == "step 42/100"
    people = await online("status", name)
    assert "1x RTX 4090 at vast in DE, $0.310/h" in people.out
    assert "step 42/100" in people.out
    await online("stop", name)


async def test_pauses_and_resumes(online: Run, spec: Path, name: str) -> None:
    await online("run", str(spec))
    assert (await online("pause", name, "--json")).document["phase"] == "paused"
    assert (await online("resume", name, "--json")).document["phase"] == "running"
    refused = await online("resume", name)
    assert refused.code == 10
    assert "cannot resume while running" in refused.err
    await online("stop", name)


async def test_fails_over_and_waits_for_the_next_machine(online: Run, spec: Path, name: str) -> None:
    await online("run", str(spec))
    moved = await online("failover", name, "--no-save", "--reason", "slow host", "--json")
    assert moved.code == 0
    assert moved.document["phase"] == "running"
    assert "slow host, unsaved" in moved.document["detail"]
    await online("stop", name)


async def test_saves_a_checkpoint_on_demand(online: Run, spec: Path, name: str) -> None:
    await online("run", str(spec))
    assert (await online("checkpoint", "save", name, "--json")).document["sequence"] == 4
    await online("stop", name)


async def test_an_ended_workload_takes_no_orders(online: Run, spec: Path, name: str) -> None:
    await online("run", str(spec))
    await online("stop", name)
    late = await online("pause", name)
    assert late.code == 10
    assert "has ended" in late.err


async def test_whoever_waits_for_a_workload_hears_that_it_was_ended_by_force(
    online: Run, holdfast: Holdfast, spec: Path, name: str, world: World
) -> None:
    await online("run", str(spec))
    world.recorded.add(name)
    assert (await holdfast.status(name)).status.phase is Phase.RUNNING
    waiting = asyncio.create_task(holdfast.settled(name, lambda _: False))
    await holdfast.temporal.get_workflow_handle(names.workload_id(name)).terminate()
    with pytest.raises(InvalidState, match="has ended \\(terminated\\)"):
        await waiting


async def test_a_run_that_was_ended_before_any_worker_had_it_is_told_by_its_record(
    online: Run, server: Client, name: str, world: World
) -> None:
    """Nobody serves the queue it waits on: there is no history that a query could be asked of."""
    given = WorkloadInput(spec=read_spec(SPEC.format(name=name)))
    lost = await server.start_workflow(names.WORKLOAD, given, id=names.workload_id(name), task_queue="nobody")
    await lost.terminate()
    assert (await online("status", name)).code == 4
    world.recorded.add(name)
    told = await online("status", name, "--json")
    assert (told.code, told.document["from_records"], told.document["run_id"]) == (0, True, lost.first_execution_run_id)


async def test_an_unknown_name_is_its_own_exit_code(online: Run, name: str) -> None:
    for command in (["status"], ["pause"], ["report"], ["why"], ["logs"], ["checkpoint", "ls"]):
        refused = await online(*command, name)
        assert refused.code == 4, (command, refused.err)
        assert refused.out == ""


async def test_answers_from_the_records_when_the_server_has_forgotten(online: Run, world: World, name: str) -> None:
    world.recorded.add(name)
    told = await online("status", name, "--json")
    assert (told.code, told.document["from_records"], told.document["status"]["phase"]) == (0, True, "finished")
