"""Carry the three streams of one command between its SSH channel and its pipes.

AsyncSSH can redirect a channel to an asyncio reader by itself, but loses the connection when back-pressure resumes such
a redirection while a read is pending; bulk data does that every time.
"""

import asyncio
import os
from asyncio import subprocess
from contextlib import suppress

import asyncssh

_PIECE = 256 * 1024


class OutputPipe:
    """A pipe whose write end becomes a command's stdout or stderr."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()

    async def carry_to(self, channel: "asyncssh.SSHWriter[bytes]") -> None:
        """Copy until the pipe's end or the channel's; then the read end is closed, so that a writer gets SIGPIPE.

        Call it once, after the command has inherited the write end.
        """
        os.close(self.write_end)
        reader = asyncio.StreamReader(limit=_PIECE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(self._read_end, "rb", buffering=0)
        )
        try:
            with suppress(BrokenPipeError):  # the client has left
                while piece := await reader.read(_PIECE):
                    channel.write(piece)
                    await channel.drain()
        finally:
            transport.close()

    def discard(self) -> None:
        """Close both ends of a pipe that no command came to use."""
        os.close(self.write_end)
        os.close(self._read_end)


async def carry_input(channel: "asyncssh.SSHReader[bytes]", command: subprocess.Process) -> None:
    """Copy what the client sends into the command's stdin, then close it."""
    assert command.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # the command does not care for more
        while piece := await channel.read(_PIECE):
            command.stdin.write(piece)
            await command.stdin.drain()
    command.stdin.close()


async def converse(
    process: "asyncssh.SSHServerProcess[bytes]", command: subprocess.Process, *outputs: OutputPipe
) -> None:
    """Carry all streams until the command has closed its outputs, or its client has gone."""
    stdout, stderr = outputs
    inward = asyncio.create_task(carry_input(process.stdin, command))
    outward = asyncio.create_task(_carry_outputs(process, stdout, stderr))
    gone = asyncio.create_task(process.wait_closed())
    await asyncio.wait([outward, gone], return_when=asyncio.FIRST_COMPLETED)
    for task in (inward, outward, gone):
        task.cancel()
    await asyncio.gather(inward, outward, gone, return_exceptions=True)
    assert command.stdin is not None
    command.stdin.close()


async def _carry_outputs(process: "asyncssh.SSHServerProcess[bytes]", stdout: OutputPipe, stderr: OutputPipe) -> None:
    async with asyncio.TaskGroup() as streams:
        streams.create_task(stdout.carry_to(process.stdout))
        streams.create_task(stderr.carry_to(process.stderr))
