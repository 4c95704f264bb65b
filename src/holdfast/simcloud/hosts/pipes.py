"""Carry the three streams of one command between its SSH channel and its pipes.

AsyncSSH can redirect a channel to an asyncio reader by itself, but loses the connection when back-pressure resumes such
a redirection while a read is pending; bulk data does that every time.
"""

import asyncio
import os
from contextlib import suppress

import asyncssh

from holdfast.simcloud.hosts.children import Streams

_PIECE = 256 * 1024


class Pipes:
    """The pipes of one command. Call ``converse`` once the command has inherited their far ends, or ``close``."""

    def __init__(self) -> None:
        far_in, self._stdin = os.pipe()
        self._stdout, far_out = os.pipe()
        self._stderr, far_err = os.pipe()
        self.far = Streams(stdin=far_in, stdout=far_out, stderr=far_err)

    async def converse(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """Carry all streams until the command has closed its outputs, or its client has gone.

        Then the near ends are closed: a command that still writes gets SIGPIPE, one that reads gets the end.
        """
        self._close_far()
        inward = asyncio.create_task(_carry_in(process.stdin, self._stdin))
        outward = asyncio.create_task(_carry_both(process, self._stdout, self._stderr))
        gone = asyncio.create_task(process.wait_closed())
        await asyncio.wait([outward, gone], return_when=asyncio.FIRST_COMPLETED)
        for task in (inward, outward, gone):
            task.cancel()
        await asyncio.gather(inward, outward, gone, return_exceptions=True)

    def close(self) -> None:
        """Close both ends of all pipes, for a command that did not start."""
        self._close_far()
        for end in (self._stdin, self._stdout, self._stderr):
            os.close(end)

    def _close_far(self) -> None:
        for end in (self.far.stdin, self.far.stdout, self.far.stderr):
            os.close(end)


async def _carry_both(process: "asyncssh.SSHServerProcess[bytes]", stdout: int, stderr: int) -> None:
    async with asyncio.TaskGroup() as streams:
        streams.create_task(_carry_out(stdout, process.stdout))
        streams.create_task(_carry_out(stderr, process.stderr))


async def _carry_out(pipe: int, channel: "asyncssh.SSHWriter[bytes]") -> None:
    reader = asyncio.StreamReader(limit=_PIECE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
    )
    try:
        with suppress(BrokenPipeError):  # the client has left
            while piece := await reader.read(_PIECE):
                channel.write(piece)
                await channel.drain()
    finally:
        transport.close()


async def _carry_in(channel: "asyncssh.SSHReader[bytes]", pipe: int) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(pipe, "wb", buffering=0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # the command does not care for more
            while piece := await channel.read(_PIECE):
                writer.write(piece)
                await writer.drain()
    finally:
        writer.close()
