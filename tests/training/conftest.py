"""Where the trainer runs in these tests: the environment of `make train-test`, in workspaces as a machine has them."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdfast.contracts.training import DataFormat, HyperParameters, TrainingOrder
from holdfast.training.bundle import TRAINER, trainer_bundle

PYTHON = Path(__file__).parents[2] / ".venv/train/bin/python"
HERE = Path(__file__).parent
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}
REASON = "torch, transformers and peft are not installed: `make train-test` installs and runs it, apart from Holdfast"


def beside_torch(*words: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a program of the trainer's environment."""
    return subprocess.run(
        [str(PYTHON), *map(str, words)], env=ENVIRONMENT, capture_output=True, text=True, check=False, **options
    )


@dataclass
class Workspace:
    """A folder with base, data, trainer and order: what a machine is given."""

    folder: Path
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

    def start(self, *before: str) -> "subprocess.Popen[str]":
        self.starts += 1
        environment = ENVIRONMENT | {"HOLDFAST_PROGRESS_FILE": str(self.folder / "progress")} | self.extra
        command = [*(before or (str(PYTHON),)), TRAINER, "train", "run.json"]
        return subprocess.Popen(
            command,
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

    def kill_after(self, step: int, how: signal.Signals = signal.SIGKILL) -> tuple[int, str]:
        """Start it, and end its processes as soon as a state of this step or a later one is written."""
        process = self.start()
        try:
            wait_until(lambda: self.saved_step() >= step or process.poll() is not None)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, how)
        return ended(process)

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


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    told, _ = process.communicate(timeout=600)
    return process.returncode, told


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
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


@pytest.fixture
def workspace(base: Path, tmp_path: Path) -> Callable[[str], Workspace]:
    def make(name: str) -> Workspace:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "base").symlink_to(base)
        return Workspace(folder)

    return make


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
