"""Where the trainer runs in these tests: the environment of `make train-test`, in workspaces as a machine has them."""

import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from holdfast.contracts.training import DataFormat, HyperParameters, TrainingOrder
from holdfast.training.bundle import TRAINER, trainer_bundle

PYTHON = Path(__file__).parents[2] / ".venv/train/bin/python"
HERE = Path(__file__).parent
PATIENCE = 900.0  # seconds for anything that only has to happen, on a computer that does much else
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}
REASON = "torch, transformers and peft are not installed: `make train-test` installs and runs it, apart from Holdfast"


def beside_torch(*words: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program of the trainer's environment."""
    return subprocess.run(
        [str(PYTHON), *map(str, words)], env=ENVIRONMENT, capture_output=True, text=True, check=False, **options
    )


class Started(Protocol):
    """A program that was begun: what these tests use of a `Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...

    def communicate(self, *, timeout: float) -> tuple[str, Any]: ...


class Fork:
    """A program of `warm.py`."""

    def __init__(self, door: Path, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Path) -> None:
        self._out = out
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(door))
        self._said = self._line.makefile("r")
        asked = {"words": list(words), "cwd": str(cwd), "env": dict(env), "out": str(out)}
        self._line.sendall(json.dumps(asked).encode() + b"\n")
        self.pid = int(self._said.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self._end()
        return self.returncode

    def communicate(self, *, timeout: float) -> tuple[str, None]:
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("warm.py", timeout)
            self._end()
        return self._out.read_text(errors="replace"), None

    def _end(self) -> None:
        self.returncode = int(self._said.readline())
        self._said.close()
        self._line.close()


@dataclass
class Workspace:
    """A folder with base, data, trainer and order: what a machine is given."""

    folder: Path
    warm: Path | None = None  # where `warm.py` listens; None: each start is an interpreter of its own
    starts: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    def order(self, data: list[dict[str, Any]], form: DataFormat, **parameters: Any) -> "Workspace":
        lines = "".join(json.dumps(each) + "\n" for each in data).encode()
        (self.folder / "data.jsonl").write_bytes(lines)
        (self.folder / TRAINER).write_bytes(trainer_bundle().data)
        order = TrainingOrder(
            base="base",
            base_name="tiny@1",
            data="data.jsonl",
            data_format=form,
            data_sha256=hashlib.sha256(lines).hexdigest(),
            parameters=HyperParameters.model_validate({"precision": "fp32", "save_every": "0s", **parameters}),
        )
        self.rewrite(order.document())
        return self

    def document(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "run.json").read_text()))

    def rewrite(self, document: dict[str, Any]) -> None:
        (self.folder / "run.json").write_text(json.dumps(document))

    def start(self, *before: str, doom: tuple[int, signal.Signals] | None = None) -> Started:
        """Begin it: `before` is the launcher, if there is one; `doom` the step at which a signal hits it."""
        self.starts += 1
        environment = ENVIRONMENT | {"HOLDFAST_PROGRESS_FILE": str(self.folder / "progress")} | self.extra
        words = [TRAINER, "train", "run.json"]
        if doom is not None:
            words = [str(HERE / "doomed.py"), str(doom[0]), str(int(doom[1])), *words]
        if self.warm is not None and not before:
            out = self.folder.with_name(f"{self.folder.name}.{self.starts}.out")
            return Fork(self.warm, words, cwd=self.folder, env=environment, out=out)
        return subprocess.Popen(
            [*(before or (str(PYTHON),)), *words],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def train(self, *before: str) -> str:
        """To the end; what it printed."""
        code, told = ended(self.start(*before))
        assert code == 0, told
        return told

    def refused(self) -> tuple[int, str]:
        return ended(self.start())

    def hit_at(self, step: int, *before: str, how: signal.Signals = signal.SIGKILL) -> tuple[int, str]:
        """Start it, to be hit by a signal once a state of this step or a later one is written."""
        return ended(self.start(*before, doom=(step, how)))

    def saved_step(self) -> int:
        """The last step that was told, once a state is there."""
        steps = [each["step"] for each in self.metrics()]
        return steps[-1] if steps and (self.folder / "state/training.pt").exists() else -1

    def lines(self, name: str) -> list[dict[str, Any]]:
        try:
            text = (self.folder / name).read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def metrics(self) -> list[dict[str, Any]]:
        return self.lines("metrics.jsonl")

    def losses(self) -> list[tuple[int, float, float, float]]:
        return [(each["step"], each["loss"], each["lr"], each["grad_norm"]) for each in self.metrics()]

    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "output/training.json").read_text()))

    def digests(self) -> dict[str, str]:
        """Of every file of the result but the page of facts, as they lie there."""
        found = (self.folder / "output").rglob("*")
        return {
            each.relative_to(self.folder).as_posix(): hashlib.sha256(each.read_bytes()).hexdigest()
            for each in sorted(found)
            if each.is_file() and each.name != "training.json"
        }


def ended(process: Started) -> tuple[int, str]:
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode is not None
    return process.returncode, told


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


@pytest.fixture(scope="session", autouse=True)
def _environment() -> None:
    if not PYTHON.exists():
        pytest.skip(REASON)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Path:
    """The tiny model's folder."""
    folder = tmp_path_factory.mktemp("base")
    made = beside_torch(HERE / "tiny.py", folder)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Iterator[Path]:
    """Where `warm.py` listens: torch is imported once, and not at each start."""
    folder = tmp_path_factory.mktemp("warm")
    door = folder / "door"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, HERE / "warm.py", door], env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: door.exists() or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield door
    finally:
        process.kill()
        process.wait()


def laid_out(folder: Path, base: Path, warm: Path | None) -> Workspace:
    folder.mkdir()
    (folder / "base").symlink_to(base)
    return Workspace(folder, warm=warm)


@pytest.fixture
def workspace(base: Path, warm: Path, tmp_path: Path) -> Callable[[str], Workspace]:
    """Makes folders in which the trainer starts at once."""
    return lambda name: laid_out(tmp_path / name, base, warm)


@pytest.fixture
def cold(base: Path, tmp_path: Path) -> Callable[[str], Workspace]:
    """The same, with an interpreter of its own for each start."""
    return lambda name: laid_out(tmp_path / name, base, None)


def conversations(count: int) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "system", "content": "You add."},
                {"role": "user", "content": f"what is {number} plus {number}?"},
                {"role": "assistant", "content": f"it is {2 * number}." + " indeed" * (number % 3)},
            ]
        }
        for number in range(count)
    ]


def preferences(count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"what is {number} plus two? ", "chosen": f"{number + 2}", "rejected": f"{number + 3} or so"}
        for number in range(count)
    ]
