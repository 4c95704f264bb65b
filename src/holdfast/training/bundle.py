"""The trainer packed into one file, which any Python with torch, transformers and peft runs."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Final

from holdfast.hosts.packing import packed

TRAINER: Final = "trainer.pyz"
"""What it is called in a workspace."""


@dataclass(frozen=True, kw_only=True)
class TrainerBundle:
    """The packed trainer. Its digest is the version of the code in an adapter's lineage."""

    data: bytes
    digest: str


@cache
def trainer_bundle() -> TrainerBundle:
    """Pack the trainer's modules. Deterministic; done once per process."""
    data = packed("holdfast.training.trainer", as_package="holdfast_trainer")
    return TrainerBundle(data=data, digest=hashlib.sha256(data).hexdigest())
