"""Work under an agent's supervision, from start to exit code."""

import asyncio
import json
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.contracts.channel import AgentError
from holdfast.hosts.agent.processes import identify
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import WorkState
from tests.unit.hosts.machine import Machine, until
from tests.unit.hosts.orders import beat_when, order


async def test_work_runs_and_its_exit_code_arrives_with_a_heartbeat(channel: AgentChannel) -> None:
    await channel.call("start", order("exit 7"))
    beat = await beat_when(channel, WorkState.EXITED)
    assert (beat.exit_code, beat.epoch) == (7, 0)
    assert beat.started_at is not None and beat.ended_at is not None and beat.ended_at >= beat.started_at


async def test_a_killed_command_has_the_exit_code_a_shell_would_give_it(channel: AgentChannel) -> None:
    await channel.call("start", order("kill -KILL $$"))
    assert (await beat_when(channel, WorkState.EXITED)).exit_code == 137


async def test_work_runs_in_its_workspace_and_knows_who_it_is(channel: AgentChannel, machine: Machine) -> None:
    command = 'echo "$HOLDFAST_WORKLOAD $HOLDFAST_EPOCH $HOLDFAST_WORKSPACE $COLOUR" > who; pwd -P > where'
    await channel.call("start", order(command, workspace="deep/workspace", env={"COLOUR": "red"}))
    await beat_when(channel, WorkState.EXITED)
    workspace = machine.home / "deep/workspace"
    assert (workspace / "who").read_text() == f"train 3 {workspace} red\n"
    assert (workspace / "where").read_text().strip() == str(workspace.resolve())


async def test_a_repeated_start_finds_the_work_of_the_first(channel: AgentChannel, machine: Machine) -> None:
    started = [channel.call("start", order("echo once >> runs; sleep 1000")) for _ in range(3)]
    first, *others = await asyncio.gather(*started)
    assert first["pid"] is not None and others == [first, first]
    await until((machine.home / "workspace/runs").exists)
    assert (machine.home / "workspace/runs").read_text() == "once\n"


async def test_other_work_is_refused_while_work_runs_and_welcome_after_it(channel: AgentChannel) -> None:
    await channel.call("start", order("sleep 1000"))
    with pytest.raises(AgentError) as refusal:
        await channel.call("start", order("true", token="t2"))
    assert refusal.value.kind == "already_running"
    await channel.call("stop", {"grace_s": 5})
    await channel.call("start", order("exit 4", token="t2"))
    assert (await beat_when(channel, WorkState.EXITED)).exit_code == 4


async def test_setup_runs_before_the_command(channel: AgentChannel, machine: Machine) -> None:
    await channel.call("start", order("cat made-by-setup", setup="echo hello > made-by-setup"))
    assert (await beat_when(channel, WorkState.EXITED)).exit_code == 0
    assert (await channel.call("read_log", {"offset": 0}))["data"] == "hello\n"


async def test_a_failed_setup_is_told_with_the_end_of_its_log_and_starts_nothing(
    channel: AgentChannel, machine: Machine
) -> None:
    failing = order("touch never", setup="echo no such package; exit 3")
    for _ in range(2):  # a repeat finds the same answer
        with pytest.raises(AgentError, match="code 3:\nno such package") as failure:
            await channel.call("start", failing)
        assert failure.value.kind == "setup_failed"
    assert not (machine.home / "workspace/never").exists()
    assert (await beat_when(channel, WorkState.SETUP_FAILED)).exit_code == 3


async def test_a_command_that_no_machine_can_run_ends_as_a_shell_would_say_and_the_log_says_why(
    channel: AgentChannel,
) -> None:
    await channel.call("start", order("true #" + "x" * 200_000))
    assert (await beat_when(channel, WorkState.EXITED)).exit_code == 126
    assert "Argument list too long" in (await channel.call("read_log", {"offset": 0}))["data"]


async def test_a_start_without_a_command_is_a_bad_request(channel: AgentChannel) -> None:
    with pytest.raises(AgentError) as refusal:
        await channel.call("start", {"token": "t1", "epoch": 3, "workload": "train", "workspace": "w"})
    assert refusal.value.kind == "bad_request"


async def test_stop_lets_the_work_end_by_itself(channel: AgentChannel, machine: Machine) -> None:
    command = "trap 'echo saved > state; exit 0' TERM; touch ready; while :; do sleep 0.05; done"
    await channel.call("start", order(command))
    await until((machine.home / "workspace/ready").exists)
    stopped = await channel.call("stop", {"grace_s": 20})
    assert (stopped["state"], stopped["exit_code"]) == ("stopped", 0)
    assert (machine.home / "workspace/state").read_text() == "saved\n"


async def test_stop_kills_the_whole_tree_also_what_left_its_session(channel: AgentChannel, machine: Machine) -> None:
    stubborn = "trap '' TERM; (setsid sh -c 'echo $$ > far; exec sleep 1000' &) ; sleep 1000 & echo $! > near; wait"
    await channel.call("start", order(stubborn))
    pids = [machine.home / "workspace/near", machine.home / "workspace/far"]
    await until(lambda: all(path.exists() and path.read_text().strip() for path in pids))
    stopped = await channel.call("stop", {"grace_s": 0.2})
    assert stopped["state"] == "stopped"  # with which code is chance: its `wait` may see the others die before it does
    assert [identify(int(path.read_text())) for path in pids] == [None, None]
    assert await channel.call("stop", {"grace_s": 0.2}) == stopped


async def test_other_work_may_start_after_a_stop_and_the_stopped_is_not_started_again(channel: AgentChannel) -> None:
    await channel.call("start", order("sleep 1000"))
    stopped = await channel.call("stop", {"grace_s": 5})
    assert await channel.call("start", order("sleep 1000")) == stopped
    await channel.call("start", order("exit 4", token="t2"))
    assert (await beat_when(channel, WorkState.EXITED)).exit_code == 4


async def test_a_setup_that_was_stopped_has_not_failed(channel: AgentChannel, machine: Machine) -> None:
    starting = asyncio.create_task(channel.call("start", order("touch never", setup="touch ready; sleep 1000")))
    await until((machine.home / "workspace/ready").exists)
    assert (await channel.call("stop", {"grace_s": 5}))["state"] == "stopped"
    with pytest.raises(AgentError, match="setup was stopped") as failure:
        await starting
    assert failure.value.kind == "stopped"
    assert not (machine.home / "workspace/never").exists()


async def test_a_setup_that_ends_well_when_it_is_stopped_does_not_start_the_command(
    channel: AgentChannel, machine: Machine
) -> None:
    setup = "trap 'exit 0' TERM; touch ready; while :; do sleep 0.05; done"
    starting = asyncio.create_task(channel.call("start", order("touch never", setup=setup)))
    await until((machine.home / "workspace/ready").exists)
    assert (await channel.call("stop", {"grace_s": 20}))["state"] == "stopped"
    with pytest.raises(AgentError, match="setup was stopped"):
        await starting
    assert not (machine.home / "workspace/never").exists()


async def test_what_outlived_its_runner_and_its_shell_is_found_stopped_and_fenced(
    channel: AgentChannel, machine: Machine
) -> None:
    await channel.call("start", order("sleep 1000 & echo $! > child; wait"))
    child = machine.home / "workspace/child"
    await until(lambda: child.exists() and child.read_text().strip())
    record = json.loads((machine.home / ".holdfast/train.e3/work.json").read_text())
    for leader in (record["runner"], record["process"]):
        os.kill(leader[0], signal.SIGKILL)
        await until(lambda leader=leader: identify(leader[0]) is None)
    with pytest.raises(AgentError) as refusal:  # the two would write into one workspace
        await channel.call("start", order("true", token="t2"))
    assert refusal.value.kind == "already_running"
    assert (await channel.call("fence", {"epoch": 4}))["stopped"] is True
    assert identify(int(child.read_text())) is None


async def test_what_a_finished_command_left_behind_is_ended(channel: AgentChannel, machine: Machine) -> None:
    await channel.call("start", order("(setsid sleep 1000 > /dev/null 2>&1 &) ; exit 0"))
    await beat_when(channel, WorkState.EXITED)
    assert "sleep 1000" not in machine.command_lines().replace("\0", " ")


async def test_progress_travels_as_text_as_object_and_with_the_time_of_its_change(
    channel: AgentChannel,
) -> None:
    write = """echo '{"step": 120, "total": 400, "loss": 0.31}' > $HOLDFAST_PROGRESS_FILE"""
    await channel.call("start", order(f"{write}; sleep 1000"))
    async for beat in channel.heartbeats(timedelta(seconds=0.05)):
        if beat.progress:
            break
    assert beat.progress == "step 120/400 · loss 0.31"
    assert beat.progress_raw == {"step": 120, "total": 400, "loss": 0.31}
    assert beat.progress_at is not None and beat.started_at is not None
    assert beat.progress_at > beat.started_at - timedelta(seconds=1)  # a file's clock is some milliseconds coarse


async def test_the_log_is_read_by_offsets_that_only_grow(channel: AgentChannel) -> None:
    await channel.call("start", order("printf 'one\\n'; printf 'two\\n' >&2"))
    await beat_when(channel, WorkState.EXITED)
    whole = await channel.call("read_log", {"offset": 0})
    assert whole == {"offset": 0, "data": "one\ntwo\n", "size": 8}
    assert (await channel.call("read_log", {"offset": 4, "max_bytes": 2}))["data"] == "tw"
    assert (await channel.call("read_log", {"offset": 8}))["data"] == ""
    await channel.call("start", order("printf 'three\\n'", token="t2"))
    await until_log(channel, 14)
    assert (await channel.call("read_log", {"offset": 8}))["data"] == "three\n"


async def until_log(channel: AgentChannel, size: int) -> None:
    async for beat in channel.heartbeats(timedelta(seconds=0.05)):
        if beat.log_bytes >= size:
            return


async def test_a_secret_is_in_no_command_line_and_on_no_disk(
    channel: AgentChannel, machine: Machine, tmp_path: Path
) -> None:
    secret = "s3cr3t-" + os.urandom(8).hex()
    await channel.call("start", order('test -n "$TOKEN" && touch ready; sleep 1000', env={"TOKEN": secret}))
    await until((machine.home / "workspace/ready").exists)
    assert secret not in machine.command_lines()
    assert not any(secret in command for command in machine.commands)
    assert files_holding(tmp_path, b'"t1"') == ["work.json"]  # the search does find what is written down
    assert files_holding(tmp_path, secret.encode()) == []


def files_holding(folder: Path, words: bytes) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if words in path.read_bytes()]


async def test_a_hook_runs_in_the_works_folder_and_environment(channel: AgentChannel, machine: Machine) -> None:
    await channel.call("start", order("touch ready; sleep 1000", env={"COLOUR": "red"}))
    await until((machine.home / "workspace/ready").exists)
    found = await channel.call("hook", {"command": "ls; echo $COLOUR", "timeout_s": 20})
    assert found == {"output": "ready\nred\n"}
    with pytest.raises(AgentError, match="code 5") as failure:
        await channel.call("hook", {"command": "exit 5", "timeout_s": 20})
    assert failure.value.kind == "hook_failed"
    with pytest.raises(AgentError, match="ran longer"):
        await channel.call("hook", {"command": "sleep 1000", "timeout_s": 0.1})


async def test_a_hook_without_running_work_is_refused(channel: AgentChannel) -> None:
    with pytest.raises(AgentError) as refusal:
        await channel.call("hook", {"command": "true", "timeout_s": 1})
    assert refusal.value.kind == "not_running"


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_frozen_work_stands_still_until_thawed(channel: AgentChannel) -> None:
    pid = (await channel.call("start", order("exec sleep 1000")))["pid"]
    assert (await channel.call("freeze", {"for_s": 600}))["frozen"] == 1
    await until(lambda: is_stopped(pid))
    await channel.call("thaw", {})
    await until(lambda: not is_stopped(pid))


async def test_frozen_work_goes_on_by_itself_when_nobody_thaws_it(channel: AgentChannel) -> None:
    pid = (await channel.call("start", order("exec sleep 1000")))["pid"]
    await channel.call("freeze", {"for_s": 0.3})
    await channel.close()
    await until(lambda: not is_stopped(pid))


async def test_frozen_work_can_be_stopped_in_an_orderly_way(channel: AgentChannel, machine: Machine) -> None:
    await channel.call("start", order("trap 'exit 9' TERM; touch ready; while :; do sleep 0.05; done"))
    await until((machine.home / "workspace/ready").exists)
    await channel.call("freeze", {"for_s": 600})
    assert (await channel.call("stop", {"grace_s": 20}))["exit_code"] == 9
