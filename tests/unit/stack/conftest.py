"""Stacks in a directory of their own, as processes of their own, always ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.workers.stack.commands import StackStatus, down, status

FAKE_WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
PATIENCE = 60.0


def eventually(what: Callable[[], bool]) -> None:
    """Wait for a condition, generously; the test fails if it never holds."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


class Stack:
    """`holdfast up` on one directory. The foreground runs in a child process, as it does in a terminal."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.launcher: subprocess.Popen[str] | None = None

    def up(self, *, detach: bool = False, options: str = "") -> "subprocess.Popen[str]":
        """Start; returns when it is ready, or has failed."""
        program = (
            "import sys\n"
            "from pathlib import Path\n"
            "from holdfast.workers.stack.commands import up\n"
            "from holdfast.workers.stack.errors import StackError\n"
            "from holdfast.workers.stack.plan import UpOptions\n"
            f"options = dict(data_dir=Path({str(self.data_dir)!r}), auto_ports=True, detach={detach},"
            f" worker_command={FAKE_WORKER!r})\n"
            f"options |= dict({options})\n"
            "try:\n"
            "    up(UpOptions(**options), lambda line: print(line, flush=True))\n"
            "except StackError as err:\n"
            "    sys.exit(str(err))\n"
        )
        log = (self.data_dir.parent / "up.log").open("w")
        self.launcher = subprocess.Popen([sys.executable, "-c", program], stdout=log, stderr=log, text=True)
        eventually(lambda: "Ready." in self.said() or self.ended())
        return self.launcher

    def said(self) -> str:
        return (self.data_dir.parent / "up.log").read_text()

    def ended(self) -> bool:
        return self.launcher is not None and self.launcher.poll() is not None

    def status(self) -> StackStatus:
        return status(self.data_dir)

    def pid(self, name: str) -> int:
        return next(each.pid for each in self.status().processes if each.name == name)

    def lives(self, name: str, *, restarts: int) -> bool:
        return any(each.name == name and each.lives and each.restarts == restarts for each in self.status().processes)

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path / "data")
    yield made
    down(made.data_dir, lambda _: None)
    if made.launcher:
        made.launcher.wait(PATIENCE)


@pytest.fixture
def workers_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings that place every server elsewhere, so that a stack is one worker and starts at once."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("HOLDFAST_STORE__KIND", "folder")
    monkeypatch.setenv("HOLDFAST_PROVIDERS__VAST__API_KEY", "unused")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("HOLDFAST_", "TEMPORAL_")):
            monkeypatch.delenv(name)
