"""One real stack for all stories: Temporal server, S3 store, simulated market and a worker, each its own process."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from holdfast.embedded import MARKET_FOLDER
from holdfast.settings import Settings, load_settings
from holdfast.simcloud.control import SimControl, SimError
from holdfast.workers.stack.commands import down, status, up
from holdfast.workers.stack.plan import GATEWAY, UpOptions
from holdfast.workers.stack.state import Home
from tests.scenarios.witness import Witness
from tests.weed import free_ports

PATIENCE = 90.0  # seconds for anything that must come true on a busy computer

# Machines boot at once and the API wants no pauses: the stories are about what happens in between.
QUICK_MARKET: dict[str, Any] = {
    "extends": "default",
    "boot": {"kind": "constant", "seconds": 0.2},
    "threshold_scale": 0,
    "credit": 1000,
}
# Workers that look often and do not knock for long.
QUICK_WORKERS = {
    "HOLDFAST_HOSTS__HEARTBEAT_INTERVAL": "500ms",
    "HOLDFAST_HOSTS__CONNECT_TIMEOUT": "5s",
    "HOLDFAST_HOSTS__WATCH_INTERVAL": "1s",
    "HOLDFAST_MARKET__GPUS": "RTX 4090",  # surveys then search once, and are over
}


def slots(gpu: str, count: int, *, first_machine: int, **line: Any) -> list[dict[str, Any]]:
    """Machines that differ in price only, cheapest first."""
    return [
        {"gpu": gpu, "price": 0.30 + n / 100, "bid": 0.15 + n / 100, "machine": first_machine + n, "host": 9000 + n}
        | {"region": "Sweden, SE"}
        | line
        for n in range(count)
    ]


@dataclass
class Stage:
    """A stack in a directory of its own. Every process of it may be killed; the supervisor starts it again."""

    home: Path
    market_slots: list[dict[str, Any]]

    @property
    def settings(self) -> Settings:
        return load_settings(data_dir=self.home)

    @property
    def market(self) -> SimControl:
        """The levers of the market that runs now."""
        return SimControl.of_data_dir(self.home / MARKET_FOLDER)

    def up(self) -> None:
        """Start, or start again on what is there; returns when everything is ready."""
        profile = self.home / "profile.yaml"
        self.home.mkdir(parents=True, exist_ok=True)
        profile.write_text(yaml.safe_dump(QUICK_MARKET | {"slots": self.market_slots}))
        with _environment(QUICK_WORKERS):
            up(
                UpOptions(data_dir=self.home, detach=True, auto_ports=True, market_profile=profile, gateway=True),
                print,
            )

    def down(self) -> None:
        down(self.home, print)

    @property
    def gateway(self) -> str:
        """The URL that callers of endpoints know."""
        return status(self.home).addresses["Gateway"]

    # Processes

    def pid(self, name: str) -> int:
        return next(each.pid for each in status(self.home).processes if each.name == name)

    def kill(self, name: str) -> None:
        """`kill -9` of one process of the stack."""
        os.kill(self.pid(name), signal.SIGKILL)

    def freeze(self, name: str) -> None:
        """The process stands still and keeps its ports: to others it looks dead, and nobody starts it again."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGCONT)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """The process is dead, and nobody starts it again until this is over."""
        state = Home(self.home).read()
        assert state is not None
        for keeper in state.keepers:
            os.kill(keeper.pid, signal.SIGSTOP)
        try:
            self.kill(name)
            yield
        finally:
            for keeper in state.keepers:
                os.kill(keeper.pid, signal.SIGCONT)

    def is_back(self, name: str, *, instead_of: int) -> bool:
        """Whether the supervisor has replaced the killed process."""
        return any(each.name == name and each.lives and each.pid != instead_of for each in status(self.home).processes)

    def is_ready(self, worker: str) -> bool:
        """By its own word."""
        return _serves(status(self.home).addresses[f"Metrics of {worker}"].removesuffix("/metrics"), "/readyz")

    @contextmanager
    def another_gateway(self) -> Iterator[str]:
        """One that the supervisor knows nothing of; its URL."""
        url = f"http://127.0.0.1:{(port := free_ports(1)[0])}"
        told = {"HOLDFAST_DATA_DIR": str(self.home), "HOLDFAST_GATEWAY__PORT": str(port)}
        with (self.home / "logs" / "gateway-2.log").open("ab") as log, _environment(QUICK_WORKERS):
            process = subprocess.Popen([*GATEWAY], env=os.environ | told, stdout=log, stderr=log)
        try:
            eventually(lambda: _serves(url), "the second gateway serves")
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)

    def calm(self) -> None:
        """Undo what a story did to the market's API; machines are each story's own."""
        self.market.clear_faults()

    def log_tails(self, size: int = 3000) -> Iterator[tuple[str, str]]:
        """The ends of the processes' logs, for a story that failed."""
        for path in sorted((self.home / "logs").glob("*.log")):
            yield path.name, path.read_text(errors="replace")[-size:]


@contextmanager
def run_stage(folder: Path, market_slots: list[dict[str, Any]]) -> Iterator[tuple[Stage, Witness]]:
    """A stack with somebody who watches who does the work. Nothing is left of it in the end."""
    stage = Stage(folder, market_slots)
    try:
        stage.up()
        with Witness(stage.home) as witness:
            yield stage, witness
    finally:
        stage.down()


def eventually(what: Callable[[], bool], why: str) -> None:
    """Wait, generously, until something holds; a market that is being started again does not count as an answer."""
    deadline = time.monotonic() + PATIENCE
    while not _holds(what):
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {why}"
        time.sleep(0.1)


def _serves(url: str, path: str = "/healthz") -> bool:
    try:
        return httpx.get(url + path).status_code == 200
    except httpx.TransportError:
        return False


def _holds(what: Callable[[], bool]) -> bool:
    try:
        return what()
    except (SimError, OSError, json.JSONDecodeError):
        return False


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Ours and nobody else's settings, for the processes that are started meanwhile."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("HOLDFAST_", "TEMPORAL_")):
            del os.environ[name]
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
