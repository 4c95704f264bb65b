"""Bodies of requests: streamed as they come, or read whole where their model must be known first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from holdfast.workers.gateway.answers import Refusal, too_large, unavailable

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
MEGABYTE = 1_000_000


class CallerGone(Exception):
    """Nobody waits for an answer any more."""


class CallerSilent(Exception):
    """The caller stopped in the middle: `sends` or `reads`."""


class Room:
    """How many bytes of whole bodies this process may hold at a time."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Raises Refusal when there is no room."""
        if size > self._left:
            raise unavailable("gateway_full", "this gateway holds as many requests as it has room for", retry_after=1)
        self._left -= size

    def give_back(self, size: int) -> None:
        self._left += size


class Body:
    """What the replica is sent. `touched`: some of it was handed over, so that it may have had an effect."""

    def __init__(self, whole: bytes = b"") -> None:
        self.whole = whole
        self.size = len(whole)  # as far as it is known
        self.touched = False

    @property
    def may_be_repeated(self) -> bool:
        """Whether it can be sent once more."""
        return True

    @property
    def is_empty(self) -> bool:
        return not self.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.whole:
            self.touched = True
            yield self.whole


class StreamedBody(Body):
    """What the caller sends, as it comes."""

    def __init__(self, receive: Receive, *, limit_mb: float, patience: float) -> None:
        super().__init__()
        self.limit_mb = limit_mb
        self.patience = patience
        self._receive = receive
        self._ended = False

    @property
    def may_be_repeated(self) -> bool:
        return not self.touched

    @property
    def is_empty(self) -> bool:
        return False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.touched = True
        while not self._ended:
            if piece := await self._next():
                yield piece

    async def read_whole(self, room: Room) -> Body:
        """All of it; what it took of the `room` is to be given back by its length. Raises as reading does."""
        pieces: list[bytes] = []
        try:
            while not self._ended:
                piece = await self._next()
                room.take(len(piece))
                pieces.append(piece)
        except BaseException:
            room.give_back(sum(map(len, pieces)))
            raise
        return Body(b"".join(pieces))

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self.patience):
                message = await self._receive()
        except TimeoutError:
            raise CallerSilent("sends") from None
        if message["type"] != "http.request":
            raise CallerGone
        piece: bytes = message.get("body", b"")
        self._ended = not message.get("more_body", False)
        self.size += len(piece)
        if self.size > self.limit_mb * MEGABYTE:
            raise too_large(self.limit_mb)
        return piece


def declared_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Content-Length; 0 when the request has no body, None when it will tell at its end."""
    found = 0
    for name, value in headers:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            try:
                found = int(value)
            except ValueError:
                raise Refusal(400, "bad_content_length", "Content-Length is not a number") from None
    return found
