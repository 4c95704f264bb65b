from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncssh
import pytest

from holdfast.contracts.machines import Lease, SshAddress, Terms
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.pool import HostPool
from holdfast.simcloud.hosts.link import Cable
from tests.unit.hosts.distance import behind_a_cable
from tests.unit.hosts.machine import Machine


@pytest.fixture(scope="session")
def client_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
async def machine(tmp_path: Path, client_key: asyncssh.SSHKey) -> AsyncIterator[Machine]:
    home = tmp_path / "home"
    home.mkdir()
    machine = Machine(home, client_key)
    yield machine
    await machine.halt()
    machine.kill_everything()


@pytest.fixture
async def address(machine: Machine) -> SshAddress:
    return await machine.boot()


@pytest.fixture
def lease(address: SshAddress) -> Lease:
    return Lease(
        workload="train",
        epoch=3,
        label="train.e3",
        provider="test",
        instance_id="1",
        machine_id="1",
        gpu="none",
        gpu_count=0,
        terms=Terms.ON_DEMAND,
        hourly=Decimal(0),
        since=datetime.now(UTC),
        ssh=address,
    )


@pytest.fixture
async def pool(client_key: asyncssh.SSHKey) -> AsyncIterator[HostPool]:
    async with HostPool(client_key, connect_timeout=timedelta(seconds=20)) as pool:
        yield pool


@pytest.fixture
async def cable(address: SshAddress) -> AsyncIterator[tuple[Cable, SshAddress]]:
    async with behind_a_cable(address) as laid:
        yield laid


@pytest.fixture
async def channel(pool: HostPool, lease: Lease) -> AsyncIterator[AgentChannel]:
    async with pool.channel(lease) as channel:
        yield channel


@pytest.fixture
def at_epoch(lease: Lease) -> Callable[[int], Lease]:
    return lambda epoch: replace(lease, epoch=epoch)
