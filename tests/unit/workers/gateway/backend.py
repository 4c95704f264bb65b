"""What runs on a replica: a real HTTP server that says what it was asked, and can be slow, silent or long-winded."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as Path

from tests.unit.workers.gateway.desk import until

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


@dataclass
class Backend:
    port: int
    asked: list[Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0
    running: int = 0

    async def echo(self, request: Request) -> Response:
        self.asked.append(request)
        body = await request.body()
        self.bodies.append(body)
        told = {
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "headers": [list(each) for each in request.headers.items()],
            "body": body.decode("latin-1"),
        }
        return JSONResponse(told, headers={"x-app": "backend", "keep-alive": "timeout=5"})

    async def wait(self, request: Request) -> Response:
        """Answers when it may go on."""
        self.asked.append(request)
        self.running += 1
        try:
            await self.go_on.wait()
        finally:
            self.running -= 1
        return JSONResponse({"waited": True})

    async def events(self, request: Request) -> Response:
        """One event at once, the rest when it may go on."""
        self.asked.append(request)
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        self.running += 1
        try:
            yield b"data: first\n\n"
            await self.go_on.wait()
            for number in range(3):
                yield b"data: %d\n\n" % number
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def flood(self, request: Request) -> Response:
        """More than any buffer on the way holds."""

        async def pieces() -> AsyncIterator[bytes]:
            self.running += 1
            try:
                for _ in range(2000):
                    yield b"x" * 65_536
            finally:
                self.running -= 1

        return StreamingResponse(pieces(), media_type="application/octet-stream")

    def app(self) -> Starlette:
        paths = {"/wait": self.wait, "/events": self.events, "/flood": self.flood, "/{rest:path}": self.echo}
        return Starlette(routes=[Path(path, answer, methods=METHODS) for path, answer in paths.items()])


@asynccontextmanager
async def run_backend() -> AsyncIterator[Backend]:
    listener = socket.create_server(("127.0.0.1", 0))
    backend = Backend(listener.getsockname()[1])
    config = uvicorn.Config(backend.app(), log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield backend
    finally:
        backend.go_on.set()
        server.should_exit = True
        await task


@dataclass
class Rude:
    """A server that reads the head of a request and then does what it likes."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    hang_up: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hang_up.set()


@asynccontextmanager
async def run_rude(answer: bytes = b"", *, port: int = 0) -> AsyncIterator[Rude]:
    """It hangs up after the `answer`, once it may."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            rude.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            await rude.hang_up.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    rude = Rude(server.sockets[0].getsockname()[1])
    async with server:
        yield rude


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def told(answer: object) -> dict[str, object]:
    """What the echo says that it was asked."""
    found: dict[str, object] = json.loads(getattr(answer, "content"))  # noqa: B009 - any client's answer
    return found
