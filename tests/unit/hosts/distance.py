"""Distance between us and a machine: a line on which everything arrives later, and one that can be cut."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from holdfast.contracts.machines import SshAddress
from holdfast.simcloud.hosts.folder import Link
from holdfast.simcloud.hosts.link import Cable
from holdfast.simcloud.hosts.sshd import listen

_Piece = tuple[float, bytes]


@asynccontextmanager
async def far_away(address: SshAddress, *, round_trip: float) -> AsyncIterator[SshAddress]:
    """Another address of the machine, from which each answer takes `round_trip` seconds, that of the handshake too."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(round_trip)
        far_reader, far_writer = await asyncio.open_connection(address.host, address.port)
        ways = (_carry(reader, far_writer, round_trip / 2), _carry(far_reader, writer, round_trip / 2))
        await asyncio.gather(*ways)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield replace(address, port=server.sockets[0].getsockname()[1])


@asynccontextmanager
async def behind_a_cable(address: SshAddress) -> AsyncIterator[tuple[Cable, SshAddress]]:
    """Another address of the machine, behind a line that can be cut; nothing is refused then, all is silent."""
    near, link = listen("127.0.0.1", 0), Cable(Link())

    async def serve(sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        far_reader, far_writer = await asyncio.open_connection(address.host, address.port)
        await asyncio.gather(_carry(reader, far_writer, 0), _carry(far_reader, writer, 0))

    accepting = asyncio.create_task(link.accept(near, serve))
    yield link, replace(address, port=near.getsockname()[1])
    accepting.cancel()
    link.set(Link())
    near.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, takes: float) -> None:
    on_the_way: asyncio.Queue[_Piece] = asyncio.Queue()
    arriving = asyncio.create_task(_arrive(on_the_way, writer))
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while piece := await reader.read(65_536):
            on_the_way.put_nowait((loop.time() + takes, piece))
    on_the_way.put_nowait((loop.time() + takes, b""))
    await arriving


async def _arrive(on_the_way: asyncio.Queue[_Piece], writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while True:
        at, piece = await on_the_way.get()
        await asyncio.sleep(at - loop.time())
        if not piece:
            writer.close()
            return
        writer.write(piece)
