"""Everything that the next step depends on, in one file that is replaced whole.

What is *not* in it follows from the order and the number of the step alone: the learning rate, and which examples come
next. So there is no scheduler and no reader whose place could be lost.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from . import files
from .failures import STATE_UNUSABLE, TrainerFailure

_FORM = 1


def save(folder: Path, document: Mapping[str, Any]) -> None:
    """Replace the state. Whatever happens, there is a whole one: this or the one before."""
    draft = folder / f"{files.STATE}.draft"
    with draft.open("wb") as file:
        torch.save({"form": _FORM, **document}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / files.STATE)
    files.settle(folder)


def load(folder: Path, *, order: str) -> dict[str, Any] | None:
    """The newest state; None where there is none.

    Raises:
        TrainerFailure: it cannot be read, or is that of another order.
    """
    path = folder / files.STATE
    if not path.exists():
        return None
    try:
        document: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # a file of ours is whole, so whatever is wrong here is not to be trained on
        raise TrainerFailure(STATE_UNUSABLE, f"{path} cannot be read: {err}") from err
    if document.get("form") != _FORM or document.get("order") != order:
        raise TrainerFailure(
            STATE_UNUSABLE,
            f"{path} is the state of another training; remove it, or train under another name",
        )
    return document
