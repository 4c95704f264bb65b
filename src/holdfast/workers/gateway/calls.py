"""One request from its arrival to its line in the access log."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from time import monotonic
from typing import Any

from holdfast.telemetry.gateway_metrics import GatewayMetrics
from holdfast.workers.gateway import headers
from holdfast.workers.gateway.answers import Refusal
from holdfast.workers.gateway.bodies import CallerSilent, declared_length
from holdfast.workers.gateway.headers import Headers

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
GONE = 499  # a caller who left before the answer began; nginx made the number common

access = logging.getLogger("holdfast.gateway.access")
_SHOWN = 200  # characters of a path


class Call:
    """What is known of a request, and the way back to its caller."""

    def __init__(self, scope: MutableMapping[str, Any], send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.headers: Headers = scope["headers"]
        self.id = headers.request_id(self.headers)
        self.caller: str = scope["client"][0] if scope.get("client") else ""
        self.patience: float | None = None  # of sending to the caller, in seconds
        self.endpoint = ""
        self.replica = ""
        self.cut = ""  # why it was not carried to its end
        self.status = 0
        self.received = 0  # bytes of the body
        self.sent = 0
        self.held = 0.0  # seconds
        self.upstream = 0.0  # from the first byte to the replica to the last one from it
        self.waited = 0.0  # for others, until the first byte of the answer
        self.retries = 0
        self.began = monotonic()
        self.answered_at: float | None = None
        self.finished = False  # the caller was sent all of the answer
        self._send = send

    @cached_property
    def token(self) -> str | None:
        """What the caller shows."""
        return headers.bearer(self.headers)

    @cached_property
    def length(self) -> int | None:
        """The body's; 0 when there is none, None when it will tell at its end."""
        return declared_length(self.headers)

    @property
    def answered(self) -> bool:
        """Whether the caller was sent a status."""
        return self.answered_at is not None

    async def start(self, status: int, answer: Headers) -> None:
        """Send the status and the headers."""
        self.answered_at = monotonic()
        self.status = status
        await self._tell({"type": "http.response.start", "status": status, "headers": answer})

    async def write(self, piece: bytes, *, more: bool) -> None:
        """Send a piece of the body. Raises CallerSilent when he does not read."""
        self.sent += len(piece)
        await self._tell({"type": "http.response.body", "body": piece, "more_body": more})
        self.finished = not more

    async def answer(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
        """Send a whole JSON document of our own."""
        told = {"content-type": "application/json", "content-length": str(len(body)), "x-request-id": self.id}
        await self.start(status, [(name.encode(), value.encode()) for name, value in (told | (more or {})).items()])
        await self.write(body, more=False)

    async def refuse(self, refusal: Refusal) -> None:
        """Send an error of our own."""
        await self.answer(refusal.status, refusal.body(), dict(refusal.headers))

    async def _tell(self, message: MutableMapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self._send(message)
        except TimeoutError:
            raise CallerSilent("reads") from None

    def count(self, metrics: GatewayMetrics) -> None:
        """In the metrics and in the log, once it has ended."""
        now = monotonic()
        kind = f"{self.status // 100}xx" if self.status else "none"
        metrics.requests.labels(self.endpoint, kind).inc()
        if self.cut:
            metrics.cut.labels(self.endpoint, self.cut).inc()
        if self.retries:
            metrics.retries.labels(self.endpoint).inc(self.retries)
        if self.answered_at is not None and self.replica:
            metrics.added_seconds.labels(self.endpoint).observe(self.answered_at - self.began - self.waited)
        if access.isEnabledFor(logging.INFO):
            access.info("%s", self._line(now))

    def _line(self, now: float) -> str:
        path = self.path[:_SHOWN].decode("ascii", "backslashreplace")
        told = (
            f"id={self.id} endpoint={self.endpoint or '-'} replica={self.replica or '-'} method={self.method} "
            f"path={json.dumps(path)} status={self.status or '-'} in={self.received} out={self.sent} "
            f"held_ms={self.held * 1000:.1f} upstream_ms={self.upstream * 1000:.1f} "
            f"total_ms={(now - self.began) * 1000:.1f} retries={self.retries}"
        )
        return f"{told} cut={self.cut}" if self.cut else told
