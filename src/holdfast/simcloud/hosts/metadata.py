"""The metadata server of one simulated machine: what its provider tells it, over HTTP on the loopback interface.

Paths, headers and words are Google's, which is the only provider here that has one. On one computer it cannot have
Google's address; its own stands in GCE_METADATA_HOST, where Google's clients look for it.
"""

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from holdfast.simcloud.hosts.folder import Facts

_ROOT: Final = "/computeMetadata/v1"
_FLAVOR: Final = "Metadata-Flavor: Google"
_REASONS: Final = {200: "OK", 301: "Moved Permanently", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
_LONGEST = 16_384
_MOST_PATIENT = 3600.0  # seconds


@dataclass(frozen=True)
class _Question:
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, list[str]] = field(default_factory=dict)

    def option(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]


@dataclass(frozen=True)
class _Answer:
    status: int
    text: str = ""
    kind: str = "application/text"
    location: str | None = None

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


class MetadataServer:
    """Answers for as long as the machine runs."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def open(self) -> "MetadataServer":
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LONGEST)
        return self

    @property
    def variables(self) -> dict[str, str]:
        """What tells the machine's programs where it is."""
        assert self._server is not None, "not opened"
        host, port = self._server.sockets[0].getsockname()[:2]
        return {"GCE_METADATA_HOST": f"{host}:{port}"}

    @property
    def shutdown_script(self) -> str | None:
        """What the machine is to run when it goes down."""
        script = _find(self._facts.tree, "instance/attributes/shutdown-script")
        return script if isinstance(script, str) and script else None

    def set(self, facts: Facts) -> bool:
        """Tell something else from now on. Whether it is news that the machine goes down."""
        news = facts.going_down and not self._facts.going_down
        self._facts, changed, self._changed = facts, self._changed, asyncio.Event()
        changed.set()
        return news

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):  # whoever asks may go, or ask nonsense
            question = _read(await reader.readuntil(b"\r\n\r\n"))
            writer.write(_told(await self._answer(question)))
            await writer.drain()
        writer.close()

    async def _answer(self, question: _Question) -> _Answer:
        if question.method != "GET":
            return _Answer(405)
        if question.path in ("", "/"):
            return _Answer(200, "computeMetadata/\n")
        if question.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in question.headers:
            return _Answer(403, f"Missing required header: {_FLAVOR}\n", "text/html")
        if question.option("wait_for_change") == "true":
            await self._wait(question)
        return self._now(question)

    async def _wait(self, question: _Question) -> None:
        """Until the answer is another one than the one that the caller knows, or than the present one."""
        known = question.option("last_etag") or self._now(question).etag
        patience = float(question.option("timeout_sec") or _MOST_PATIENT)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(patience, _MOST_PATIENT)):
                while self._now(question).etag == known:
                    await self._changed.wait()

    def _now(self, question: _Question) -> _Answer:
        path = question.path.removeprefix(_ROOT)
        found = _find(self._facts.tree, path) if question.path.startswith(_ROOT) else None
        if found is None:
            return _Answer(404, "Not Found\n", "text/html")
        if question.option("recursive") == "true" or question.option("alt") == "json":
            return _Answer(200, json.dumps(found), "application/json")
        if not isinstance(found, dict):
            return _Answer(200, str(found))
        if not path.endswith("/"):
            return _Answer(301, location=f"{question.path}/")
        names = [f"{name}/" if isinstance(one, dict) else name for name, one in found.items()]
        return _Answer(200, "".join(f"{name}\n" for name in names))


def _find(tree: Any, path: str) -> Any:
    found = tree
    for part in filter(None, path.split("/")):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _read(head: bytes) -> _Question:
    """Raises ValueError for what is no HTTP."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = urlsplit(target)
    return _Question(method, parts.path, headers, parse_qs(parts.query))


def _told(answer: _Answer) -> bytes:
    body = answer.text.encode()
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        _FLAVOR,
        "Server: Metadata Server for VM",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(body)}",
        f"ETag: {answer.etag}",
        "Connection: close",
    ]
    if answer.location is not None:
        lines.append(f"Location: {answer.location}")
    return "\r\n".join([*lines, "", ""]).encode() + body
