"""A stream of bytes as httpcore reads and writes it, over a channel of an SSH connection or over TCP.

Both kinds of transport call the same methods of their protocol, so one class serves both. It is the protocol itself:
a reader's and a writer's objects on top of it, with a lock and a task switch each, cost more than the bytes do.
"""

import asyncio
from typing import Any, Protocol

import asyncssh
import httpcore

from holdfast.contracts.machines import Lease
from holdfast.hosts.errors import HostUnreachable

_ENOUGH = 256 * 1024  # bytes received and not yet read, above which the sender is slowed down


class Transport(Protocol):
    """What an asyncio transport and an SSH channel have in common."""

    def write(self, data: bytes) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Wire(asyncssh.SSHTCPSession[bytes], asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection. `read` and `write` are for one task at a time each."""

    def __init__(self) -> None:
        self.heard = 0
        """Bytes that ever came in."""
        self.closed = False
        self._received = bytearray()
        self._ended = False
        self._lost = False
        self._read_paused = False
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = False
        self._transport: Transport | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come in, `b""` at the end. Raises httpcore's ReadTimeout, ReadError."""
        if not self._received and not self._ended:
            self._readable = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._readable
            except TimeoutError as late:
                raise httpcore.ReadTimeout(f"nothing was received for {timeout:g} s") from late
            finally:
                self._readable = None
        if not self._received and self._lost:
            raise httpcore.ReadError("the connection was lost")
        taken = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if self._read_paused and len(self._received) < _ENOUGH // 2 and self._transport is not None:
            self._read_paused = False
            self._transport.resume_reading()
        return taken

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand over bytes, and wait while too many are under way. Raises httpcore's WriteTimeout, WriteError."""
        if self._lost or self._transport is None:
            raise httpcore.WriteError("the connection was lost")
        try:
            self._transport.write(buffer)
        except OSError as error:  # an SSH channel that was closed by the other side
            raise httpcore.WriteError(str(error)) from error
        if self._write_paused:
            await self._drain(timeout)

    async def aclose(self) -> None:
        """Hang up at once; what was not yet sent is dropped. Idempotent."""
        self._ended = self._lost = self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: between two requests that means that the other side has closed, or says what nobody asked."""
        return bool(self._received or self._ended) if info == "is_readable" else None

    async def _drain(self, timeout: float | None) -> None:
        self._writable = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._writable
        except TimeoutError as late:
            raise httpcore.WriteTimeout(f"nothing could be sent for {timeout:g} s") from late
        finally:
            self._writable = None
        if self._lost:
            raise httpcore.WriteError("the connection was lost")

    # What transports call.

    def connection_made(self, chan: Any) -> None:
        self._transport = chan

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        self._received += data
        self.heard += len(data)
        if len(self._received) > _ENOUGH and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()
        _settle(self._readable)

    def eof_received(self) -> bool:
        self._ended = True
        _settle(self._readable)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._lost = self._lost or exc is not None or not self._ended
        self._ended = True
        self._write_paused = False
        _settle(self._readable)
        _settle(self._writable)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        _settle(self._writable)


def _settle(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def open_tcp(host: str, port: int) -> Wire:
    """A plain connection. Raises OSError."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
    return wire


class Straight:
    """The way to services on this computer itself, without a tunnel: for measurements and tests."""

    async def open(self, lease: Lease, port: int) -> Wire:
        """A connection to 127.0.0.1:`port`. Raises HostUnreachable."""
        try:
            return await open_tcp("127.0.0.1", port)
        except OSError as error:
            raise HostUnreachable(f"nothing answers at port {port}: {error}") from error

    async def forget(self, lease: Lease) -> None:
        """There is nothing to forget."""
