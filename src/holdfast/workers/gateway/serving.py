"""The gateway's HTTP server, and how it ends: no new requests, then those in flight, within a limit."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Self

import uvicorn

from holdfast.settings import GatewaySettings, SettingsError, variable
from holdfast.workers.gateway.app import Gateway
from holdfast.workers.gateway.lines import CallerProtocol

_KEPT = 75  # seconds that an idle connection is kept: longer than load balancers do, so that they are the ones to close
_BACKLOG = 2048
_GLANCE = 0.01
_LAST_WORDS = 1.0  # seconds

log = logging.getLogger("holdfast.gateway")


class Server:
    """Serves while entered (`async with`)."""

    def __init__(self, gateway: Gateway, settings: GatewaySettings) -> None:
        self._gateway = gateway
        self._settings = settings
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = _Uvicorn(_loaded(self._config()))
        listener = _listen(self._settings)
        scheme = "https" if self._settings.cert else "http"
        host = f"[{self._settings.bind}]" if ":" in self._settings.bind else self._settings.bind
        self.url = f"{scheme}://{host}:{listener.getsockname()[1]}"
        await self._stack.enter_async_context(self._gateway.open())
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn only has a flag
            await asyncio.sleep(_GLANCE)
        if self._task.done():
            await self._task
        log.info("gateway at %s", self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Take no more requests, finish those in flight, give every pass back. Idempotent."""
        if self._task is None or self._gateway.draining:
            return
        self._gateway.draining = True
        self._server.should_exit = True
        await self._task
        if unfinished := list(self._server.server_state.tasks):  # they were told; let them tell their callers
            await asyncio.wait(unfinished, timeout=_LAST_WORDS)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await self._stack.aclose()

    async def check(self) -> str | None:
        """Why it cannot serve, for `/readyz`."""
        if self._task is None or self._task.done():
            return "it does not listen"
        return None if self._gateway.directory.known else self._gateway.directory.trouble

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._gateway,
            http=CallerProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEPT,
            timeout_graceful_shutdown=max(1, round(self._settings.drain.total_seconds())),
            ssl_certfile=self._settings.cert,
            ssl_keyfile=self._settings.key,
        )


def _loaded(config: uvicorn.Config) -> uvicorn.Config:
    """With its certificate read."""
    try:
        config.load()
    except OSError as err:  # SSLError is one
        raise SettingsError(f"{variable('gateway', 'cert')}: {err}; give a certificate and its key in PEM") from err
    return config


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the worker's business."""
        yield


def _listen(settings: GatewaySettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    # With the protocol named, as create_server() does not: of sockets without it asyncio does not know that they are
    # TCP, leaves Nagle's algorithm on, and every second small write waits 40 ms for the other side's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.bind, settings.port))
        listener.listen(_BACKLOG)
    except OSError as err:
        listener.close()
        blamed = f"{variable('gateway', 'port')}: {err}"
        raise SettingsError(f"{blamed}; choose another port, or 0 for a free one, or another bind") from err
    return listener
