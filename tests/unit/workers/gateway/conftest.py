from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry

from holdfast.hosts.wires import Straight
from holdfast.settings import GatewaySettings
from holdfast.telemetry.gateway_metrics import GatewayMetrics
from holdfast.workers.gateway.app import Gateway
from holdfast.workers.gateway.gates import Timing
from holdfast.workers.gateway.replicas import Reach
from holdfast.workers.gateway.serving import Server
from tests.unit.workers.gateway.backend import Backend, run_backend
from tests.unit.workers.gateway.desk import TOKEN, Desk, route

BRISK = Timing(linger=0.2, first_pause=0.02, longest_pause=0.1, report_every=0.05, grace=0.3)


@dataclass
class Running:
    url: str
    port: int
    registry: CollectorRegistry
    gateway: Gateway
    server: Server
    http: httpx.AsyncClient

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"holdfast_gateway_{name}", labels) or 0


RunGateway = Callable[..., AbstractAsyncContextManager[Running]]


@asynccontextmanager
async def run_gateway(
    desk: Desk,
    *,
    reach: Reach | None = None,
    name: str = "gateway-1",
    timing: Timing = BRISK,
    drain: timedelta = timedelta(seconds=5),
    refresh: timedelta = timedelta(seconds=0.1),
    room: int = 10_000_000,
) -> AsyncIterator[Running]:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry)
    gateway = Gateway(desk, reach or Straight(), metrics, name=name, refresh=refresh, room=room, timing=timing)
    server = Server(gateway, GatewaySettings(drain=drain))
    limits = httpx.Limits(max_connections=None)
    async with server, httpx.AsyncClient(timeout=30, limits=limits) as http:
        http.base_url = httpx.URL(server.url)
        http.headers["authorization"] = f"Bearer {TOKEN}"
        yield Running(server.url, int(server.url.rpartition(":")[2]), registry, gateway, server, http)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with run_backend() as running:
        yield running


@pytest.fixture
def desk(backend: Backend) -> Desk:
    """An endpoint `chat` with one replica that answers."""
    return Desk(routes=(route(backend.port),))


@pytest.fixture
async def gateway(desk: Desk) -> AsyncIterator[Running]:
    async with run_gateway(desk) as running:
        yield running
