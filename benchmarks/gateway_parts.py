"""The processes that `serverless.py --gateway` measures with: a service, an SSH server, a gateway, a load generator.

Each is `python benchmarks/gateway_parts.py PART JSON`, prints one line of JSON when it is ready or has its figures, and
serves until its standard input ends.
"""

import asyncio
import hashlib
import json
import logging
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncssh
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route as At

from holdfast.contracts.endpoints import DoorSpec, EndpointCard, EndpointPhase, IdleNotice, Pass, Route, WakeRequest
from holdfast.contracts.machines import Lease, SshAddress, Terms
from holdfast.hosts.tunnel import Tunnels
from holdfast.hosts.wires import Straight
from holdfast.settings import GatewaySettings
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.gateway.app import Gateway
from holdfast.workers.gateway.serving import Server

TOKEN = "a-token-for-measuring"
ANSWER = b"x" * 500
EVENTS = 20
EVENT_EVERY = 0.05  # seconds


async def backend(options: dict[str, Any]) -> None:
    """Answers after the time that the path says, in ms; `/events` streams."""

    async def think(request: Request) -> Response:
        await request.body()
        if pause := int(request.path_params["ms"]):
            await asyncio.sleep(pause / 1000)
        return PlainTextResponse(ANSWER)

    async def stream() -> AsyncIterator[bytes]:
        for number in range(EVENTS):
            yield b"data: %d %s\n\n" % (number, b"x" * 40)
            await asyncio.sleep(EVENT_EVERY)

    async def events(request: Request) -> Response:
        return StreamingResponse(stream(), media_type="text/event-stream")

    app = Starlette(routes=[At("/think/{ms}", think, methods=["GET", "POST"]), At("/events", events)])
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or Nagle delays writes
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="none", lifespan="off", timeout_keep_alive=75
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    say(port=listener.getsockname()[1], pid=os.getpid())
    await input_ends()
    server.should_exit = True
    await serving


class _Forwarding(asyncssh.SSHServer):
    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


async def sshd(options: dict[str, Any]) -> None:
    """Lets the key in, and forwards."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # a client that hangs up leaves channels that cannot be told
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=_Forwarding,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(options["public_key"]),
    )
    say(port=acceptor.get_port(), host_key=" ".join(host_key.export_public_key().decode().split()[:2]), pid=os.getpid())
    await input_ends()


class _AlwaysAwake:
    """An endpoint with one replica."""

    def __init__(self, route: Route) -> None:
        self._route = route

    async def cards(self) -> tuple[EndpointCard, ...]:
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        door = DoorSpec()
        return (EndpointCard(name="e", models=(), token_hashes=(digest,), door=door),)

    async def wake(self, endpoint: str, request: WakeRequest) -> Pass:
        return Pass(phase=EndpointPhase.READY, routes=(self._route,))

    async def idle(self, endpoint: str, notice: IdleNotice) -> None:
        pass


async def gateway(options: dict[str, Any]) -> None:
    """Before one service; through SSH when `ssh_port` is given. Its access log is on, and goes nowhere."""
    logging.basicConfig(level=logging.INFO, handlers=[logging.FileHandler(os.devnull)])
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    by_ssh = options.get("ssh_port")
    lease = Lease(
        workload="e-r0",
        epoch=1,
        label="e-r0.e1",
        provider="none",
        instance_id="1",
        machine_id="1",
        gpu="none",
        gpu_count=0,
        terms=Terms.ON_DEMAND,
        hourly=Decimal(0),
        since=datetime.now(UTC),
        ssh=SshAddress(host="127.0.0.1", port=by_ssh) if by_ssh else None,
        host_key=options.get("host_key", ""),
    )
    if by_ssh:
        key = asyncssh.read_private_key(options["private_key"])
        reach: Tunnels | Straight = Tunnels(key, connect_timeout=timedelta(seconds=10))
    else:
        reach = Straight()
    desk = _AlwaysAwake(Route(replica="e-r0", lease=lease, port=options["port"]))
    metrics = Metrics().gateway
    app = Gateway(desk, reach, metrics, name="measured", refresh=timedelta(seconds=5), room=100_000_000)
    async with Server(app, GatewaySettings()) as server:
        say(port=int(server.url.rpartition(":")[2]), pid=os.getpid())
        await input_ends()


class Caller:
    """HTTP/1.1 with as little of it as measuring needs, over connections that are kept."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        head = f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 200\r\n\r\n"
        self._said = head.encode() + b"y" * 200
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._streaming: set[asyncio.Task[None]] = set()
        self.errors = 0

    async def call(self) -> None:
        """One request and its whole answer."""
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        try:
            writer.write(self._said)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            if b" 200 " not in head[:20]:
                raise ConnectionError(head[:20])
        except (OSError, EOFError, ValueError):
            self.errors += 1
            writer.close()
            return
        self._idle.append((reader, writer))

    async def first_event(self) -> None:
        """Until the first event of a stream has come; the rest is read and thrown away."""
        reader, writer = await self._connect()
        writer.write(self._said.replace(b"POST", b"GET", 1).replace(b"Content-Length: 200\r\n", b"")[:-200])
        try:
            await reader.readuntil(b"data: 0")
        except EOFError:
            self.errors += 1
        rest = asyncio.create_task(self._drain(reader, writer))
        self._streaming.add(rest)
        rest.add_done_callback(self._streaming.discard)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def _drain(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n0\r\n\r\n")
        except EOFError:
            self.errors += 1
        writer.close()

    async def settle(self) -> None:
        """Wait for what still streams."""
        await asyncio.gather(*self._streaming)


async def load(options: dict[str, Any]) -> None:
    """Closed loop (`callers`, `count`): each calls again when answered. Open loop (`rate`, `count`): come what may."""
    caller = Caller(options["port"], options["path"])
    do = caller.first_event if options.get("events") else caller.call
    took: list[float] = []
    began = perf_counter()
    if "rate" in options:
        await _open_loop(do, options["rate"], options["count"], took)
    else:
        await _closed_loop(do, options["callers"], options["count"], took)
    seconds = perf_counter() - began
    await caller.settle()
    say(took=[round(each * 1e6) for each in took], seconds=seconds, errors=caller.errors)


async def _open_loop(do: Callable[[], Coroutine[Any, Any, None]], rate: float, count: int, took: list[float]) -> None:
    async def one(due: float) -> None:
        await do()
        took.append(perf_counter() - due)  # from when it should have been sent: a queue before us counts too

    began, tasks = perf_counter() + 0.1, set()
    for number in range(count):
        due = began + number / rate
        if (pause := due - perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _closed_loop(
    do: Callable[[], Coroutine[Any, Any, None]], callers: int, count: int, took: list[float]
) -> None:
    left = count

    async def go_on() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = perf_counter()
            await do()
            took.append(perf_counter() - began)

    await asyncio.gather(*(go_on() for _ in range(callers)))


async def input_ends() -> None:
    """The parent has closed our standard input, or is gone."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    await ended.wait()


def say(**figures: Any) -> None:
    """To the parent."""
    print(json.dumps(figures), flush=True)


def memory_of(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_of(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


PARTS = {"backend": backend, "sshd": sshd, "gateway": gateway, "load": load}

if __name__ == "__main__":
    asyncio.run(PARTS[sys.argv[1]](json.loads(sys.argv[2])))
