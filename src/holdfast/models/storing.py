"""A folder with a model becomes files in the store that a version may be given to.

The store is the checkpoints' own: a replica begins with a model as a workload begins with checkpoint zero, in chunks,
from the nearest mirror, every one verified.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.models import ModelFile, ModelKind, StoredModel
from holdfast.contracts.names import model_record
from holdfast.hosts.local import LocalChannel
from holdfast.models import inspecting
from holdfast.models.errors import SourceRefused
from holdfast.policy.model_files import wanted


async def store_folder(
    engine: CheckpointEngine,
    folder: Path,
    *,
    name: str,
    files: Sequence[ModelFile],
    kind: ModelKind | None,
    memory_bytes: int | None,
) -> StoredModel:
    """Save the folder, which holds these files and nothing else.

    Raises:
        SourceRefused: its files do not say what kind of model it is, or are none that could be.
        CheckpointError, AgentError, ChannelLost: as a save does.
    """
    found = await asyncio.to_thread(inspecting.kind_in, folder, files, kind)
    needs = await asyncio.to_thread(inspecting.needs_in, folder, files, found)
    licence = await asyncio.to_thread(inspecting.licence_in, folder)
    saved = await engine.save(
        LocalChannel(),
        workload=model_record(name),
        epoch=0,
        sequence=0,
        workspace=str(folder),
        base_manifest=None,
        reason=SaveReason.WORKDIR,
    )
    return StoredModel(
        digest=inspecting.digest_of(files),
        files=tuple(files),
        manifest=saved.manifest,
        kind=found,
        needs=replace(needs, stated_bytes=memory_bytes),
        licence=licence,
    )


@contextmanager
def laid_out(folder: Path, scratch: Path, only: Sequence[str] = ()) -> Iterator[Path]:
    """The files of a local folder that make the model, each as a file of its own, for as long as the block runs.

    The hub's cache is a folder of links that lead out of it, and a folder may hold the same weights twice. Files are
    linked, not copied, where the disk is the same.

    Raises:
        SourceRefused: it is no folder, or nothing is in it.
    """
    chosen = wanted(inspecting.listed(folder), only)
    if not chosen:
        raise SourceRefused(f"no file in {folder} is wanted")
    with _laid_out({each.path: folder / each.path for each in chosen}, scratch) as place:
        yield place


@contextmanager
def laid_out_as_it_is(path: Path, scratch: Path, only: Sequence[str] = ()) -> Iterator[Path]:
    """The same for a file, or all files of a folder, whatever they are."""
    if path.is_file():
        chosen = {path.name: path}
    else:
        listed = inspecting.listed(path)
        chosen = {each.path: path / each.path for each in listed if _is_meant(each.path, only)}
    if not chosen:
        raise SourceRefused(f"no file in {path} is wanted")
    with _laid_out(chosen, scratch) as place:
        yield place


@contextmanager
def _laid_out(files: Mapping[str, Path], scratch: Path) -> Iterator[Path]:
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch) as place:
        for name, source in files.items():
            target = Path(place) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(source, target)
        yield Path(place)


def _is_meant(path: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(path, pattern) for pattern in only)


def _link(source: Path, target: Path) -> None:
    real = source.resolve()
    try:
        os.link(real, target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(real, target)
