"""Jobs at the command line: what is printed, and what the exit code says."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from holdfast.cli.commands.job import bar_of
from holdfast.cli.errors import JOB_ENDS, OTHER_CODES
from holdfast.contracts import names
from holdfast.contracts.activities import Telemetry
from holdfast.contracts.jobs import JobCause, JobInput, JobPhase, JobSpec, JobStatus
from holdfast.contracts.spec import PriceSpec, WorkloadSpec
from holdfast.contracts.workload import StopRequest, WorkloadInput

from .conftest import Run
from .standins import NOON, World

JOB = """\
name: {name}
command: python train.py
price: {{max_hourly: 0.50}}
budget: 5
"""


@pytest.fixture
def job(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB.format(name=name))
    return path


def needs(job: Path, source: str) -> None:
    """The job has this input, and no other."""
    text = job.read_text().partition("inputs:")[0]
    job.write_text(f"{text}inputs:\n  - {{source: '{source}', at: x}}\n")


async def begun(server: Client, name: str) -> WorkflowHandle[Any, Any]:
    spec = JobSpec.model_validate({"name": name, "command": "true", "price": {"max_hourly": "1"}})
    return await server.start_workflow(
        names.JOB, JobInput(spec=spec), id=names.job_id(name), task_queue=names.CONTROL_QUEUE
    )


def test_every_cause_has_a_code_of_its_own_that_is_documented() -> None:
    assert JOB_ENDS.keys() == set(JobCause)
    assert len(set(JOB_ENDS.values())) == len(JOB_ENDS)
    assert all(code in OTHER_CODES for code in JOB_ENDS.values())


async def test_a_job_is_submitted_listed_and_cancelled(online: Run, job: Path, name: str) -> None:
    submitted = await online("job", "submit", str(job), "--json")
    assert (submitted.code, submitted.document["name"]) == (0, name), submitted.err
    again = await online("job", "submit", str(job))
    assert again.code == 12 and f"holdfast job cancel {name}" in again.err
    for _ in range(100):  # the listing is a moment behind
        listed = await online("job", "ls", "--json")
        if name in [each["name"] for each in listed.document]:
            break
    assert name in [each["name"] for each in listed.document]
    changed = await online("job", "budget", name, "9.50", "--json")
    assert changed.document["budget"] == "9.50"
    assert (await online("job", "budget", name, "much")).code == 2
    cancelled = await online("job", "cancel", name, "--no-save", "--json")
    assert (cancelled.document["phase"], cancelled.document["reason"]) == ("cancelled", "cancelled, unsaved")
    assert (await online("job", "cancel", name)).code == 10


@pytest.mark.parametrize("cause", JobCause)
async def test_waiting_ends_with_a_code_for_the_cause(online: Run, server: Client, name: str, cause: JobCause) -> None:
    handle = await begun(server, name)
    await handle.signal("end", args=[JobPhase.FAILED, cause])
    waited = await online("job", "wait", name, "--json")
    assert (waited.code, waited.document["cause"]) == (JOB_ENDS[cause], cause)


async def test_show_has_a_bar(online: Run, server: Client, name: str) -> None:
    await begun(server, name)
    price = PriceSpec(max_hourly=Decimal(1))
    workload = await server.start_workflow(
        names.WORKLOAD,
        WorkloadInput(spec=WorkloadSpec(name=f"{name}-a1", command="true", price=price)),
        id=names.workload_id(f"{name}-a1"),
        task_queue=names.CONTROL_QUEUE,
    )
    for _ in range(100):
        shown = await online("job", "show", name, "--json")
        if shown.document["live"]:
            break
    assert (shown.document["live"]["step"], shown.document["live"]["steps"]) == (42, 100)
    people = await online("job", "show", name)
    assert "[#############.................] 42/100, 42%" in people.out
    await workload.execute_update("stop", StopRequest())


def test_there_is_no_bar_without_a_goal() -> None:
    assert bar_of(None) is None
    assert bar_of(Telemetry(at=NOON, progress="step 4", step=4)) is None
    assert (bar_of(Telemetry(at=NOON, step=12, steps=10)) or "").startswith("[" + "#" * 30 + "] 12/10, 100%")


async def test_logs_go_on_from_a_cursor(online: Run, server: Client, world: World, name: str) -> None:
    await begun(server, name)
    assert (await online("job", "logs", name)).out == "", "its attempt has not begun"
    world.recorded.add(f"{name}-a1")
    whole = await online("job", "logs", name, "--tell-cursor")
    assert whole.out == "epoch 1\nepoch 2\nepoch 3\n"
    assert whole.err.strip() == "1/24"
    assert (await online("job", "logs", name, "--cursor", "1/16")).out == "epoch 3\n"
    assert (await online("job", "logs", name, "--tail", "1")).out == "epoch 3\n"


async def test_series_are_drawn_or_printed(
    online: Run, server: Client, world: World, name: str, tmp_path: Path
) -> None:
    await begun(server, name)
    none = await online("job", "plot", name)
    assert none.code == 2 and "HOLDFAST_METRICS_FILE" in none.err
    world.recorded.add(f"{name}-a1")
    world.series = "".join(f'{{"step": {step}, "loss": {1 / step}, "lr": 0.1}}\n' for step in range(1, 40))
    told = await online("job", "plot", name, "--series", "loss", "--json")
    assert [each["name"] for each in told.document] == ["loss"]
    assert told.document[0]["points"][1] == {"step": 2, "value": 0.5, "at": None, "attempt": 1, "epoch": 0}
    drawn = tmp_path / "loss.png"
    assert (await online("job", "plot", name, "--out", str(drawn))).code == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert (await online("job", "plot", name, "--out", str(tmp_path / "loss.txt"))).code == 2


async def test_an_array_has_a_job_for_each_value(online: Run, server: Client, job: Path, name: str) -> None:
    started = await online("job", "submit", str(job), "--each", "LR=1,2", "--each", "SEED=a,b", "--json")
    assert [each["name"] for each in started.document] == [f"{name}-{index}" for index in range(4)], started.err
    for index in range(4):
        shown = await online("job", "cancel", f"{name}-{index}", "--json")
        place = shown.document["place"]
        assert (place["index"], place["size"]) == (index, 4)
        assert shown.document["fairness_key"] == name
    assert (await online("job", "submit", str(job), "--each", "LR")).code == 2
    assert (await online("job", "submit", str(job), "--at-once", "2")).code == 2
    assert (await online("job", "submit", str(job), "--array", "2", "--follow")).code == 2


async def test_a_spec_with_mistakes_names_them(online: Run, tmp_path: Path, name: str) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(f"name: {name}\nprice: {{max_hourly: 1}}\ninputs:\n  - {{source: x, at: ../y}}\nretires: {{}}\n")
    refused = await online("job", "submit", str(bad))
    assert refused.code == 3
    assert "bad.yaml:4:" in refused.err and "retires: is not a field of a spec" in refused.err
    bad.write_text(f"name: {name}\nprice: {{max_hourly: 1}}\n")
    assert "give either command or script" in (await online("job", "submit", str(bad))).err


async def test_an_input_that_is_not_there_is_told_at_once(online: Run, job: Path) -> None:
    needs(job, "https://example.org/none.txt")
    refused = await online("job", "submit", str(job))
    assert refused.code == 27 and "is not there" in refused.err
    needs(job, "no/such/file")
    missing = await online("job", "submit", str(job))
    assert missing.code == 27 and "no/such/file" in missing.err


async def test_a_script_must_be_in_the_folder(online: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(f"name: {name}\nscript: train.py\nworkdir: .\nprice: {{max_hourly: 0.5}}\n")
    refused = await online("job", "submit", str(path))
    assert refused.code == 3 and "there is no train.py in workdir" in refused.err


async def test_one_that_the_server_has_forgotten_is_told_from_the_records(online: Run, world: World, name: str) -> None:
    unknown = await online("job", "show", name)
    assert unknown.code == 4 and "holdfast job ls --all" in unknown.err
    world.jobs = [
        JobStatus(
            name=name,
            phase=JobPhase.SUCCEEDED,
            reason="the command ended with code 0",
            since=NOON,
            submitted_at=NOON,
            tenant="default",
            priority=3,
            fairness_key=name,
            cause=JobCause.DONE,
        )
    ]
    shown = await online("job", "show", name, "--json")
    assert (shown.code, shown.document["status"]["phase"], shown.document["live"]) == (0, "succeeded", None)
    assert (await online("job", "wait", name)).code == 0
    assert (await online("job", "fetch", name, "out")).code == 15
    world.jobs.append(replace(world.jobs[0], name=f"{name}-lost", phase=JobPhase.RUNNING, cause=None))
    listed = {each["name"]: each for each in (await online("job", "ls", "--all", "--json")).document}
    assert listed[f"{name}-lost"]["reason"] == "it was ended by force"


async def test_a_job_that_is_over_can_be_forgotten(online: Run, server: Client, world: World, name: str) -> None:
    handle = await begun(server, name)
    refused = await online("job", "rm", name)
    assert refused.code == 10 and f"holdfast job cancel {name}" in refused.err
    await handle.signal("end", args=[JobPhase.FAILED, JobCause.CODE])
    await handle.result()
    removed = await online("job", "rm", name, "--json")
    assert removed.code == 0, removed.err
    assert removed.document == {"name": name, "attempts": [f"{name}-a1"], "checkpoints": 2, "log_pieces": 3}
    async with asyncio.timeout(120):  # the server forgets it in its own time
        while (shown := await online("job", "show", name)).code == 0:
            await asyncio.sleep(0.2)
    assert shown.code == 4
    assert (await online("job", "rm", name)).code == 4


async def test_a_queue_is_shown_and_limited(online: Run, name: str) -> None:
    shown = await online("job", "queue", "--tenant", name, "--json")
    assert (shown.document["at_once"], shown.document["running"]) == (16, [])
    limited = await online("job", "limit", "4", "--tenant", name, "--json")
    assert limited.document["at_once"] == 4
    assert (await online("job", "queue", "--tenant", name)).out.startswith(f"{name}: 0 of 4 run")
    assert (await online("job", "queue", "--tenant", "No Name")).code == 4


async def test_a_file_or_a_folder_is_pinned(online: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_text("x")
    file = await online("job", "pin", str(tmp_path / "data/a"))
    assert file.out.strip() == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    folder = await online("job", "pin", str(tmp_path / "data"), "--json")
    assert len(folder.document["sha256"]) == 64
    assert (await online("job", "pin", str(tmp_path / "none"))).code == 27
