"""The daemon outlives connections, and the work outlives the daemon."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import asyncssh
import pytest

from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.contracts.machines import Lease
from holdfast.hosts.agent.processes import identify
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import Heartbeat, WorkState
from holdfast.hosts.pool import HostPool
from tests.unit.hosts.machine import Machine, until
from tests.unit.hosts.orders import beat_when, order

QUICK = timedelta(seconds=0.05)


async def next_beat(channel: AgentChannel) -> Heartbeat:
    return await anext(channel.heartbeats(QUICK))


async def test_the_probe_tells_what_the_machine_is(channel: AgentChannel) -> None:
    probe = await channel.probe()
    assert probe.cpu_cores >= 1 and probe.memory_mb > 100 and probe.disk_free_mb > 0
    assert probe.python.startswith("3.") and probe.kernel and probe.is_root == (os.geteuid() == 0)


async def test_heartbeats_keep_coming_and_say_which_agent_beats(channel: AgentChannel) -> None:
    beats = channel.heartbeats(QUICK)
    first, second = await anext(beats), await anext(beats)
    assert second.at > first.at and second.agent_pid == first.agent_pid and first.state is WorkState.NONE
    assert first.memory_mb and first.disk_free_mb and first.lease_left is None


async def test_agent_and_work_survive_the_loss_of_the_connection(
    channel: AgentChannel, pool: HostPool, lease: Lease
) -> None:
    started = await channel.call("start", order("sleep 1000"))
    before = await next_beat(channel)
    await pool.drop(lease.label)
    async with pool.channel(lease, start=False) as again:
        after = await next_beat(again)
    assert (after.agent_pid, after.pid) == (before.agent_pid, started["pid"])


async def test_a_broken_connection_is_told_to_everybody_who_waits(channel: AgentChannel, machine: Machine) -> None:
    waiting = asyncio.create_task(channel.call("start", order("true", setup="sleep 1000")))
    beats = channel.heartbeats(QUICK)
    await anext(beats)
    os.kill((await next_beat(channel)).agent_pid, signal.SIGKILL)
    with pytest.raises(ChannelLost):
        await waiting
    with pytest.raises(ChannelLost):
        async for _ in beats:
            pass
    assert channel.closed
    with pytest.raises(ChannelLost):
        await channel.call("heartbeat", {})


async def test_a_killed_daemon_is_replaced_and_finds_the_work_and_later_its_exit_code(
    channel: AgentChannel, pool: HostPool, lease: Lease, machine: Machine
) -> None:
    started = await channel.call("start", order("while test ! -e go; do sleep 0.05; done; exit 6"))
    killed = (await next_beat(channel)).agent_pid
    os.kill(killed, signal.SIGKILL)
    await until(lambda: channel.closed)
    async with pool.channel(lease) as again:
        beat = await next_beat(again)
        assert beat.agent_pid != killed
        assert (beat.state, beat.pid) == (WorkState.RUNNING, started["pid"])
        assert (await again.call("start", order("exit 1")))["pid"] == started["pid"]
        (machine.home / "workspace/go").touch()
        assert (await beat_when(again, WorkState.EXITED)).exit_code == 6


async def test_a_killed_daemon_comes_back_without_us_as_long_as_work_runs(
    channel: AgentChannel, pool: HostPool, lease: Lease, machine: Machine
) -> None:
    started = await channel.call("start", order("sleep 1000"))
    killed = (await next_beat(channel)).agent_pid
    os.kill(killed, signal.SIGKILL)
    home = machine.home / ".holdfast/train.e3"
    await until(lambda: json.loads((home / "agent.json").read_text())["pid"] != killed)
    async with pool.channel(lease, start=False) as again:
        assert (await next_beat(again)).pid == started["pid"]
        stopped = await again.call("stop", {"grace_s": 5})  # which must not end the daemon that the work brought back
        assert stopped["state"] == "stopped"


async def test_an_exit_that_no_daemon_saw_is_known_to_the_next_one(
    channel: AgentChannel, pool: HostPool, lease: Lease, machine: Machine
) -> None:
    started = await channel.call("start", order("while test ! -e go; do sleep 0.05; done; exit 6"))
    os.kill((await next_beat(channel)).agent_pid, signal.SIGKILL)
    (machine.home / "workspace/go").touch()
    await until(lambda: identify(started["pid"]) is None and channel.closed)
    async with pool.channel(lease) as again:
        assert (await beat_when(again, WorkState.EXITED)).exit_code == 6


async def test_work_whose_runner_was_killed_too_has_ended_with_no_exit_code(
    channel: AgentChannel, pool: HostPool, lease: Lease, machine: Machine
) -> None:
    await channel.call("start", order("sleep 1000"))
    machine.kill_everything()
    await until(lambda: channel.closed)
    async with pool.channel(lease) as again:
        beat = await next_beat(again)
    assert (beat.state, beat.exit_code) == (WorkState.EXITED, None)


async def test_a_second_daemon_for_the_same_home_is_none(channel: AgentChannel, machine: Machine) -> None:
    before = (await next_beat(channel)).agent_pid
    program = next((machine.home / ".holdfast").glob("agent-*.pyz"))
    command = [sys.executable, str(program), "serve", "--home", str(machine.home / ".holdfast/train.e3")]
    done = await asyncio.to_thread(subprocess.run, command, timeout=20)
    assert done.returncode == 0
    assert (await next_beat(channel)).agent_pid == before and not channel.closed


async def test_two_connections_are_served_side_by_side(
    channel: AgentChannel, client_key: asyncssh.SSHKey, lease: Lease
) -> None:
    async with HostPool(client_key) as second_pool, second_pool.channel(lease) as second:
        await channel.call("start", order("sleep 1000"))
        assert (await next_beat(second)).state is WorkState.RUNNING
        await second.call("stop", {"grace_s": 5})
        assert (await next_beat(channel)).state is WorkState.STOPPED


async def test_megabytes_of_json_pass_in_both_directions(channel: AgentChannel) -> None:
    big = "x" * 8_000_000
    await channel.call("start", order("head -c 3000000 /dev/zero | tr '\\0' y", note=big))
    await beat_when(channel, WorkState.EXITED)
    answer, beat = await asyncio.gather(
        channel.call("read_log", {"offset": 0, "max_bytes": 4_000_000}), next_beat(channel)
    )
    assert answer["data"] == "y" * 3_000_000 and beat.log_bytes == 3_000_000


async def test_an_unknown_method_is_named(channel: AgentChannel) -> None:
    with pytest.raises(AgentError, match="'dance'") as refusal:
        await channel.call("dance", {})
    assert refusal.value.kind == "unknown_method"


async def test_a_fenced_epoch_is_refused_and_its_work_stopped(
    channel: AgentChannel, client_key: asyncssh.SSHKey, at_epoch: Callable[[int], Lease]
) -> None:
    await channel.call("start", order("sleep 1000"))
    async with HostPool(client_key) as newer, newer.channel(at_epoch(4)) as newest:
        assert await newest.call("fence", {"epoch": 4}) == {"epoch": 4, "stopped": True}
        assert await newest.call("fence", {"epoch": 2}) == {"epoch": 4, "stopped": False}
        assert (await next_beat(newest)).state is WorkState.STOPPED
    with pytest.raises(AgentError) as refusal:
        await channel.call("start", order("true", token="t2"))
    assert refusal.value.kind == "fenced"


async def test_the_fence_outlives_the_daemon(
    channel: AgentChannel, pool: HostPool, lease: Lease, machine: Machine
) -> None:
    await channel.call("fence", {"epoch": 9})
    machine.kill_everything()
    await until(lambda: channel.closed)
    with pytest.raises(AgentError) as refusal:
        async with pool.channel(lease):
            pass
    assert refusal.value.kind == "fenced"


async def test_work_whose_lease_nobody_renews_is_stopped(channel: AgentChannel) -> None:
    await channel.call("start", order("sleep 1000"))
    await channel.call("lease", {"for_s": 0.2, "grace_s": 5})
    beat = await beat_when(channel, WorkState.STOPPED)
    assert beat.exit_code == 143 and beat.deadman_at is not None
    with pytest.raises(AgentError) as refusal:
        await channel.call("renew", {"for_s": 60})
    assert refusal.value.kind == "deadman"


async def test_a_renewed_lease_lets_the_work_run_and_survives_the_daemon(
    channel: AgentChannel, pool: HostPool, lease: Lease
) -> None:
    await channel.call("start", order("sleep 1000"))
    await channel.call("lease", {"for_s": 30})
    await channel.call("renew", {"for_s": 5000})
    os.kill((await next_beat(channel)).agent_pid, signal.SIGKILL)
    await until(lambda: channel.closed)
    async with pool.channel(lease) as again:
        beat = await next_beat(again)
    assert beat.state is WorkState.RUNNING and beat.deadman_at is None
    assert beat.lease_left is not None and beat.lease_left > timedelta(seconds=1000)


async def test_a_machine_that_may_end_itself_does_when_its_lease_runs_out(
    machine: Machine, pool: HostPool, lease: Lease
) -> None:
    heard: list[tuple[str, str, str | None]] = []

    class Provider(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            heard.append((self.command, self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: object) -> None: ...

    machine.variables["CONTAINER_API_KEY"] = "key-of-this-machine"
    with HTTPServer(("127.0.0.1", 0), Provider) as provider:
        Thread(target=provider.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{provider.server_port}/api/v0/instances/1/"
        hook = {"url": url, "method": "DELETE", "token_env": "CONTAINER_API_KEY"}
        async with pool.channel(lease) as channel:
            await channel.call("lease", {"for_s": 0.1, "grace_s": 5, "self_destruct": hook})
            await until(lambda: heard)
        provider.shutdown()
    assert heard == [("DELETE", "/api/v0/instances/1/", "Bearer key-of-this-machine")]


async def test_work_that_may_finish_alone_is_not_stopped_and_its_machine_ends_after_it(
    machine: Machine, channel: AgentChannel
) -> None:
    heard: list[bool] = []
    done = machine.home / "done"

    class Provider(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            heard.append(done.exists())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Provider) as provider:
        Thread(target=provider.serve_forever, daemon=True).start()
        hook = {"url": f"http://127.0.0.1:{provider.server_port}/", "method": "DELETE", "token_env": "NO_KEY"}
        await channel.call("start", order("sleep 2; touch ~/done"))
        await channel.call("lease", {"for_s": 0.1, "finish_alone": True, "end_after_s": 0.5, "self_destruct": hook})
        await until(lambda: heard)
        provider.shutdown()
    beat = await next_beat(channel)
    assert (beat.state, beat.exit_code, beat.deadman_at) == (WorkState.EXITED, 0, None)
    assert heard == [True], "the machine ended after the work, once"


async def test_somebody_who_comes_back_in_time_keeps_the_machine(channel: AgentChannel) -> None:
    heard: list[str] = []

    class Provider(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            heard.append(self.path)

        def log_message(self, *_words: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Provider) as provider:
        Thread(target=provider.serve_forever, daemon=True).start()
        hook = {"url": f"http://127.0.0.1:{provider.server_port}/", "method": "DELETE", "token_env": "NO_KEY"}
        await channel.call("start", order("sleep 1000"))
        terms = {"grace_s": 5, "end_after_s": 8, "self_destruct": hook}
        await channel.call("lease", {"for_s": 0.1, **terms})
        while (await next_beat(channel)).state is not WorkState.STOPPED:
            assert not heard
        await channel.call("lease", {"for_s": 1000, **terms})
        await channel.call("start", order("sleep 9", token="again"))
        while (await next_beat(channel)).state is not WorkState.EXITED:
            pass
        provider.shutdown()
    assert not heard, "the moment has passed, and the machine is kept"
