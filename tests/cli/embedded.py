"""The installed `holdfast` command in processes of its own, against an embedded stack that is brought up once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(sys.executable).with_name("holdfast")
PATIENCE = 120  # seconds for anything that only has to happen
SPEC = "name: {name}\ncommand: {command!r}\nprice: {{max_hourly: {limit}}}\n{more}"


@dataclass(frozen=True)
class Ran:
    """How a command went."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Stack:
    """A data directory, and the environment in which commands find it; nothing of ours leaks in from outside."""

    home: Path
    extra: dict[str, str] = field(default_factory=dict)

    def __call__(self, *argv: str) -> Ran:
        done = subprocess.run(
            [SCRIPT, *argv], env=self.environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def unprivileged(self, *argv: str) -> Ran:
        """As `__call__`, without root's right to read what is locked."""
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*drop, SCRIPT, *argv],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """A command that is left running. Whoever started the tests may have made them deaf to Ctrl-C: it is not."""
        return subprocess.Popen(
            [SCRIPT, *argv],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (it takes no lock)
        )

    def environment(self) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "TEMPORAL_"))}
        return clean | {"HOLDFAST_DATA_DIR": str(self.home)} | self.extra

    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "stack.json").read_text()))

    @contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """One process of the stack hangs, as a machine that swaps or a disk that is full makes it."""
        pid = int(self.state()["processes"][part]["pid"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def spec(self, name: str, *, command: str = "sleep 600", limit: str = "0.90", more: str = "") -> str:
        """A spec file; its path."""
        path = self.home.parent / f"{name}.yaml"
        path.write_text(SPEC.format(name=name, command=command, limit=limit, more=more))
        return str(path)

    def terminate(self, name: str, *, forget: bool = False) -> None:
        """What a person does in the Web UI, with a heavy hand; the server may have forgotten it afterwards."""
        temporal = [str(SCRIPT.with_name("temporal")), "workflow"]
        place = [
            "--workflow-id",
            f"workload/{name}",
            "--address",
            self.state()["settings"]["embedded_temporal"]["address"],
        ]
        subprocess.run([*temporal, "terminate", *place], check=True, capture_output=True, timeout=PATIENCE)
        if forget:
            subprocess.run([*temporal, "delete", "--yes", *place], check=True, capture_output=True, timeout=PATIENCE)

    def alive(self, workload: str) -> dict[int, str]:
        """The labels of a workload's machines that are not destroyed, by their ids."""
        machines = self("sim", "instances", "--json").document
        return {each["id"]: each["label"] for each in machines if each["label"].startswith(f"{workload}.")}

    def labels_alive(self) -> list[str]:
        return [each["label"] for each in self("sim", "instances", "--json").document]

    def labels_billed(self) -> set[str]:
        return {line["label"] for line in self("sim", "bill", "--json").document["lines"]}

    def phase(self, name: str) -> str:
        return str(self("status", name, "--json").document["status"]["phase"])

    def runs(self, name: str, **spec: str) -> None:
        """Start a workload and wait until it runs."""
        started = self("run", self.spec(name, **spec))
        assert started.code == 0, started.err
        until(lambda: self.phase(name) == "running")


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, with patience."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


@contextmanager
def taken_port() -> Iterator[int]:
    """A port of the loopback address on which somebody else listens."""
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]
