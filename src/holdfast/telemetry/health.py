"""One small HTTP server per process: `/metrics`, `/livez` and `/readyz`.

It runs on the process's own event loop on purpose: a loop that is stuck cannot answer `/livez`, and is restarted
for it. `/metrics` are Holdfast's own (`telemetry.metrics`); the Temporal SDK exports its runtime metrics on a port of
its own (`telemetry.runtime`), because they live outside Python.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from math import inf
from time import monotonic
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Check = Callable[[], Awaitable[str | None]]
"""None when ready, else what is missing, in words for an operator."""

CHECK_WITHIN = timedelta(seconds=2)
REQUEST_WITHIN = timedelta(seconds=5)
_Answer = tuple[HTTPStatus, str, bytes]


def remembered(check: Check, lasting: timedelta, *, clock: Callable[[], float] = monotonic) -> Check:
    """The same check, asked again only when its last good answer is older than `lasting`. Bad news is never kept."""
    good_until = -inf

    async def ask() -> str | None:
        nonlocal good_until
        if clock() < good_until:
            return None
        if (reason := await check()) is None:
            good_until = clock() + lasting.total_seconds()
        return reason

    return ask


class HealthServer:
    """Serves while entered (`async with`). Port 0 takes a free one; `url` tells which."""

    def __init__(
        self, *, registry: CollectorRegistry, checks: Mapping[str, Check], bind: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._registry = registry
        self._checks = checks
        self._bind = bind
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "serves only while entered"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://{self._bind}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._bind, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection: probes and scrapes are rare."""
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(REQUEST_WITHIN.total_seconds()):
                head = await reader.readuntil(b"\r\n\r\n")
                status, content_type, body = await self._answer(head.decode("latin-1"))
                writer.write(_response(status, content_type, body))
                await writer.drain()
        writer.close()

    async def _answer(self, head: str) -> _Answer:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        if method != "GET":
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is served")
        match rest.partition(" ")[0].partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(_header(lines, "accept"))
                return HTTPStatus.OK, content_type, encode(self._registry)
            case "/livez":
                return _text(HTTPStatus.OK, "alive")
            case "/readyz":
                return await self._readiness()
        return _text(HTTPStatus.NOT_FOUND, "see /metrics, /livez and /readyz")

    async def _readiness(self) -> _Answer:
        reasons = await asyncio.gather(*(_ask(check) for check in self._checks.values()))
        found = {name: reason or "ready" for name, reason in zip(self._checks, reasons, strict=True)}
        status = HTTPStatus.SERVICE_UNAVAILABLE if any(reasons) else HTTPStatus.OK
        return status, "application/json", json.dumps(found, indent=2).encode() + b"\n"


async def _ask(check: Check) -> str | None:
    """The check's answer. A check that fails is a reason too: a probe must be answered, whatever happens."""
    try:
        async with asyncio.timeout(CHECK_WITHIN.total_seconds()):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_WITHIN.total_seconds():g} s"
    except Exception as err:
        return f"{type(err).__name__}: {err}"


def _header(lines: list[str], wanted: str) -> str:
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == wanted:
            return value.strip()
    return ""


def _text(status: HTTPStatus, text: str) -> _Answer:
    return status, "text/plain; charset=utf-8", text.encode() + b"\n"


def _response(status: HTTPStatus, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
