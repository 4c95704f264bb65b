"""An input of a job: its files in a folder, proven, and from there in the store."""

import asyncio
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.jobs import InputSpec, StagedInput
from holdfast.contracts.models import ModelFile, ModelPlan
from holdfast.contracts.names import job_record
from holdfast.hosts.local import LocalChannel
from holdfast.models.errors import SourceRefused
from holdfast.models.inspecting import digest_of, files_of
from holdfast.models.storing import laid_out_as_it_is
from holdfast.policy.model_files import refuse_odd_paths

MOST_FILES = 100_000
_NEVER = (".gitattributes", ".gitignore")


def wanted_of(plan: ModelPlan, order: InputSpec) -> tuple[ModelFile, ...]:
    """What is fetched of it.

    Raises:
        SourceRefused: nothing is there, or its files cannot be such of a folder.
    """
    try:
        refuse_odd_paths(plan.files)
    except ValueError as odd:
        raise SourceRefused(f"{order.source}: {odd}") from None
    kept = tuple(each for each in plan.files if _is_wanted(each.path, order.only))
    if not kept:
        raise SourceRefused(f"{order.source} has no file that is wanted")
    if len(kept) > MOST_FILES:
        raise SourceRefused(f"{order.source} has {len(kept)} files; {MOST_FILES} are the most of one input")
    return kept


def proven(files: Sequence[ModelFile], order: InputSpec, *, single: bool) -> str:
    """The digest by which an input is pinned: of one file its own SHA-256, of a folder one over all of its files.

    Raises:
        SourceRefused: the spec pins another.
    """
    digest = files[0].sha256 if single else digest_of(files)
    if order.sha256 is not None and digest != order.sha256:
        raise SourceRefused(
            f"{order.source} is not what the spec pins: its SHA-256 is {digest}, and should be {order.sha256}"
        )
    return digest


async def stored(
    engine: CheckpointEngine,
    folder: Path,
    files: Sequence[ModelFile],
    order: InputSpec,
    *,
    job: str,
    source: str,
    single: bool,
) -> StagedInput:
    """Save a folder that holds these files and nothing else. Repeatable: a repeat sends only what the store lacks."""
    digest = proven(files, order, single=single)
    saved = await engine.save(
        LocalChannel(),
        workload=job_record(job),
        epoch=0,
        sequence=0,
        workspace=str(folder),
        base_manifest=None,
        reason=SaveReason.WORKDIR,
    )
    return StagedInput(
        source=source,
        at=order.at,
        sha256=digest,
        manifest=saved.manifest,
        files=len(files),
        bytes_total=sum(each.size for each in files),
        single=single,
    )


async def stage_local(
    engine: CheckpointEngine, path: Path, order: InputSpec, *, job: str, scratch: Path
) -> StagedInput:
    """A file or a folder of this computer.

    Raises:
        SourceRefused: it is not there, or is not what the spec pins.
    """
    single = await asyncio.to_thread(path.is_file)
    with laid_out_as_it_is(path, scratch, order.only) as place:
        files = await asyncio.to_thread(files_of, place)
        return await stored(engine, place, files, order, job=job, source=order.source, single=single)


def _is_wanted(path: str, only: Sequence[str]) -> bool:
    if only:
        return any(fnmatchcase(path, pattern) for pattern in only)
    return path.rpartition("/")[2] not in _NEVER
