"""A real Temporal server with stand-in workers, and the command line run against it."""

import asyncio
import json
import os
import shutil
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from holdfast.cli import app
from holdfast.client.holdfast import Holdfast
from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.settings import ProviderSettings, Settings
from tests import hub as hubs
from tests import tiny_model
from tests.temporal_servers import started

from .embedded import Stack
from .standins import World, stand_in_workers

QUICK_MARKET = "extends: default\nboot: {kind: constant, seconds: 0.2}\nthreshold_scale: 0\n"
"""Its machines boot at once and its API wants no pauses: stories of the stack are about words, not about waiting."""

SPEC = """\
name: {name}
command: python train.py
price: {{max_hourly: 0.50}}
"""


@dataclass
class Ran:
    """How a command line went."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="package")
def hub() -> Iterator[hubs.Hub]:
    """From which the stack fetches models."""
    with hubs.running() as running:
        running.models["org/tiny"] = hubs.Shelf(files=tiny_model.files())
        running.models["org/gated"] = hubs.Shelf(files=tiny_model.files(), gated=True)
        yield running


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, hub: hubs.Hub) -> Iterator[Stack]:
    """One for all stories of the installed command: to start and end it takes longer than to tell most of them."""
    folder = tmp_path_factory.mktemp("embedded")
    (folder / "quick.yaml").write_text(QUICK_MARKET)
    running = Stack(folder / "data", {"HOLDFAST_MODELS__HUB_URL": hub.address})
    try:
        started = running("up", "--detach", "--port", "auto", "--profile", str(folder / "quick.yaml"))
        assert started.code == 0, started.err
        yield running
    finally:
        running("down")


@pytest.fixture(scope="package")
async def server() -> AsyncIterator[Client]:
    program = shutil.which("temporal", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    async with await started(
        lambda: WorkflowEnvironment.start_local(
            dev_server_existing_path=program,
            dev_server_log_level="error",
            data_converter=PAYLOADS,
            search_attributes=names.SEARCH_ATTRIBUTES,
        )
    ) as environment:
        yield environment.client


@pytest.fixture(scope="package")
async def workers(server: Client) -> AsyncIterator[World]:
    world = World()
    async with stand_in_workers(server, world):
        yield world


@pytest.fixture
def world(workers: World) -> World:
    """The stand-ins' answers, as at the start."""
    workers.__init__()  # type: ignore[misc]  # the workers hold on to this very object
    return workers


@pytest.fixture
def name() -> str:
    return f"w-{uuid4().hex[:12]}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, providers={"vast": ProviderSettings(api_key="not-used-by-clients")})


@pytest.fixture
def holdfast(server: Client, world: World, settings: Settings) -> Holdfast:
    return Holdfast(server, settings=settings)


Run = Callable[..., Awaitable[Ran]]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command line in a thread, as its own process would: it starts its own event loop."""
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HOLDFAST_PROVIDERS__VAST__API_KEY", "not-used-by-clients")

    async def run(*argv: str) -> Ran:
        capfd.readouterr()
        code = await asyncio.to_thread(app.run, list(argv))
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, server: Client, world: World, cli: Run) -> Run:
    """The command line with a server and workers that answer."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.service_client.config.target_host)
    return cli


@pytest.fixture
def spec(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(name=name))
    return path
