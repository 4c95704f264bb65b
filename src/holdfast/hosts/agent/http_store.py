"""Bytes to and from a store by signed addresses, over connections that stay open.

All retrying of transfers is here: a lost connection, a time-out and an answer of 5xx or 429 are tried again after a
growing pause. A refusal (403, as for an expired address) is `AddressRefused`: the caller gets a new address.
"""

import contextlib
import http.client
import random
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

from .chunks import Data
from .failures import AgentFailure
from .methods import Json

TRIES = 6
FIRST_PAUSE = 0.2
SILENCE = 60.0  # seconds without a byte taken or given
SLICE = 256 * 1024  # a time-out bounds the sending of one: slow lines are welcome, silent ones are not
REFUSALS = (401, 403)


class AddressRefused(Exception):
    """The store does not accept this address (any more)."""


class Missing(Exception):
    """There is no such object."""


class HttpStore:
    """Safe to share: every thread has its own connections."""

    def __init__(self, silence: float = SILENCE, tries: int = TRIES) -> None:
        self._silence = silence
        self._tries = tries
        self._mine = threading.local()

    def put(self, address: Json, parts: List[Data], size: int) -> None:
        """Send a body that is the parts one after the other. One that is there already counts as sent."""
        headers = {**address.get("headers", {}), "Content-Length": str(size)}
        # 412: the address is for creating only, and an earlier try of ours got through after all.
        self._exchange("PUT", address["url"], headers, parts, lambda response: response.read(), (200, 201, 204, 412))

    def get(self, address: Json, start: int, length: int) -> Data:
        """Exactly `length` bytes from `start`, which stay what they are until this thread asks for others."""
        headers = {**address.get("headers", {}), "Range": f"bytes={start}-{start + length - 1}"}
        data: Data = self._exchange(
            "GET", address["url"], headers, None, lambda response: _body(response, self._room(length)), (206,)
        )
        return data

    def _room(self, length: int) -> memoryview:
        """The same memory for one answer after the other: new pages for each would cost as much as the answer."""
        room: bytearray = self._mine.__dict__.setdefault("room", bytearray())
        if len(room) < length:
            room = self._mine.__dict__["room"] = bytearray(length)
        return memoryview(room)[:length]

    def _exchange(  # noqa: PLR0917 (private, and each is named where it is called)
        self,
        method: str,
        url: str,
        headers: Dict[str, str],
        parts: Optional[List[Data]],
        read: Callable[[http.client.HTTPResponse], Any],
        welcome: Tuple[int, ...],
    ) -> Any:
        trouble = ""
        for attempt in range(self._tries):
            if attempt:
                time.sleep(FIRST_PAUSE * 2 ** (attempt - 1) * (1 + random.random()))
            try:
                response = self._send(method, url, headers, parts)
                if response.status in welcome:
                    return read(response)
                trouble = _judge(response)
            except (OSError, http.client.HTTPException) as err:
                trouble = f"{type(err).__name__}: {err}"
            except (AddressRefused, Missing, AgentFailure):
                self._hang_up(url)
                raise
            self._hang_up(url)
        raise AgentFailure("store_unavailable", f"{self._tries} tries, the last: {trouble}")

    def _send(
        self, method: str, url: str, headers: Dict[str, str], parts: Optional[List[Data]]
    ) -> http.client.HTTPResponse:
        target = urlsplit(url)
        path = target.path + ("?" + target.query if target.query else "")
        connection = self._connection(url)
        # An iterable body is sent piece by piece; without it a pack would be joined in memory first.
        body = None if parts is None else _slices(parts)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a store that refuses may not read it all
            connection.request(method, path, body=body, headers=headers)
        return connection.getresponse()

    def _connection(self, url: str) -> http.client.HTTPConnection:
        target = urlsplit(url)
        place = (target.scheme, target.netloc)
        open_ones = self._mine.__dict__.setdefault("connections", {})
        if place not in open_ones:
            secure = target.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            open_ones[place] = kind(target.netloc, timeout=self._silence)
        found: http.client.HTTPConnection = open_ones[place]
        return found

    def _hang_up(self, url: str) -> None:
        target = urlsplit(url)
        connection = self._mine.__dict__.get("connections", {}).pop((target.scheme, target.netloc), None)
        if connection is not None:
            connection.close()


def _slices(parts: List[Data]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), SLICE):
            yield view[start : start + SLICE]


def _body(response: http.client.HTTPResponse, room: memoryview) -> Data:
    done = 0
    while done < len(room):
        got = response.readinto(room[done:])
        if not got:
            raise http.client.IncompleteRead(b"", len(room) - done)
        done += got
    response.read()
    return room


def _judge(response: http.client.HTTPResponse) -> str:
    """Say what a retry can cure; raise for the rest."""
    status = response.status
    said = response.read(2000).decode("utf-8", "replace")
    response.close()
    if status in REFUSALS or (status == 400 and "xpired" in said):
        raise AddressRefused(f"the store answered {status}: {_code(said)}")
    if status in (404, 416):
        raise Missing(f"the store answered {status}: {_code(said)}")
    if status >= 500 or status in (408, 429):
        return f"the store answered {status}: {_code(said)}"
    raise AgentFailure("store_refused", f"the store answered {status}: {_code(said)}")


def _code(said: str) -> str:
    """The error code of an S3 answer; the rest may repeat the signed address."""
    return said.partition("<Code>")[2].partition("</Code>")[0] or "no reason given"
