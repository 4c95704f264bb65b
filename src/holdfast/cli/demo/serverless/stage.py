"""What it plays on: the serverless example with weights of its own, under two names that sleep in two ways."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast.cli.demo.stage import find_example
from holdfast.client.specs import read_endpoint_spec
from holdfast.contracts.endpoints import EndpointSpec
from holdfast.contracts.spec import PauseMode
from holdfast.embedded import MARKET_FOLDER
from holdfast.simcloud.control import SimControl
from holdfast.workers.stack.commands import status

WEIGHTS_SEED = 7
WEIGHTS = "weights.bin"


@dataclass(frozen=True)
class Stage:
    stopping: EndpointSpec  # its machine is stopped while it sleeps
    leaving: EndpointSpec  # its machine is let go
    workdir: Path
    market: SimControl
    gateway: str
    model: Any  # the example's own, with the same weights that the machines get

    def right_answer(self, prompt: str, count: int, seed: int) -> str:
        """Computed on this computer."""
        return "".join(self.model.letters(prompt, count, seed))


@contextmanager
def set_stage(home: Path) -> Iterator[Stage]:
    """The stage for one play; a stack with a gateway must run on `home`."""
    workdir = home / "tiny"
    not_ours = shutil.ignore_patterns("__pycache__", WEIGHTS)
    shutil.copytree(find_example("serverless"), workdir, ignore=not_ours, dirs_exist_ok=True)
    example = load_model(workdir / "model.py")
    (workdir / WEIGHTS).write_bytes(example.draw_weights(WEIGHTS_SEED).tobytes())
    stopping = read_endpoint_spec((workdir / "endpoint.yaml").read_text(), source="endpoint.yaml")
    with SimControl.of_data_dir(home / MARKET_FOLDER) as market:
        yield Stage(
            stopping=stopping,
            leaving=_that_leaves(stopping),
            workdir=workdir,
            market=market,
            gateway=status(home).addresses["Gateway"],
            model=example.Model.load(workdir / WEIGHTS),
        )


def _that_leaves(spec: EndpointSpec) -> EndpointSpec:
    sleep = spec.sleep.model_copy(update={"mode": PauseMode.CHECKPOINT})
    return spec.model_copy(update={"name": f"{spec.name}-saved", "sleep": sleep})


def load_model(path: Path) -> ModuleType:
    """The example's `model.py`, as a module."""
    spec = importlib.util.spec_from_file_location("holdfast_demo_model", path)
    assert spec is not None, "a file of Python"
    assert spec.loader is not None, "a file of Python"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
