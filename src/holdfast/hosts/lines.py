"""JSON lines from a byte stream, cheap for short lines and gentle to the event loop for long ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

_PIECE = 256 * 1024
_LONGEST = (
    8 * 1024 * 1024
)  # bytes of one message; lists go in pages, so the longest is a piece of log, 3 MiB when escaped
_LARGE = 512 * 1024  # bytes from which a line is parsed in a thread: about 5 ms of work


class ByteSource(Protocol):
    async def read(self, n: int) -> bytes: ...


class JsonLines:
    """Iterate over the objects of a stream until it ends. A half line at the end is dropped.

    Raises:
        ValueError: a line is no JSON object, or has no end within what memory should hold.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._unfinished: list[bytes] = []
        self._held = 0  # bytes in them

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while data := await self._source.read(_PIECE):
            *ends, rest = data.split(b"\n")
            for end in ends:
                self._hold(end)
                line = b"".join(self._unfinished)
                self._unfinished.clear()
                self._held = 0
                yield await _parse(line)
            if rest:
                self._hold(rest)
            await asyncio.sleep(0)  # a stream that never dries up must leave the others their turn

    def _hold(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > _LONGEST:
            raise ValueError(f"a line of more than {_LONGEST} bytes")
        self._unfinished.append(piece)


async def _parse(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line) if len(line) < _LARGE else await asyncio.to_thread(json.loads, line)
    except RecursionError as deep:
        raise ValueError("a message that is nested without end") from deep
    if not isinstance(found, dict):
        raise ValueError("a message is a JSON object")
    return found
