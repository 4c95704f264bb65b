"""What the demo plays on: a fresh directory, the training example, and the same training undisturbed beside it."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from holdfast.cli.commands.run import load
from holdfast.contracts.spec import WorkloadSpec
from holdfast.simcloud.control import SimControl

STEPS = 320
PACE = 0.1
"""Seconds per step: slow enough to be struck twice in the middle of its work."""
WEIGHTS = "weights.npz"


@dataclass(frozen=True)
class Stage:
    spec: WorkloadSpec
    workdir: Path
    market: SimControl
    undisturbed: "Undisturbed"


class Undisturbed:
    """The same script with the same seed on this computer, with nobody to disturb it."""

    def __init__(self, script: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._weights = folder / WEIGHTS
        self._run = subprocess.Popen(
            [sys.executable, str(script), "--steps", str(STEPS)],
            cwd=folder,
            stdout=(folder / "log").open("w"),
            stderr=subprocess.STDOUT,
        )

    def digest(self) -> str:
        """Wait for its end; SHA-256 of its weights."""
        if code := self._run.wait():
            raise RuntimeError(f"the undisturbed run ended with code {code}; see {self._weights.with_name('log')}")
        return digest(self._weights)

    def end(self) -> None:
        """It does not outlive the play."""
        self._run.kill()
        self._run.wait()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def set_stage(data_dir: Path, market_dir: Path) -> Iterator[Stage]:
    """The stage for one play; a stack must run on `data_dir`."""
    example = find_example()
    spec, workdir = load(example / "train.yaml")
    assert workdir is not None, "the example has a workdir"
    spec = spec.model_copy(update={"command": f"python3 train.py --steps {STEPS} --pace {PACE}"})
    undisturbed = Undisturbed(example / "train.py", data_dir / "undisturbed")
    try:
        with SimControl.of_data_dir(market_dir) as market:
            yield Stage(spec, workdir, market, undisturbed)
    finally:
        undisturbed.end()


def find_example(name: str = "train") -> Path:
    """An example's folder: inside an installed package, or beside the sources in a checkout."""
    packed = Path(str(resources.files("holdfast.cli.demo"))) / name
    checkout = Path(__file__).resolve().parents[4] / "examples" / name
    for folder in (packed, checkout):
        if folder.is_dir() and any(folder.glob("*.yaml")):
            return folder
    raise FileNotFoundError(f"the example {name!r} is neither in {packed} nor in {checkout}")
