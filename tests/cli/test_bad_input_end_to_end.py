"""Bad input against the real stack: a clear error with a remedy and its own exit code, nothing rented, nothing lost."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.embedded import start_time

from .embedded import Stack, taken_port, until

NAMED = ["status", "logs", "report", "why", "stop", "pause", "resume", "failover"]
ON_CHECKPOINTS = ["save", "ls", "verify"]
EVERY_QUESTION = [[each, "x"] for each in NAMED] + [["checkpoint", each, "x"] for each in ON_CHECKPOINTS]
WITH_JSON = [line for line in EVERY_QUESTION if line[0] != "logs"]


@pytest.fixture
def nowhere(tmp_path: Path) -> Stack:
    """A data directory where no stack ever ran, and an address where nobody listens."""
    return Stack(tmp_path / "data", {"TEMPORAL_ADDRESS": "127.0.0.1:1"})


# --- the spec ------------------------------------------------------------------------------------------------------


def test_a_wrong_spec_is_refused_with_every_mistake_at_its_line_and_column(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: Bad_Name\ncommand: ''\npricee: 1\nprice:\n  max_hourly: cheap\ncheckpoint: {every: 10, keep: 0}\n"
    )
    refused = stack("run", str(path), "--json")
    assert (refused.code, refused.out) == (3, "")
    assert [line.removeprefix("error: ").split(" ")[:2] for line in refused.err.splitlines()[:-1]] == [
        [f"{path}:1:1:", "name:"],
        [f"{path}:2:1:", "command:"],
        [f"{path}:3:1:", "pricee:"],
        [f"{path}:5:3:", "price.max_hourly:"],
        [f"{path}:6:14:", "checkpoint.every:"],
        [f"{path}:6:25:", "checkpoint.keep:"],
    ]
    assert "lower-case letters" in refused.err
    assert "hint: correct the spec" in refused.err


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        (b"", 3, "must be a mapping of fields"),
        (b"a: [b\n c: }", 3, ":2:3: YAML:"),
        (b"a: b\nc: \0", 3, ":2:4: YAML: the character U+0000 is not allowed"),
        (b"\xff\xfe\x00", 2, "is not text in UTF-8"),
    ],
)
def test_what_is_no_spec_at_all_is_told_with_its_place(
    stack: Stack, tmp_path: Path, text: bytes, code: int, told: str
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(text)
    refused = stack("run", str(path))
    assert refused.code == code
    assert told in refused.err
    assert "Traceback" not in refused.err


def test_a_spec_or_workdir_that_is_not_there_is_a_usage_error(stack: Stack, tmp_path: Path) -> None:
    missing = stack("run", str(tmp_path / "none.yaml"))
    assert (missing.code, "No such file or directory" in missing.err) == (2, True)
    assert stack("run", str(tmp_path)).code == 2
    refused = stack("run", stack.spec("no-folder", more="workdir: nowhere\n"))
    assert (refused.code, "is not a folder" in refused.err) == (2, True)


def test_the_home_of_nobody_is_no_workdir(stack: Stack) -> None:
    refused = stack("run", stack.spec("homeless", more="workdir: ~nobody-of-this-name/x\n"))
    assert (refused.code, "hint: correct workdir" in refused.err) == (2, True)


def test_a_workdir_of_links_in_circles_is_saved_once(stack: Stack) -> None:
    folder = stack.home.parent / "circle"
    folder.mkdir()
    (folder / "self").symlink_to(".")
    (folder / "file").write_text("x")
    os.mkfifo(folder / "pipe")
    started = stack("run", stack.spec("circle", more="workdir: circle\n"))
    assert started.code == 0
    assert "checkpoint zero: 1 file, 1 B" in started.err
    assert stack("stop", "circle", "--no-save").code == 0


@pytest.mark.skipif(shutil.which("setpriv") is None and os.geteuid() == 0, reason="root reads everything")
def test_a_workdir_that_cannot_be_read_starts_nothing(stack: Stack) -> None:
    folder = stack.home.parent / "locked"
    folder.mkdir()
    (folder / "secret").write_text("x")
    (folder / "secret").chmod(0)
    refused = stack.unprivileged("run", stack.spec("locked", more="workdir: locked\n"))
    assert refused.code == 1
    assert "secret" in refused.err
    assert stack("status", "locked").code == 4


def test_a_secret_that_nobody_has_is_missed_before_anything_is_rented(stack: Stack) -> None:
    refused = stack("run", stack.spec("secretive", more="environment: {TOKEN: {secret: nobody_has_it}}\n"))
    assert refused.code == 6
    assert "no secret called nobody_has_it" in refused.err
    assert "hint: put its value into a file" in refused.err
    assert stack("status", "secretive").code == 4


def test_a_setup_that_fails_ends_the_workload_after_two_machines(stack: Stack) -> None:
    ended = stack("run", stack.spec("crooked", more="setup: exit 4\n"), "--follow")
    assert ended.code == 1
    assert "setup ended with code 4" in ended.err
    until(lambda: stack("sim", "instances", "--json").document == [])
    assert len([line for line in stack.labels_billed() if line.startswith("crooked.")]) == 2


# --- names, prices, providers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", WITH_JSON, ids=" ".join)
def test_an_unknown_workload_has_its_own_exit_code_and_no_answer(stack: Stack, line: list[str]) -> None:
    refused = stack(*line, "--json")
    assert (refused.code, refused.out) == (4, "")
    assert "there is no workload 'x'" in refused.err
    assert "hint: `holdfast ps --all`" in refused.err


def test_an_unknown_workload_has_no_log_and_nothing_to_restore(stack: Stack, tmp_path: Path) -> None:
    assert stack("logs", "x").code == 4
    assert stack("checkpoint", "restore", "x", "--to", str(tmp_path / "new")).code == 4
    assert not (tmp_path / "new").exists()
    assert stack("status", "No such/../name").code == 4
    for line in (["status"], ["report"], ["stop"], ["logs"], ["checkpoint", "save"]):
        refused = stack(*line, "n" * 600)
        assert (refused.code, len(refused.err.splitlines())) == (4, 2), line


def test_what_is_left_out_of_the_offers_is_shown_with_its_reason(stack: Stack) -> None:
    line = ["offers", "--gpu", "RTX 4090", "--max-price", "0.18", "--rejected"]
    cheapest = stack("offers", "--gpu", "RTX 4090", "--json").document[0]
    assert stack("machines", "ban", "vast", cheapest["machine_id"], "--for", "1h", "--reason", "slow disk").code == 0
    found = {each["machine_id"]: each["reason"] for each in stack(*line, "--json").document}
    assert found[cheapest["machine_id"]].endswith("slow disk")
    assert any("is above the limit of $0.18/h" in reason for reason in found.values())
    assert "WHY NOT" in stack(*line).out
    assert [each["machine_id"] for each in stack("machines", "ls", "--banned", "--json").document] == [
        cheapest["machine_id"]
    ]
    assert stack("machines", "unban", "vast", cheapest["machine_id"]).code == 0
    assert stack("machines", "ls", "--banned", "--json").document == []
    refused = stack("machines", "history", "vast", "no such machine")
    assert (refused.code, "hint: `holdfast machines ls`" in refused.err) == (4, True)


def test_no_offer_under_the_limit_names_the_nearest_and_rents_nothing(stack: Stack) -> None:
    refused = stack("run", stack.spec("dear", limit="0.01"), "--json")
    assert (refused.code, refused.out) == (5, "")
    assert "the cheapest above it: 1x " in refused.err
    assert "hint: raise price.max_hourly to " in refused.err
    assert stack("status", "dear").code == 4
    assert not any(label.startswith("dear.") for label in stack.labels_billed())


def test_a_gpu_that_nobody_has_is_answered_with_those_there_are(stack: Stack) -> None:
    refused = stack("run", stack.spec("odd-gpu", more="resources: {gpu: RTX 9090}\n"))
    assert refused.code == 5
    assert "'RTX 9090'" in refused.err
    assert "there are: " in refused.err and "RTX 4090" in refused.err


def test_a_provider_that_nobody_serves_is_told_by_its_name(stack: Stack) -> None:
    for line in (["run", stack.spec("elsewhere", more="providers: [aws]\n")], ["offers", "--provider", "aws"]):
        refused = stack(*line)
        assert refused.code == 18
        assert "no provider 'aws'" in refused.err and "here: gcp, tensordock, vast" in refused.err


def test_a_wrong_key_is_not_taken_for_something_that_is_not_there(stack: Stack, tmp_path: Path) -> None:
    """The provider answers 404 to a wrong key; a second stack asks the first one's market with such a key."""
    other = Stack(
        tmp_path / "data",
        {
            "HOLDFAST_PROVIDERS__VAST__API_KEY": "wrong",
            "HOLDFAST_PROVIDERS__VAST__BASE_URL": stack.state()["settings"]["market_url"],
        },
    )
    try:
        assert other("up", "--detach", "--port", "auto").code == 0
        for line in (["run", other.spec("keyless")], ["offers"]):
            refused = other(*line)
            assert (refused.code, refused.out) == (6, "")
            assert "refused the API key" in refused.err
            assert "hint: check the settings HOLDFAST_PROVIDERS__VAST__*" in refused.err
        assert other("status", "keyless").code == 4
    finally:
        assert other("down").code == 0
    assert not any(label.startswith("keyless.") for label in stack.labels_billed())


# --- the workload's state ------------------------------------------------------------------------------------------


def test_orders_that_do_not_fit_the_state_change_nothing(stack: Stack) -> None:
    stack.runs("steady")
    again = stack("run", stack.spec("steady"))
    assert (again.code, "already running" in again.err) == (12, True)
    refused = stack("resume", "steady", "--json")
    assert (refused.code, refused.out) == (10, "")
    assert "hint: `holdfast status steady` shows what it is doing" in refused.err
    assert stack("pause", "steady").code == 0
    for order in (["pause", "steady"], ["failover", "steady"], ["checkpoint", "save", "steady"]):
        assert stack(*order).code == 10, order
    assert stack("stop", "steady").code == 0
    for order in (["stop", "steady"], ["pause", "steady"]):
        over = stack(*order)
        assert (over.code, "has ended" in over.err) == (10, True)


def test_the_work_s_own_failure_is_told_with_its_exit_code(stack: Stack) -> None:
    ended = stack("run", stack.spec("sad", command="echo last words; exit 3"), "--follow")
    assert (ended.code, ended.out) == (1, "last words\n")
    assert "error: the command ended with code 3" in ended.err
    assert "holdfast status sad" in ended.err
    assert stack.phase("sad") == "failed"


def test_ctrl_c_ends_the_watching_and_not_the_work(stack: Stack) -> None:
    command = "while :; do echo alive; sleep 0.2; done"
    for argv in (["run", stack.spec("watched", command=command), "--follow"], ["logs", "watched", "--follow"]):
        watching = stack.start(*argv)
        assert watching.stdout is not None and watching.stdout.readline() == "alive\n"
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
        assert watching.returncode == 130
        assert "watched goes on; `holdfast logs watched --follow`" in err
        assert stack.phase("watched") == "running"
    assert stack("stop", "watched", "--no-save").code == 0


def test_a_workload_that_was_terminated_by_hand_does_not_pass_for_running(stack: Stack) -> None:
    stack.runs("cut-off")
    stack.terminate("cut-off")
    told = stack("status", "cut-off")
    assert "state       terminated; its last word: running" in told.out
    ((left, label),) = stack.alive("cut-off").items()
    assert f"what may still bill: vast {left} ({label}); `holdfast run` under the same name lets go" in told.err
    document = stack("status", "cut-off", "--json").document
    assert (document["ended_by_force"], document["left_behind"]) == ("terminated", [f"vast {left} ({label})"])
    swept = stack("sweep", "--dry-run", "--json")
    assert swept.code == 0, swept.err
    (finding,) = (finding for each in swept.document for finding in each["findings"])
    assert (finding["instance_id"], finding["ruling"], finding["known"]) == (str(left), "wait", "abandoned")
    assert "no run of its workload is left" in stack("sweep", "--dry-run").out
    refused = stack("stop", "cut-off")
    assert (refused.code, "has ended (terminated)" in refused.err) == (10, True)
    assert "hint: `holdfast status cut-off` tells which machine of it may still cost money" in refused.err
    stack.runs("cut-off")
    until(lambda: left not in stack.alive("cut-off"))
    stack.terminate("cut-off", forget=True)
    until(lambda: stack("status", "cut-off", "--json").document["ended_by_force"] == "forgotten")
    told = stack("status", "cut-off")
    assert "forgotten: Temporal no longer knows it" in told.out
    assert "what may still bill: vast " in told.err
    for line in (["logs", "cut-off"], ["report", "cut-off"]):
        assert stack(*line).code == 0, line
    for line in (["stop"], ["pause"], ["checkpoint", "save"]):
        refused = stack(*line, "cut-off")
        assert (refused.code, "has ended (forgotten)" in refused.err) == (10, True), line
    stack.runs("cut-off")
    assert stack("stop", "cut-off", "--no-save").code == 0
    assert not [label for label in stack.labels_alive() if label.startswith("cut-off.")]


# --- servers that are away -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [["ps"], ["offers"], ["worker"], *EVERY_QUESTION], ids=" ".join)
def test_no_temporal_server_is_its_own_exit_code_for_every_command(nowhere: Stack, line: list[str]) -> None:
    refused = nowhere(*line)
    assert (refused.code, refused.out) == (8, "")
    assert "no Temporal server answers at 127.0.0.1:1: Connection refused" in refused.err
    assert "hint: run `holdfast up`" in refused.err


def test_a_store_that_hangs_is_told_and_nothing_starts_until_it_is_back(stack: Stack, tmp_path: Path) -> None:
    (stack.home.parent / "code").mkdir()
    (stack.home.parent / "code" / "train.py").write_text("print('hello')\n")
    spec = stack.spec("stored", more="workdir: code\n")
    with stack.frozen("store"):
        refused = stack("run", spec, "--json")
        assert (refused.code, refused.out) == (7, "")
        assert "the store did not answer within" in refused.err
        assert "hint: `holdfast doctor` probes the store" in refused.err
        assert stack("status", "stored").code == 4
    assert stack("run", spec).code == 0
    assert stack("checkpoint", "verify", "stored").code == 0
    assert stack("checkpoint", "ls", "stored", "--json").document[0]["verified_at"] is not None
    refused = stack("checkpoint", "restore", "stored", "--to", "/proc/x")
    assert (refused.code, "hint: give a folder on this computer that you may write to" in refused.err) == (2, True)
    restored = stack("checkpoint", "restore", "stored", "--to", str(tmp_path / "back"), "--sequence", "0")
    assert "1 file, 15 B restored to" in restored.err
    assert stack("stop", "stored", "--no-save").code == 0


def test_a_store_that_hangs_is_the_doctor_s_finding_and_not_his_end(stack: Stack) -> None:
    with stack.frozen("store"):
        told = stack("doctor", "--json")
    assert told.code == 1
    found = {each["what"]: each for each in told.document}
    assert "the store did not answer within" in found["store"]["detail"]
    assert (found["clock"]["verdict"], found["clock"]["remedy"]) == ("warn", "see the check of the store")
    assert found["workers"]["verdict"] == "ok"


def test_a_save_tells_what_it_waits_for_and_ctrl_c_leaves_it_under_way(stack: Stack) -> None:
    stack.runs("saved", command="while :; do echo alive; sleep 0.2; done", more="checkpoint: {every: 1d}\n")
    with stack.frozen("store"):
        saving = stack.start("checkpoint", "save", "saved")
        assert saving.stderr is not None
        assert saving.stderr.readline() == "still saving saved; Ctrl-C leaves the save under way\n"
        told = saving.stderr.readline()
        assert told.startswith("the store does not answer: ") and "(attempt 2); still trying" in told
        assert "saving      attempt " in stack("status", "saved").out
        trouble = stack("status", "saved", "--json").document["save_trouble"]
        assert trouble["attempt"] >= 2 and "the store does not answer" in trouble["reason"]
        saving.send_signal(signal.SIGINT)
        out, err = saving.communicate(timeout=60)
        assert (saving.returncode, out) == (130, "")
        assert "saving saved goes on; `holdfast status saved`" in err
    until(lambda: stack("checkpoint", "ls", "saved", "--json").document != [])
    assert stack("status", "saved", "--json").document["save_trouble"] is None
    with stack.frozen("store"):
        stopping = stack.start("stop", "saved")
        until(lambda: stack.phase("saved") == "stopping")
        stopping.send_signal(signal.SIGINT)
        _, err = stopping.communicate(timeout=60)
        assert (stopping.returncode, "stopping saved goes on; `holdfast status saved`" in err) == (130, True)
    until(lambda: stack.phase("saved") == "stopped")


def test_workers_that_hang_are_told_and_lose_nothing(stack: Stack) -> None:
    stack.runs("patient")
    with stack.frozen("worker-1"):
        refused = stack("status", "patient")
        assert (refused.code, refused.out) == (11, ""), refused.err
        assert "hint: start one with `holdfast worker" in refused.err
        assert stack("ps", "--json").document[0]["name"] == "patient"
    until(lambda: stack("status", "patient").code == 0)
    assert stack("stop", "patient", "--no-save").code == 0


# --- the stack itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["temporal", "ui", "s3", "market"])
def test_a_taken_port_is_named_with_who_wants_it_and_nothing_is_left_running(tmp_path: Path, part: str) -> None:
    fresh = Stack(tmp_path / "data")
    with taken_port() as port:
        refused = fresh("up", "--detach", "--port", "auto", "--port", f"{part}={port}")
    assert (refused.code, refused.out) == (9, "")
    assert f"port {port} is taken" in refused.err
    assert f"`--port {part}=NUMBER`" in refused.err
    assert not (fresh.home / "stack.json").exists()
    assert fresh("down").code == 0


def test_a_data_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    refused = Stack(Path("/proc/nope"))("up", "--port", "auto")
    assert (refused.code, refused.out) == (20, "")
    assert "the data directory /proc/nope cannot be used" in refused.err
    assert "hint: choose another one with --data-dir" in refused.err
    (tmp_path / "file").touch()
    for line in (["up"], ["down"], ["ps"], ["status", "x"], ["sim", "instances"]):
        refused = Stack(tmp_path / "file")(*line)
        assert (refused.code, refused.out) == (78, ""), line
        assert "is a file; choose another with --data-dir" in refused.err


@pytest.mark.parametrize("line", [["up", "--detach", "--port", "auto"], ["demo"]], ids=" ".join)
def test_ctrl_c_while_a_stack_starts_leaves_nothing_running(tmp_path: Path, line: list[str]) -> None:
    fresh = Stack(tmp_path / "data")
    starting = fresh.start(*line, "--data-dir", str(fresh.home))
    until(lambda: (fresh.home / "stack.json").exists() and fresh.state()["processes"] != {})
    started = [each["pid"] for each in fresh.state()["processes"].values()]
    starting.send_signal(signal.SIGINT)
    _, err = starting.communicate(timeout=120)
    assert (starting.returncode, "Traceback" in err) == (130, False), err
    assert fresh.state()["phase"] == "stopped"
    assert not [pid for pid in started if start_time(pid)]


def test_one_port_for_two_servers_is_refused(tmp_path: Path) -> None:
    refused = Stack(tmp_path / "data")("up", "--port", "auto", "--port", "temporal=31999", "--port", "ui=31999")
    assert (refused.code, "asked for twice" in refused.err) == (9, True)


def test_a_second_up_is_told_where_the_first_runs(stack: Stack) -> None:
    refused = stack("up", "--detach", "--port", "auto")
    assert (refused.code, str(stack.home) in refused.err) == (12, True)
    assert stack("ps").code == 0


def test_down_where_nothing_runs_is_no_error(nowhere: Stack) -> None:
    assert [nowhere("down").code, nowhere("down").code] == [0, 0]


def test_settings_from_outside_do_not_hide_a_dead_server(stack: Stack) -> None:
    lost = replace(stack, extra={"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert lost("ps").code == 8
