"""The processes of the stack: the list, and each one's command, environment and readiness, in one place."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast.contracts.names import SEARCH_ATTRIBUTE_TYPES
from holdfast.embedded import MARKET_FOLDER
from holdfast.settings import variable
from holdfast.simcloud.machines import end_all_hosts
from holdfast.workers.stack import probes
from holdfast.workers.stack.plan import BUCKET, GATEWAY, NAMESPACE, Plan, find_program
from holdfast.workers.stack.ports import LOOPBACK, WEED_OFFSET
from holdfast.workers.stack.state import Home

# Without these a lone dev server makes every workflow task wait up to 50 ms, and a cancelled activity hears of it
# only at its next heartbeat.
DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    'history.timerProcessorMaxTimeShift="10ms"',
    "frontend.WorkerCommandsEnabled=true",
    "system.enableCancelActivityWorkerCommand=true",
)
# A process killed with -9 loses nothing with these, and the server is two to four times faster on a busy disk.
SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")
ORPHANED_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process to keep alive."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ready: Callable[[], bool]
    """Blocks for a second or two at most."""
    is_worker: bool = False
    """Stopped before the servers, so that it can still tell them what it leaves."""
    grace: timedelta = timedelta(seconds=10)
    """How long it may take to end by itself."""
    tidy: Callable[[], None] = lambda: None
    """Removes what the program leaves behind when it ends. Repeatable; may take a second."""


def services(plan: Plan, home: Home) -> list[Service]:
    """Everything the plan names. All start together: a worker finds out by itself when the servers are ready."""
    keys = home.secrets()
    parts = []
    if plan.temporal:
        parts.append(_temporal(plan, home))
    if plan.store:
        parts.append(_store(plan, home, keys))
    if plan.market:
        parts.append(_market(plan, home, keys))
    parts += [_worker(plan, home, name) for name in plan.workers]
    return [*parts, _gateway(plan, home)] if plan.gateway else parts


def _temporal(plan: Plan, home: Home) -> Service:
    flags = [
        *("--ip", LOOPBACK, "--port", str(plan.ports["temporal"]), "--ui-port", str(plan.ports["ui"])),
        *("--http-port", str(plan.ports["temporal-http"]), "--metrics-port", str(plan.ports["temporal-metrics"])),
        *("--db-filename", str(home.path / "temporal.db"), "--ui-disable-news-fetch", "--log-level", "warn"),
        *_repeat("--dynamic-config-value", DYNAMIC_CONFIG),
        *_repeat("--sqlite-pragma", SQLITE_PRAGMAS),
        # Heeded only while the database is new; `_temporal_is_ready` adds what an older one lacks.
        *_repeat("--search-attribute", [f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTE_TYPES.items()]),
    ]
    return Service(
        name="temporal",
        command=(find_program("temporal"), "server", "start-dev", *flags),
        env=_inherited(),
        ready=lambda: _temporal_is_ready(plan),
    )


def _temporal_is_ready(plan: Plan) -> bool:
    http_port = plan.ports["temporal-http"]
    if not probes.namespace_is_ready(http_port, NAMESPACE):
        return False
    found = probes.search_attributes(http_port, NAMESPACE)
    if found is None:
        return False
    missing = {name: kind for name, kind in SEARCH_ATTRIBUTE_TYPES.items() if name not in found}
    return all(_create_search_attribute(plan, name, kind) for name, kind in missing.items())


def _create_search_attribute(plan: Plan, name: str, kind: str) -> bool:
    command = [
        *(find_program("temporal"), "operator", "search-attribute", "create", "--name", name, "--type", kind),
        *("--address", plan.temporal_address(), "--namespace", NAMESPACE, "--command-timeout", "5s"),
    ]
    return subprocess.run(command, env=_inherited(), capture_output=True, check=False).returncode == 0


def _store(plan: Plan, home: Home, keys: Mapping[str, Any]) -> Service:
    flags = {
        "dir": str(home.path / "store"),
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "bucket": BUCKET,
        "s3.port": plan.ports["s3"],
        "master.port": plan.ports["weed-master"],
        "volume.port": plan.ports["weed-volume"],
        "filer.port": plan.ports["weed-filer"],
        "admin.port": plan.ports["weed-admin"],
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
    }
    (home.path / "store").mkdir(mode=0o700, exist_ok=True)
    given = keys["store"]
    return Service(
        name="store",
        command=(find_program("weed"), "mini", *(f"-{flag}={value}" for flag, value in flags.items())),
        env=_inherited(
            GOMEMLIMIT="512MiB",  # without it the store takes gigabytes under load and is no faster
            AWS_ACCESS_KEY_ID=given["access_key_id"],
            AWS_SECRET_ACCESS_KEY=given["secret_access_key"],
        ),
        ready=lambda: probes.store_takes_object(plan.ports["s3"], bucket=BUCKET, keys=given),
        tidy=lambda: _remove_weed_sockets(plan),
    )


def _remove_weed_sockets(plan: Plan) -> None:
    folder = Path("/tmp")  # noqa: S108 (SeaweedFS puts them there whatever TMPDIR says)
    for part in ("s3", "master", "volume", "filer", "admin"):
        port = plan.ports["s3" if part == "s3" else f"weed-{part}"]
        (folder / f"seaweedfs-{part}-{port}.sock").unlink(missing_ok=True)
        (folder / f"seaweedfs-{part}-grpc-{port + WEED_OFFSET}.sock").unlink(missing_ok=True)


def _market(plan: Plan, home: Home, keys: Mapping[str, Any]) -> Service:
    port = plan.ports["market"]
    return Service(
        name="market",
        command=(
            *(*plan.market_command, "--data-dir", str(home.path / MARKET_FOLDER), "--port", str(port)),
            # Should the whole stack be killed and not come back, its simulated machines do not live on for ever.
            *("--orphan-after", f"{ORPHANED_AFTER.total_seconds():g}"),
        ),
        env=_inherited(HOLDFAST_SIM_API_KEY=keys["market_key"]),
        ready=lambda: probes.answers(port, "/healthz"),
        # The simulated machines outlive their market on purpose; with the stack they go dark, as in a power cut.
        tidy=lambda: end_all_hosts(home.path / MARKET_FOLDER),
    )


def _worker(plan: Plan, home: Home, name: str) -> Service:
    return _service_of_ours(plan, home, name, plan.worker_command, ports=name)


def _gateway(plan: Plan, home: Home) -> Service:
    listens = {variable("gateway", "port"): str(plan.ports["gateway"])}
    return _service_of_ours(plan, home, "gateway", GATEWAY, ports="gateway-worker", **listens)


def _service_of_ours(
    plan: Plan, home: Home, name: str, command: tuple[str, ...], *, ports: str, **more: str
) -> Service:
    told = {
        variable("data_dir"): str(home.path),
        variable("telemetry", "port"): str(plan.ports[ports]),
        variable("telemetry", "sdk_port"): str(plan.ports[f"{ports}-sdk"]),
    }
    return Service(
        name=name,
        command=command,
        env=_inherited(PYTHONUNBUFFERED="1", **told, **more),
        ready=lambda: probes.answers(plan.ports[ports], "/readyz"),
        is_worker=True,
        grace=timedelta(seconds=25),
    )


def _inherited(**more: str) -> dict[str, str]:
    """Our environment. A static Go program refuses to run for a uid without a name, unless both variables are there.

    Nobody else can put a profile into the home that they then have, as in a temporary folder.
    """
    named = {"USER": os.environ.get("USER") or "holdfast", "HOME": os.environ.get("HOME") or "/"}
    return dict(os.environ) | named | more


def _repeat(flag: str, values: list[str] | tuple[str, ...]) -> list[str]:
    return [part for value in values for part in (flag, value)]
