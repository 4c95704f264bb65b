"""What is to be trained: the file `run.json`, as `holdfast.contracts.training` writes it.

Paths in it are relative to the folder that the trainer runs in, the workspace.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from . import files
from .failures import ORDER_INVALID, TrainerFailure

_NO_MATTER = ("save_every", "save_share", "samples", "evaluate_every", "merge")  # to what is learned


@dataclass(frozen=True)
class Lora:
    """The adapter's shape."""

    rank: int
    alpha: float
    dropout: float
    targets: list[str]  # names of layers; empty: every linear layer but the last


@dataclass(frozen=True)
class Samples:
    """What the model is asked now and then, so that a person sees it learn."""

    prompts: list[str]
    every: int  # steps; 0: only before the first step and after the last
    tokens: int


@dataclass(frozen=True)
class Parameters:
    """How it is trained. The defaults are the contract's: nothing is decided here."""

    method: str  # lora, qlora, full or dpo
    epochs: float
    steps: int | None  # instead of epochs
    batch: int  # examples at a time on each GPU
    accumulate: int  # such batches for one step
    rate: float
    schedule: str  # cosine, linear or constant
    warmup: float  # share of the steps
    weight_decay: float
    clip: float  # largest norm of the gradients
    max_length: int  # tokens
    too_long: str  # refuse, skip or cut
    seed: int
    precision: str  # bf16 or fp32
    gradient_checkpointing: bool
    lora: Lora
    beta: float  # of dpo
    held_out: float  # share of the examples
    evaluate_every: int  # steps; 0: only at the end
    samples: Samples
    save_every: float  # seconds
    save_share: float  # largest share of the time that may go into writing states
    merge: bool
    threads: int


@dataclass(frozen=True)
class Order:
    """One training."""

    base: str  # folder
    base_name: str  # what it is called and at which revision, for the adapter's card
    data: str  # file
    data_format: str
    data_sha256: str
    output: str  # folder; it is there when the training is done, and not before
    state: str  # folder
    parameters: Parameters

    @property
    def is_done(self) -> bool:
        return (Path(self.output) / files.FACTS).is_file()

    @property
    def mark(self) -> str:
        """One SHA-256 over all that decides what is learned: another one is another training."""
        told = asdict(self)
        for name in _NO_MATTER:
            del told["parameters"][name]
        kept = {name: told[name] for name in ("base_name", "data_format", "data_sha256", "parameters")}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def read(path: str) -> Order:
    """The order in a file.

    Raises:
        TrainerFailure: it is none.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise TrainerFailure(ORDER_INVALID, f"{path} cannot be read: {err}") from None
    parameters = _taken(document, "parameters", path)
    parameters["lora"] = _made(Lora, _taken(parameters, "lora", path))
    parameters["samples"] = _made(Samples, _taken(parameters, "samples", path))
    document["parameters"] = _made(Parameters, parameters)
    order: Order = _made(Order, document)
    return order


def _taken(document: Any, name: str, path: str) -> dict[str, Any]:
    if not isinstance(document, dict) or not isinstance(document.get(name), dict):
        raise TrainerFailure(ORDER_INVALID, f"{path} has no {name}")
    taken: dict[str, Any] = document.pop(name)
    return taken


def _made(kind: Any, values: dict[str, Any]) -> Any:
    known = {each.name for each in fields(kind)}
    if wrong := sorted(known ^ values.keys()):
        raise TrainerFailure(ORDER_INVALID, f"{kind.__name__}: unknown or missing: {', '.join(wrong)}")
    return kind(**values)
