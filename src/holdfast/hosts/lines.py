"""JSON lines from a byte stream, cheap for short lines and gentle to the event loop for long ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

_PIECE = 256 * 1024
_LARGE = 512 * 1024  # bytes from which a line is parsed in a thread: about 5 ms of work


class ByteSource(Protocol):
    async def read(self, n: int) -> bytes: ...


class JsonLines:
    """Iterate over the objects of a stream until it ends. A half line at the end is dropped.

    Raises:
        ValueError: a line is no JSON object.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._unfinished: list[bytes] = []

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while data := await self._source.read(_PIECE):
            *ends, rest = data.split(b"\n")
            for end in ends:
                self._unfinished.append(end)
                line = b"".join(self._unfinished)
                self._unfinished.clear()
                yield await _parse(line)
            if rest:
                self._unfinished.append(rest)


async def _parse(line: bytes) -> dict[str, Any]:
    found = json.loads(line) if len(line) < _LARGE else await asyncio.to_thread(json.loads, line)
    if not isinstance(found, dict):
        raise ValueError("a message is a JSON object")
    return found
