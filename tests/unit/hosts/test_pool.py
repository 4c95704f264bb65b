"""One connection per lease and process."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncssh
import pytest

from holdfast.contracts.machines import Lease, SshAddress
from holdfast.hosts.errors import HostKeyChanged, HostUnreachable, NoAgent
from holdfast.hosts.pool import HostPool
from holdfast.simcloud.hosts.folder import Link
from holdfast.simcloud.hosts.link import Cable
from tests.unit.hosts.machine import Machine, until


async def test_users_of_one_lease_share_one_connection(pool: HostPool, lease: Lease, machine: Machine) -> None:
    async def use() -> object:
        async with pool.channel(lease) as channel:
            await channel.call("heartbeat", {})
            return channel

    assert len(set(await asyncio.gather(*(use() for _ in range(4))))) == 1
    assert len(machine.commands) == 1


async def test_a_lost_connection_is_opened_again(pool: HostPool, lease: Lease) -> None:
    async with pool.channel(lease) as first:
        pass
    (await pool.session(lease)).connection.abort()
    await until(lambda: first.closed)
    async with pool.channel(lease) as second:
        assert (await second.call("heartbeat", {}))["work"]["state"] == "none"


async def test_an_idle_connection_is_closed(client_key: asyncssh.SSHKey, lease: Lease) -> None:
    async with HostPool(client_key, idle=timedelta(seconds=0.1)) as pool:
        async with pool.channel(lease) as channel:
            pass
        await until(lambda: channel.closed)


async def test_leaving_the_pool_closes_everything(client_key: asyncssh.SSHKey, lease: Lease) -> None:
    async with HostPool(client_key) as pool, pool.channel(lease) as channel:
        pass
    assert channel.closed


async def test_a_pinned_key_is_held_to_also_when_a_connection_without_one_exists(pool: HostPool, lease: Lease) -> None:
    async with pool.channel(lease):
        pass
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    with pytest.raises(HostKeyChanged):
        async with pool.channel(replace(lease, host_key=stranger)):
            pass


async def test_a_lease_without_an_address_is_unreachable(pool: HostPool, lease: Lease) -> None:
    with pytest.raises(HostUnreachable):
        await pool.session(replace(lease, ssh=None))


async def test_looking_for_an_agent_does_not_start_one(pool: HostPool, lease: Lease) -> None:
    with pytest.raises(NoAgent):
        async with pool.channel(lease, start=False):
            pass


async def test_hanging_up_on_a_machine_that_is_cut_off_does_not_wait_for_it(
    pool: HostPool, lease: Lease, cable: tuple[Cable, SshAddress]
) -> None:
    link, address = cable
    async with pool.channel(replace(lease, ssh=address)) as channel:
        link.set(Link(cut=True))
        async with asyncio.timeout(8):  # well before the connection's own keepalives notice
            await pool.drop(lease.label)
    assert channel.closed
