"""Which files of a repository make a model, and what kind of model they make."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from holdfast.contracts.models import ModelFile, ModelKind

_NEVER = (".gitattributes", ".gitignore")
# The same weights for other frameworks, each in a form that no recipe loads.
_OTHER_FORMS = (".h5", ".msgpack", ".ot", ".onnx", ".onnx_data", ".tflite", ".mlmodel", ".pb")
_OTHER_FOLDERS = ("onnx", "openvino", "coreml", "original", "metal", "flax", ".git")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_INDEX = (".bin.index.json",)


def wanted(files: Sequence[ModelFile], only: Sequence[str] = ()) -> tuple[ModelFile, ...]:
    """What is fetched: safetensors where there are any, and no second copy of the same weights in another form.

    Where patterns are given, such as `*Q4_K_M.gguf`, the files that match one of them and nothing else.
    """
    if only:
        return tuple(each for each in files if any(fnmatchcase(each.path, pattern) for pattern in only))
    kept = [each for each in files if not _is_other_form(each.path)]
    pipeline = any(each.path == "model_index.json" for each in kept)
    safe = {str(PurePosixPath(each.path).parent) for each in kept if each.path.endswith(".safetensors")}
    return tuple(each for each in kept if not _is_second_copy(each.path, safe, pipeline))


def kind_of(paths: Sequence[str], config: Mapping[str, Any]) -> ModelKind | None:
    """What kind of model these files are; None where they do not say."""
    if "model_index.json" in paths:
        return ModelKind.IMAGE
    if "modules.json" in paths:  # sentence-transformers
        return ModelKind.EMBEDDING
    architectures = [str(each) for each in config.get("architectures") or ()]
    if config.get("model_type") == "whisper" or ("vocabulary.json" in paths and "model.bin" in paths):
        return ModelKind.SPEECH
    if any(each.endswith(("ForCausalLM", "ForConditionalGeneration")) for each in architectures):
        return ModelKind.LLM
    if config.get("model_type") in ("bert", "roberta", "xlm-roberta", "distilbert"):
        return ModelKind.EMBEDDING
    return None


def refuse_odd_paths(files: Sequence[ModelFile]) -> None:
    """Whatever a source says: every path is relative, plain and stands once, and leads nowhere but into its folder.

    Raises:
        ValueError: names the first that is not so.
    """
    seen = set[str]()
    for each in files:
        parts = each.path.split("/")
        odd = {"", ".", ".."}.intersection(parts) or any(mark in each.path for mark in ("\0", "\\", "\n"))
        if odd or each.path in seen or each.size < 0:
            raise ValueError(f"{each.path[:200]!r} cannot be a file of a model")
        seen.add(each.path)


def _is_other_form(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return path.endswith(_OTHER_FORMS) or parts[-1] in _NEVER or parts[0] in _OTHER_FOLDERS


def _is_second_copy(path: str, safe: set[str], pipeline: bool) -> bool:
    where = PurePosixPath(path)
    folder, name = str(where.parent), where.name
    if pipeline and folder == "." and path.endswith((*_PICKLED, ".safetensors")):
        return True  # a whole pipeline in one file, beside its parts
    if folder in safe and name.endswith((*_PICKLED, *_INDEX)):
        return True
    # In its makers' own layout, beside the common one.
    return name.startswith("consolidated") and name.endswith((".safetensors", ".pth"))
