"""What a folder says of the model in it: kind, licence, and what it needs. Only heads of files are read."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

import yaml

from holdfast.contracts.models import ModelFile, ModelKind, ModelNeeds
from holdfast.models.errors import SourceRefused
from holdfast.models.fetching import sha256_of
from holdfast.policy.model_files import kind_of
from holdfast.policy.model_memory import Measured, needs_of

_LONGEST_HEAD = 100 * 1024 * 1024
"""Bytes of a safetensors header: the format's own limit."""
_DTYPES: Final = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "I8": "int8"}
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf")
_PACKED = ("I32", "U8", "I8", "U32", "F8_E4M3", "F8_E5M2")  # types in which quantized weights are stored
_CARD_HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*\n", re.DOTALL)


def files_of(folder: Path, *, taken: Iterable[ModelFile] | None = None) -> tuple[ModelFile, ...]:
    """Every file of a folder with its SHA-256, or those that were chosen; links into it count as what they lead to.

    Raises:
        SourceRefused: it is no folder, or nothing is in it.
    """
    if taken is None:
        taken = listed(folder)
    return tuple(ModelFile(path=each.path, size=each.size, sha256=sha256_of(folder / each.path)) for each in taken)


def listed(folder: Path) -> tuple[ModelFile, ...]:
    """Every file of a folder, not read yet."""
    if not folder.is_dir():
        raise SourceRefused(f"{folder} is no folder" if folder.exists() else f"there is no {folder}")
    found = sorted(each for each in folder.rglob("*") if each.is_file())
    if not found:
        raise SourceRefused(f"there is no file in {folder}")
    return tuple(ModelFile(path=each.relative_to(folder).as_posix(), size=each.stat().st_size) for each in found)


def digest_of(files: Sequence[ModelFile]) -> str:
    """One SHA-256 over all paths, sizes and hashes: equal for equal content, wherever it came from."""
    rows = sorted([each.path, each.size, each.sha256] for each in files)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def kind_in(folder: Path, files: Sequence[ModelFile], stated: ModelKind | None) -> ModelKind:
    """The stated kind, or the one that the files say.

    Raises:
        SourceRefused: neither does.
    """
    found = stated or kind_of([each.path for each in files], config_of(folder))
    if found is None:
        raise SourceRefused("its files do not say what kind of model it is; state it with --kind")
    return found


def needs_in(folder: Path, files: Sequence[ModelFile], kind: ModelKind) -> ModelNeeds:
    """What is known of its memory, from its files and its config."""
    return needs_of(config_of(folder), kind=kind, measured=measured(folder, files))


def licence_in(folder: Path) -> str:
    """What the head of its README says; "" where it says nothing."""
    card = folder / "README.md"
    head = _CARD_HEAD.match(card.read_text(errors="replace")) if card.is_file() else None
    try:
        told = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        return ""
    return str(told.get("license") or "") if isinstance(told, Mapping) else ""


def config_of(folder: Path) -> Mapping[str, Any]:
    """Its `config.json`; empty where it has none."""
    return _json(folder / "config.json")


def measured(folder: Path, files: Sequence[ModelFile]) -> Measured | None:
    """What its weights come to; None where none are found."""
    weights = [each for each in files if each.path.endswith(_WEIGHTS)]
    if not weights:
        return None
    if not all(each.path.endswith(".safetensors") for each in weights):
        return Measured(weights_bytes=sum(each.size for each in weights), source="sizes of its files")
    return _of_tensors([head_of(folder / each.path) for each in weights])


def head_of(path: Path) -> Mapping[str, Any]:
    """The header of a safetensors file: eight bytes of length, then JSON.

    Raises:
        SourceRefused: it is none.
    """
    with path.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        if not 2 <= length <= _LONGEST_HEAD:
            raise SourceRefused(f"{path.name} is no safetensors file")
        try:
            head = json.loads(source.read(length))
        except ValueError:
            raise SourceRefused(f"{path.name} is no safetensors file") from None
    if not isinstance(head, dict):
        raise SourceRefused(f"{path.name} is no safetensors file")
    return head


def _of_tensors(heads: Sequence[Mapping[str, Any]]) -> Measured:
    values, size = 0, Counter[str]()
    try:
        for head in heads:
            for name, tensor in head.items():
                if name != "__metadata__":
                    values += prod(tensor["shape"])
                    size[tensor["dtype"]] += tensor["data_offsets"][1] - tensor["data_offsets"][0]
    except (KeyError, TypeError, IndexError) as err:
        raise SourceRefused(f"a safetensors header makes no sense: {err}") from None
    packed = any(each in size for each in _PACKED)
    most = size.most_common(1)[0][0] if size else ""
    return Measured(
        weights_bytes=size.total(),
        source="safetensors headers",
        parameters=None if packed else values,
        dtype=_DTYPES.get(most, most),
    )


def _json(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError:
        raise SourceRefused(f"{path.name} is no JSON") from None
    return told if isinstance(told, dict) else {}
