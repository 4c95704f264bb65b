"""The cable between the world and one host's SSH server: it can be cut, healed and made slow while in use.

Every accepted TCP connection is relayed to the SSH server through a socket pair. A cut link moves nothing and accepts
nothing, but closes nothing either: both ends see silence, as in a real partition, and all flows again when it heals.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from holdfast.simcloud.hosts.folder import Link

_PIECE = 256 * 1024
_SLOW_STEP = 0.05  # seconds of traffic a slow link passes at once

Serve = Callable[[socket.socket], Awaitable[None]]


class Cable:
    """Relay connections under the current state of the link."""

    def __init__(self, link: Link) -> None:
        self._whole = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.set(link)

    def set(self, link: Link) -> None:
        """Change the link for all connections, open ones included. Takes effect at the next piece of data."""
        self._rate = link.bytes_per_second
        if link.cut:
            self._whole.clear()
        else:
            self._whole.set()

    async def accept(self, listener: socket.socket, serve: Serve) -> None:
        """Accept connections for ever and hand the inner end of each to ``serve``."""
        loop = asyncio.get_running_loop()
        while True:
            outer, _ = await loop.sock_accept(listener)
            await self._whole.wait()
            outer.setblocking(False)
            outer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._carry(outer, serve))

    async def _carry(self, outer: socket.socket, serve: Serve) -> None:
        inner, served = socket.socketpair()
        inner.setblocking(False)
        self._start(self._serve_quietly(served, serve))
        with outer, inner:
            await asyncio.gather(self._pump(outer, inner), self._pump(inner, outer))

    async def _serve_quietly(self, served: socket.socket, serve: Serve) -> None:
        # A client that leaves during the handshake is its own business; the next one must still be served.
        with suppress(OSError):
            await serve(served)

    async def _pump(self, source: socket.socket, target: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # one side is gone; the other is told below
            while piece := await loop.sock_recv(source, self._piece()):
                await self._whole.wait()
                if self._rate is not None:
                    await asyncio.sleep(len(piece) / self._rate)
                await loop.sock_sendall(target, piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _piece(self) -> int:
        return _PIECE if self._rate is None else max(1, min(_PIECE, int(self._rate * _SLOW_STEP)))

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
