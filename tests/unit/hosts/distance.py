"""Distance between us and a machine: everything arrives later, in both directions, the handshake of TCP included."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from holdfast.contracts.machines import SshAddress

_Piece = tuple[float, bytes]


@asynccontextmanager
async def far_away(address: SshAddress, *, round_trip: float) -> AsyncIterator[SshAddress]:
    """Another address of the machine, from which an answer takes `round_trip` seconds."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(round_trip)
        far_reader, far_writer = await asyncio.open_connection(address.host, address.port)
        ways = (_carry(reader, far_writer, round_trip / 2), _carry(far_reader, writer, round_trip / 2))
        await asyncio.gather(*ways)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield replace(address, port=server.sockets[0].getsockname()[1])


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
