"""A machine whose disk is full still says what became of the work, and still stops it."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from holdfast.contracts.channel import AgentError
from holdfast.contracts.machines import Lease
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import WorkState
from holdfast.hosts.pool import HostPool
from tests.tiny_disk import FILL, fill, tiny_disk
from tests.unit.hosts.machine import Machine, until
from tests.unit.hosts.orders import beat_when, order


@pytest.fixture
async def machine(tmp_path: Path, client_key: asyncssh.SSHKey) -> AsyncIterator[Machine]:
    with tiny_disk(tmp_path / "home") as home:
        machine = Machine(home, client_key)
        yield machine
        await machine.halt()
        machine.kill_everything()


def fill_up(machine: Machine) -> Path:
    """Leave no room at all, not even the agent's reserve; returns the file that can be removed again."""
    (machine.home / ".holdfast/train.e3/reserve").unlink(missing_ok=True)
    return fill(machine.home)


async def test_a_setup_that_fails_because_it_filled_the_disk_has_failed(channel: AgentChannel) -> None:
    with pytest.raises(AgentError, match="code 9") as failure:
        await channel.call("start", order("true", setup=f"{FILL}; exit 9"))
    assert failure.value.kind == "setup_failed"


async def test_work_on_a_full_disk_is_known_and_can_be_stopped(channel: AgentChannel, machine: Machine) -> None:
    started = await channel.call("start", order("sleep 1000", setup=f"{FILL}; true"))
    assert started["state"] == "running"
    assert (await channel.call("stop", {"grace_s": 5}))["state"] == "stopped"
    assert "sleep" not in machine.command_lines()


async def test_nothing_is_started_that_could_not_be_written_down(channel: AgentChannel, machine: Machine) -> None:
    await channel.call("heartbeat", {})
    filling = fill_up(machine)
    with pytest.raises(AgentError, match="No space left") as failure:
        await channel.call("start", order("touch never; sleep 1000"))
    assert failure.value.kind == "disk_full"
    assert not (machine.home / "workspace/never").exists() and "sleep" not in machine.command_lines()
    filling.unlink()
    assert (await channel.call("start", order("sleep 1000")))["state"] == "running"


async def test_an_end_that_finds_no_room_is_told_when_there_is_some(channel: AgentChannel, machine: Machine) -> None:
    await channel.call("start", order("while test ! -e go; do sleep 0.05; done; exit 6"))
    (machine.home / "workspace/go").touch()
    filling = fill_up(machine)
    await until(lambda: "sleep" not in machine.command_lines())
    filling.unlink()
    assert (await beat_when(channel, WorkState.EXITED)).exit_code == 6


@pytest.mark.long
async def test_a_fence_on_a_full_disk_stops_the_work_at_once_and_is_written_by_the_repeat(
    channel: AgentChannel, client_key: asyncssh.SSHKey, at_epoch: Callable[[int], Lease], machine: Machine
) -> None:
    await channel.call("start", order("sleep 1000"))
    async with HostPool(client_key) as newer, newer.channel(at_epoch(4)) as newest:
        filling = fill_up(machine)
        with pytest.raises(AgentError) as failure:
            await newest.call("fence", {"epoch": 4})
        assert failure.value.kind == "disk_full"
        assert "sleep" not in machine.command_lines()
        with pytest.raises(AgentError, match="fenced off by epoch 4"):
            await channel.call("heartbeat", {})
        filling.unlink()
        assert (await newest.call("fence", {"epoch": 4}))["epoch"] == 4
    assert json.loads((machine.home / ".holdfast/train.e3/fence.json").read_text()) == {"epoch": 4}
