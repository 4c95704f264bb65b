"""Where the lane runs, how large its models are, and what it measured.

HOLDFAST_GPU_DEVICE=cpu runs the same tests with tiny models on a computer without a GPU: for whoever changes them. What
is measured so says nothing. HOLDFAST_GPU_FIGURES names the file that the figures go to.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from holdfast.contracts.training import DataFormat
from tests.training import conftest as beside
from tests.training.conftest import Workspace, conversations

DEVICE: Final = os.environ.get("HOLDFAST_GPU_DEVICE", "cuda")
ON_GPU: Final = DEVICE == "cuda"
PYTHON: Final = beside.PYTHON if beside.PYTHON.exists() else Path(sys.executable)
"""Of the trainer: the environment of `make train-test`, or this one where that was not made."""
_PASSED_ON = ("LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES")
_ASKED = "import sys, torch, transformers, peft; sys.exit(sys.argv[1] == 'cuda' and not torch.cuda.is_available())"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a model is, and how much it reads at a step."""

    hidden: int
    layers: int
    heads: int
    words: int  # in each answer, about seven tokens each
    batch: int
    accumulate: int


@dataclass(frozen=True, kw_only=True)
class Lane:
    """Sized so that all of it takes some five minutes on a GPU."""

    real: Scale  # of real size: some 600 million parameters, in bf16
    small: Scale  # for methods whose state is many times as large as an adapter's
    cadence: float  # seconds between two checkpoints, and how long a window is
    pairs: int  # of windows, one without checkpoints and one with


LANE: Final = (
    Lane(
        real=Scale(hidden=2048, layers=12, heads=16, words=130, batch=4, accumulate=2),
        small=Scale(hidden=768, layers=6, heads=6, words=10, batch=4, accumulate=2),
        cadence=15,
        pairs=3,
    )
    if ON_GPU
    else Lane(
        real=Scale(hidden=64, layers=2, heads=4, words=2, batch=2, accumulate=2),
        small=Scale(hidden=32, layers=2, heads=4, words=0, batch=2, accumulate=2),
        cadence=3,
        pairs=2,
    )
)


@cache
def lacks() -> str:
    """Why this cannot be run here; "" where it can."""
    if ON_GPU and shutil.which("nvidia-smi") is None:
        return "no NVIDIA driver here: nvidia-smi is not installed"
    told = subprocess.run([PYTHON, "-c", _ASKED, DEVICE], capture_output=True, text=True, check=False)
    kind = "that sees the GPU" if ON_GPU else "with transformers and peft"
    return "" if told.returncode == 0 else f"no torch here {kind}: {told.stderr.strip()[-200:]}"


def has(module: str) -> bool:
    """Whether the trainer's Python has it."""
    asked = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([PYTHON, "-c", asked], check=False).returncode == 0


def environment() -> dict[str, str]:
    """What the trainer needs of this computer's environment to find the GPU and its libraries."""
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return found if ON_GPU else found | {"CUDA_VISIBLE_DEVICES": ""}


def make_base(folder: Path, scale: Scale) -> Path:
    """A model of this size, with weights that chance chose."""
    words: list[object] = [PYTHON, Path(beside.__file__).parent / "tiny.py", folder]
    words += ["--hidden", scale.hidden, "--layers", scale.layers, "--heads", scale.heads, "--positions", 2048]
    words += ["--half", "--on", DEVICE]
    made = subprocess.run([str(each) for each in words], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder


def size_of(folder: Path) -> int:
    """Bytes of the files in it."""
    return sum(each.stat().st_size for each in folder.iterdir())


def ordered(workspace: Workspace, scale: Scale, **changes: Any) -> Workspace:
    """The workspace with data and an order in it."""
    parameters: dict[str, Any] = {
        "precision": "bf16",
        "batch": scale.batch,
        "accumulate": scale.accumulate,
        "rate": 0.001,
    }
    data = conversations(200)
    for each in data:
        each["messages"][-1]["content"] += " indeed" * scale.words
    return workspace.order(data, DataFormat.MESSAGES, **parameters | changes)


_FIGURES: dict[str, Any] = {}


def measured(name: str, **figures: Any) -> None:
    """Keep what was measured, at once: a lane that is cut off leaves what it had."""
    _FIGURES[name] = figures
    if path := os.environ.get("HOLDFAST_GPU_FIGURES"):
        Path(path).write_text(figures_page() + "\n", encoding="utf-8")


def figures_page() -> str:
    return json.dumps({"device": DEVICE, **_FIGURES}, indent=1)


def any_figures() -> bool:
    return bool(_FIGURES)
