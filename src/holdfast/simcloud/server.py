"""The market as an HTTP server on the loopback interface."""

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from holdfast.simcloud import control_api
from holdfast.simcloud.config import FIRST, SimConfig
from holdfast.simcloud.gcp import inside as gcp_inside
from holdfast.simcloud.gcp import levers as gcp_levers
from holdfast.simcloud.gcp import life as gcp_life
from holdfast.simcloud.gcp import routes as gcp
from holdfast.simcloud.gcp.fleet import SSH_PORT as GCP_SSH_PORT
from holdfast.simcloud.hosts.folder import write_private
from holdfast.simcloud.hosts.midwife import Midwife
from holdfast.simcloud.market import FIRST_INSTANCE
from holdfast.simcloud.sim import Place, Sim, build
from holdfast.simcloud.tensordock import inside as tensordock_inside
from holdfast.simcloud.tensordock import routes as tensordock
from holdfast.simcloud.vast import inside as vast_inside
from holdfast.simcloud.vast import routes as vast

_HOST = "127.0.0.1"
WIRES: tuple[tuple[Place, Callable[[Sim], list[Route]]], ...] = (
    (Place(provider=FIRST, first_instance=FIRST_INSTANCE, first_slot=1, inside=vast_inside.variables), vast.routes),
    (
        Place(
            provider="tensordock",
            first_instance=61_000_001,
            first_slot=1_000_001,
            inside=tensordock_inside.variables,
        ),
        tensordock.routes,
    ),
    (
        Place(
            provider="gcp",
            first_instance=71_000_001,
            first_slot=2_000_001,
            inside=gcp_inside.variables,
            ssh_port=GCP_SSH_PORT,
            keep=gcp_life.keep,
            tell=gcp_inside.tell,
            levers=gcp_levers.levers,
            knobs=gcp_levers.knobs,
        ),
        gcp.routes,
    ),
)
"""Each provider's market and the API that it is told in."""

log = logging.getLogger(__name__)
_connections: dict[tuple[str, int], asyncio.Transport] = {}


class PortTaken(Exception):
    """Another process listens on the port. Remedy: another port, or port 0 for a free one."""


class DataDirBusy(Exception):
    """A market runs on this data directory already. Remedy: use that one, or end it first."""


def serve(config: SimConfig) -> None:
    """Run the market until SIGINT or SIGTERM. Its hosts live on; the next market on the same folder adopts them.

    Prints one line with the address when it is ready. Raises PortTaken, DataDirBusy or BadProfile.
    """
    lock = _claim(config)
    listener = _listen(config.port)
    url = f"http://{_HOST}:{listener.getsockname()[1]}"
    midwife = Midwife()
    sims = [build(place, config, url, _hang_up, midwife) for place, _ in WIRES]
    write_private(config.pid_file, str(os.getpid()))
    write_private(config.port_file, str(listener.getsockname()[1]))
    server = uvicorn.Server(
        uvicorn.Config(
            app(sims, midwife),
            http=_Connection,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it once more after a clean shutdown
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    os.close(lock)


def app(sims: Sequence[Sim], midwife: Midwife) -> Starlette:
    """The ASGI application: the providers' APIs, the control API and a health check."""

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        await midwife.open()
        following = [asyncio.create_task(sim.conductor.run()) for sim in sims]
        for task in following:
            task.add_done_callback(_end_with)
        print(f"simulated market ready at {sims[0].url}", flush=True)  # noqa: T201 - the line that starters wait for
        yield
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        for sim in sims:
            await sim.conductor.close()
        await midwife.close()

    served = [route for sim, (_, routes) in zip(sims, WIRES, strict=True) for route in routes(sim)]
    routes = [Route("/healthz", health), *control_api.routes(sims), *served]
    application = Starlette(routes=routes, lifespan=life)
    application.router.redirect_slashes = False  # a redirected PUT would hide a client's mistake
    return application


def _end_with(following: "asyncio.Task[None]") -> None:
    """A market whose machines no longer follow it must not go on answering; whoever supervises it starts a new one."""
    if not following.cancelled() and (failure := following.exception()):
        log.critical("the market cannot follow its machines any more and ends", exc_info=failure)
        signal.raise_signal(signal.SIGTERM)


class _Connection(H11Protocol):
    """Remembers its transport, so that a fault can cut a caller off without any answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._peer = transport.get_extra_info("peername")
        _connections[self._peer] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        _connections.pop(self._peer, None)


def _hang_up(request: Request) -> None:
    if request.client is not None and (transport := _connections.get((request.client.host, request.client.port))):
        transport.abort()


def _claim(config: SimConfig) -> int:
    config.data_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(config.data_dir / "market.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as busy:
        os.close(lock)
        raise DataDirBusy(f"another market runs on {config.data_dir}") from busy
    return lock


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only for sockets that say they are TCP; without it every answer waits 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen()  # before the ready line, so that whoever reads it can connect
    except OSError as busy:
        listener.close()
        raise PortTaken(f"port {port} is in use: {busy.strerror}") from busy
    return listener
