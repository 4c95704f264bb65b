"""The gateway's side of a caller's connection: uvicorn's, which in addition notices who is slow and who has left.

An ASGI application learns that its caller has left only by reading on, which it must not do while it holds a request
whose body it has no room for.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_HEAD_WITHIN = 30.0  # seconds for the first line and the headers of a request
_LEFTOVERS_WITHIN = 2.0  # seconds for the rest of a body that was refused: who is cut at once may not see the answer


class Line:
    """What a request may do with its connection; it is in `scope["state"]["line"]`."""

    def __init__(self, protocol: "CallerProtocol") -> None:
        self._protocol = protocol
        self.lost = False
        self.on_lost: Callable[[], Any] | None = None

    def cut(self) -> None:
        """Hang up at once, in the middle of whatever is said."""
        self._protocol.cut()


class CallerProtocol(H11Protocol):
    """One connection of a caller."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._line = Line(self)
        self._timer: asyncio.TimerHandle | None = None
        super().__init__(config, server_state, {**app_state, "line": self._line}, _loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)
        self._line.lost = True
        if self._line.on_lost is not None:
            self._line.on_lost()

    def cut(self) -> None:
        """See `Line.cut`."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.abort()

    def _watch(self) -> None:
        """Bound the time that a caller may take for a head, and for the rest of a body that nobody wants."""
        answered = self.cycle is None or self.cycle.response_complete
        if answered and self.conn.their_state is h11.SEND_BODY:
            self._within(_LEFTOVERS_WITHIN)
        elif answered and (self.cycle is None or self.conn.trailing_data[0]):
            self._within(_HEAD_WITHIN)
        else:
            self._unwatch()

    def _within(self, seconds: float) -> None:
        if self._timer is None:  # each byte that trickles in would begin it anew
            self._timer = self.loop.call_later(seconds, self.cut)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _unsupported_upgrade_warning(self) -> None:
        """The gateway answers such a request itself."""
