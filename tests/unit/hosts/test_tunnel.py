"""Connections to services on machines, through SSH."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import asyncssh
import httpcore
import pytest

from holdfast.contracts.machines import Lease, SshAddress
from holdfast.hosts.errors import HostKeyChanged, HostRefused, HostUnreachable
from holdfast.hosts.tunnel import Tunnels
from tests.unit.hosts.far import Far, run_far
from tests.unit.hosts.machine import until


@pytest.fixture
async def far(client_key: asyncssh.SSHKey) -> AsyncIterator[Far]:
    async with run_far(client_key) as running:
        yield running


@pytest.fixture
def there(lease: Lease, far: Far) -> Lease:
    return replace(lease, ssh=SshAddress(host="127.0.0.1", port=far.ssh_port), host_key=far.key_line())


@pytest.fixture
async def tunnels(client_key: asyncssh.SSHKey) -> AsyncIterator[Tunnels]:
    tunnels = Tunnels(client_key, connect_timeout=timedelta(seconds=20))
    yield tunnels
    await tunnels.close()


async def test_many_connections_share_one_login(tunnels: Tunnels, there: Lease, far: Far) -> None:
    wires = await asyncio.gather(*(tunnels.open(there, far.port) for _ in range(20)))
    for number, wire in enumerate(wires):
        await wire.write(b"hello %d" % number)
    for number, wire in enumerate(wires):
        assert await wire.read(100, timeout=20) == b"hello %d" % number
    assert len(far.logins) == 1


async def test_megabytes_pass_both_ways_whoever_is_slower(tunnels: Tunnels, there: Lease, far: Far) -> None:
    wire = await tunnels.open(there, far.port)
    size, piece = 12_000_000, b"x" * 100_000

    async def send() -> None:
        for _ in range(size // len(piece)):
            await wire.write(piece, timeout=20)

    sending = asyncio.create_task(send())
    heard = 0
    while heard < size:
        heard += len(await wire.read(10_000, timeout=20))
    await sending
    assert heard == size == wire.heard


async def test_a_service_that_hangs_up_is_the_end_of_the_stream(tunnels: Tunnels, there: Lease) -> None:
    async def bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    server = await asyncio.start_server(bye, "127.0.0.1", 0)
    async with server:
        wire = await tunnels.open(there, server.sockets[0].getsockname()[1])
        assert await wire.read(100, timeout=20) == b"bye"
        assert await wire.read(100, timeout=20) == b""
        assert wire.get_extra_info("is_readable")


async def test_silence_is_a_timeout_and_the_wire_lives_on(tunnels: Tunnels, there: Lease, far: Far) -> None:
    wire = await tunnels.open(there, far.port)
    with pytest.raises(httpcore.ReadTimeout):
        await wire.read(100, timeout=0.05)
    await wire.write(b"still here")
    assert await wire.read(100, timeout=20) == b"still here"


async def test_a_port_at_which_nothing_listens_is_said(tunnels: Tunnels, there: Lease, far: Far) -> None:
    with pytest.raises(HostUnreachable, match="nothing answers at port 1 of"):
        await tunnels.open(there, 1)
    wire = await tunnels.open(there, far.port)  # over the same connection
    await wire.write(b"x")
    assert await wire.read(1, timeout=20) == b"x"
    assert len(far.logins) == 1


async def test_a_lost_connection_ends_its_wires_and_is_opened_again(tunnels: Tunnels, there: Lease, far: Far) -> None:
    wire = await tunnels.open(there, far.port)
    far.logins[0].abort()
    with pytest.raises(httpcore.ReadError):
        await wire.read(100, timeout=20)
    with pytest.raises(httpcore.WriteError):
        await wire.write(b"x")
    again = await tunnels.open(there, far.port)
    await again.write(b"back")
    assert await again.read(100, timeout=20) == b"back"
    assert len(far.logins) == 2


async def test_another_key_than_the_pinned_one_is_sent_nothing(tunnels: Tunnels, there: Lease, far: Far) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(HostKeyChanged):
        await tunnels.open(replace(there, host_key=" ".join(other.split()[:2])), far.port)


async def test_a_machine_whose_key_was_never_pinned_is_sent_nothing(tunnels: Tunnels, there: Lease, far: Far) -> None:
    with pytest.raises(HostRefused, match="never pinned"):
        await tunnels.open(replace(there, host_key=""), far.port)
    assert not far.logins


async def test_a_machine_that_is_forgotten_and_soon_used_again_needs_no_new_login(
    tunnels: Tunnels, there: Lease, far: Far
) -> None:
    await tunnels.open(there, far.port)
    await tunnels.forget(there)
    wire = await tunnels.open(there, far.port)
    await wire.write(b"x")
    assert await wire.read(1, timeout=20) == b"x"
    assert len(far.logins) == 1


async def test_a_machine_that_stays_forgotten_is_hung_up_on(
    client_key: asyncssh.SSHKey, there: Lease, far: Far
) -> None:
    tunnels = Tunnels(client_key, connect_timeout=timedelta(seconds=20), kept=timedelta(seconds=0.05))
    wire = await tunnels.open(there, far.port)
    await tunnels.forget(there)
    await tunnels.forget(there)
    (slot,) = tunnels._slots.values()
    first = slot.ending
    await until(lambda: slot.ending is not first)  # it was looked at, and is used by somebody still
    await wire.write(b"x")
    assert await wire.read(1, timeout=20) == b"x"
    await wire.aclose()
    await until(far.logins[0].is_closed)
    assert not tunnels._slots
