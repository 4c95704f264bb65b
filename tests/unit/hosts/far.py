"""A machine with an SSH server that forwards, and a service at its loopback interface that says back what it hears."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncssh


class Forwarding(asyncssh.SSHServer):
    """A machine that forwards to its own loopback interface, as sshd does by default."""

    def __init__(self, logins: list[asyncssh.SSHServerConnection]) -> None:
        self._logins = logins

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._logins.append(conn)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return dest_host == "127.0.0.1"


class Far:
    """A machine with a service that says back what it hears."""

    def __init__(self) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.logins: list[asyncssh.SSHServerConnection] = []
        self.ssh_port = self.port = 0

    def key_line(self) -> str:
        return " ".join(self.host_key.export_public_key().decode().split()[:2])


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while heard := await reader.read(65_536):
            writer.write(heard)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def run_far(client_key: asyncssh.SSHKey) -> AsyncIterator[Far]:
    far = Far()
    trusted = asyncssh.import_authorized_keys(client_key.export_public_key().decode())
    sshd = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Forwarding(far.logins),
        server_host_keys=[far.host_key],
        authorized_client_keys=trusted,
    )
    service = await asyncio.start_server(_echo, "127.0.0.1", 0)
    far.ssh_port, far.port = sshd.get_port(), service.sockets[0].getsockname()[1]
    async with service:
        yield far
        sshd.close()
