"""The way to a machine and to its agent: who is trusted, what is sent, what each refusal is called."""

import socket
from datetime import timedelta

import asyncssh
import pytest

from holdfast.contracts.machines import SshAddress
from holdfast.hosts.agent_bundle import agent_bundle
from holdfast.hosts.errors import HostKeyChanged, HostRefused, HostUnreachable, LoginRefused, NoAgent
from holdfast.hosts.session import HostSession, open_session
from tests.unit.hosts.machine import Machine, until

PATIENCE = timedelta(seconds=20)


async def login(address: SshAddress, key: asyncssh.SSHKey, host_key: str | None = None) -> HostSession:
    return await open_session(address, private_key=key, host_key=host_key, connect_timeout=PATIENCE)


async def test_first_contact_tells_the_host_key_and_the_next_one_holds_it_to_it(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    first = await login(address, client_key)
    assert first.host_key == machine.host_key.export_public_key().decode().rstrip()
    await first.close()
    second = await login(address, client_key, first.host_key)
    assert second.host_key == first.host_key
    await second.close()


async def test_another_host_key_at_the_same_address_is_refused(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    first = await login(address, client_key)
    await first.close()
    await machine.halt()
    machine.host_key = asyncssh.generate_private_key("ssh-ed25519")
    await machine.boot(address.port)
    with pytest.raises(HostKeyChanged):
        await login(address, client_key, first.host_key)


async def test_a_host_key_of_another_kind_is_a_changed_key_too(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    first = await login(address, client_key)
    await first.close()
    await machine.halt()
    machine.host_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    await machine.boot(address.port)
    with pytest.raises(HostKeyChanged):
        await login(address, client_key, first.host_key)


async def test_a_machine_that_does_not_know_our_key_refuses_the_login(address: SshAddress) -> None:
    with pytest.raises(LoginRefused):
        await login(address, asyncssh.generate_private_key("ssh-ed25519"))


async def test_a_closed_port_is_unreachable(client_key: asyncssh.SSHKey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(HostUnreachable):
        await login(SshAddress(host="127.0.0.1", port=port), client_key)


async def test_a_machine_that_accepts_and_says_nothing_is_unreachable(client_key: asyncssh.SSHKey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(HostUnreachable):
        await open_session(
            SshAddress(host="127.0.0.1", port=server.getsockname()[1]),
            private_key=client_key,
            host_key=None,
            connect_timeout=timedelta(seconds=0.3),
        )


async def reach(address: SshAddress, key: asyncssh.SSHKey, *, start: bool = True) -> None:
    session = await login(address, key)
    try:
        process = await session.reach_agent("train.e3", start=start, within=PATIENCE)
        process.close()
    finally:
        await session.close()


async def test_the_agent_is_sent_once_and_kept_private(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    await reach(address, client_key)
    assert machine.received >= len(agent_bundle().data)
    machine.received = 0
    await reach(address, client_key)
    assert machine.received == 0
    folder = machine.home / ".holdfast"
    assert (folder / agent_bundle().name).read_bytes() == agent_bundle().data
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "train.e3")] == ["0o700", "0o700"]


async def test_an_agent_that_was_to_be_found_only_is_neither_sent_nor_started(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    with pytest.raises(NoAgent):
        await reach(address, client_key, start=False)
    assert machine.received == 0
    await until(lambda: not machine.processes())


async def test_an_agent_that_ran_once_and_is_dead_is_not_found(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    await reach(address, client_key)
    await reach(address, client_key, start=False)
    machine.kill_everything()
    with pytest.raises(NoAgent):
        await reach(address, client_key, start=False)


async def test_a_machine_without_a_usable_python_is_refused(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    # Every python that the search might find is an old one.
    machine.greeting = "".join(f"{name}() {{ return 1; }}; " for name in ("python", "python3"))
    machine.path = str(machine.home)
    with pytest.raises(HostRefused, match=r"Python 3\.8"):
        await reach(address, client_key)


async def test_what_a_login_prints_before_the_agent_speaks_is_passed_over(
    address: SshAddress, client_key: asyncssh.SSHKey, machine: Machine
) -> None:
    machine.greeting = 'echo Welcome; echo \'{"have": "fun"}\'; '
    await reach(address, client_key)
