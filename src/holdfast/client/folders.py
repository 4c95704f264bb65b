"""Folders of this computer to and from the store: checkpoint zero, and restores for people.

The bytes go straight between this computer and the store; no worker and no machine is needed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from holdfast.checkpoints import errors
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.format import REPOSITORY
from holdfast.checkpoints.stores.base import Store
from holdfast.checkpoints.stores.opening import open_mirror, open_store
from holdfast.client.errors import (
    CheckpointCorrupt,
    FolderNotEmpty,
    FolderUnusable,
    HoldfastError,
    ModelInvalid,
    NoCheckpoint,
    OperationFailed,
    SourceRefused,
    StoreUnavailable,
)
from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason
from holdfast.contracts.jobs import InputSpec, StagedInput
from holdfast.contracts.models import FetchProgress, RegisterModelInput, StoredModel
from holdfast.hosts.local import LocalChannel
from holdfast.models import errors as errors_of_sources
from holdfast.models.fetching import sha256_of
from holdfast.models.inspecting import digest_of, files_of
from holdfast.models.staging import stage_local
from holdfast.models.storing import laid_out, store_folder
from holdfast.settings import Settings, variable

# A person waits: a store that is there answers one small question far sooner, one that hangs may do so for minutes.
ANSWERS_WITHIN = timedelta(seconds=8)
PROBED_WITHIN = timedelta(seconds=10)  # several questions, one after the other
_TRANSLATION: tuple[tuple[type[Exception], type[HoldfastError], str], ...] = (
    (errors.StoreUnavailable, StoreUnavailable, "the store does not answer"),
    (errors.StoreRefused, StoreUnavailable, "the store refuses"),
    (errors.NoCheckpoint, NoCheckpoint, "there is no such checkpoint"),
    (errors.CheckpointCorrupt, CheckpointCorrupt, "the checkpoint is damaged"),
    (errors.SourceUnstable, OperationFailed, "the folder kept changing while it was read"),
    (AgentError, OperationFailed, "the transfer failed"),
    (ChannelLost, OperationFailed, "the transfer stalled"),
)


async def save_folder(workload: str, folder: Path, *, exclude: Sequence[str], settings: Settings) -> CheckpointRef:
    """Save a folder as checkpoint zero. Repeatable: a repeat sends only what the store lacks.

    Raises:
        StoreUnavailable: nothing was started and nothing was spent.
        OperationFailed: the folder cannot be read, or kept changing.
    """
    workspace = str(await asyncio.to_thread(folder.resolve))
    async with _engine(settings) as engine:
        return await engine.save(
            LocalChannel(),
            workload=workload,
            epoch=0,
            sequence=0,
            workspace=workspace,
            base_manifest=None,
            reason=SaveReason.WORKDIR,
            exclude=exclude,
        )


async def save_model(
    order: RegisterModelInput, folder: Path, *, settings: Settings, told: Callable[[FetchProgress], None]
) -> StoredModel:
    """Save a folder with a model. Repeatable: a repeat sends only what the store lacks.

    Raises:
        ModelInvalid: it is no folder, holds no file, or does not say what kind of model it is.
        StoreUnavailable, OperationFailed: nothing was registered.
    """
    try:
        async with _engine(settings) as engine:
            with laid_out(folder, settings.data_dir / "models", order.only) as place:
                told(FetchProgress(doing="hashing its files"))
                files = await asyncio.to_thread(files_of, place)
                size = sum(each.size for each in files)
                told(FetchProgress(doing="into the store", bytes_total=size, files=len(files)))
                return await store_folder(
                    engine, place, name=order.name, files=files, kind=order.kind, memory_bytes=order.memory_bytes
                )
    except errors_of_sources.SourceRefused as err:
        raise ModelInvalid(str(err)) from None
    except OSError as err:
        raise ModelInvalid(f"{folder} cannot be read: {err.strerror or err}") from err


async def restore_folder(checkpoint: CheckpointRef, folder: Path, *, settings: Settings) -> RestoreSummary:
    """Make a new or empty folder what the checkpoint says, every chunk verified. Raises as `restore_manifest`."""
    return await restore_manifest(checkpoint.manifest, folder, settings=settings)


async def restore_manifest(manifest: str, folder: Path, *, settings: Settings) -> RestoreSummary:
    """The same for whatever a manifest in the store holds.

    Raises:
        FolderNotEmpty: the folder holds something; a restore would remove it.
        FolderUnusable: nothing can be written there.
        StoreUnavailable, NoCheckpoint, CheckpointCorrupt: the folder is as it was.
    """
    workspace = await asyncio.to_thread(_empty, folder)
    async with _engine(settings) as engine:
        return await engine.restore(LocalChannel(), manifest=manifest, workspace=workspace)


async def save_inputs(
    job: str, wanted: Sequence[tuple[InputSpec, Path]], *, settings: Settings
) -> tuple[StagedInput, ...]:
    """Save inputs of a job that are files or folders of this computer, proven. Repeatable, as `save_folder`.

    Raises:
        SourceRefused: one is not there, or is not what the spec pins.
        StoreUnavailable: nothing was started and nothing was spent.
    """
    scratch = settings.data_dir / "inputs"
    async with _engine(settings) as engine:
        try:
            return tuple([await stage_local(engine, path, each, job=job, scratch=scratch) for each, path in wanted])
        except errors_of_sources.SourceRefused as err:
            raise SourceRefused(str(err), remedy="correct `source`, or `sha256`, of this input in the spec") from None


def pin_of(path: Path) -> str:
    """The SHA-256 by which a job's spec may pin a file, or a folder, of this computer.

    Raises:
        SourceRefused: there is none.
    """
    try:
        return sha256_of(path) if path.is_file() else digest_of(files_of(path))
    except errors_of_sources.SourceRefused as err:
        raise SourceRefused(str(err), remedy="give the path of a file or a folder") from None


async def probe_store(settings: Settings) -> str:
    """Write, read and remove an object of our own, and say what the store can do.

    Raises:
        StoreUnavailable: it does not answer, or does not accept our key.
    """
    with _translated():
        store = open_store(settings)
        try:
            return await _probed(store, settings.store.kind)
        finally:
            await store.close()


async def probe_mirror(settings: Settings, name: str) -> str:
    """As `probe_store`, for a mirror; and say whether it holds copies of the main store's checkpoints.

    Raises:
        StoreUnavailable: either does not answer, or the mirror does not accept our key or holds another repository.
    """
    remedy = f"check the {variable('mirrors', name, '*')} settings"
    with _translated(remedy):
        store, mirror = open_store(settings), open_mirror(name, settings.mirrors[name])
        try:
            found = await _probed(mirror.store, settings.mirrors[name].kind)
            async with _patience(ANSWERS_WITHIN):
                ours = await store.get(REPOSITORY)
                filled = ours is not None and await mirror.belongs_to(ours)
            return f"near {', '.join(mirror.near)}; {found}; {'filled' if filled else 'nothing was copied there yet'}"
        finally:
            await mirror.store.close()
            await store.close()


async def _probed(store: Store, kind: str) -> str:
    await _greet(store)
    async with _patience(PROBED_WITHIN):
        facts = await store.probe()
    signed = "signed addresses work" if facts.signed_put and facts.signed_get else "signed addresses do NOT work"
    return f"{kind} store; {signed}; create-only writes are {facts.create_only.value}"


def _empty(folder: Path) -> str:
    """The absolute path of a folder that may be restored into."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FolderNotEmpty(f"{folder} is not an empty folder")
        there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
        with TemporaryDirectory(prefix=".holdfast-", dir=there):  # only a try tells: not every refusal is in the mode
            return str(folder.resolve())
    except OSError as err:
        raise FolderUnusable(f"{folder} cannot be written: {err.strerror}") from err


@asynccontextmanager
async def _engine(settings: Settings) -> AsyncIterator[CheckpointEngine]:
    with _translated():
        store = open_store(settings)
        try:
            await _greet(store)
            yield CheckpointEngine(store)
        finally:
            await store.close()


async def _greet(store: Store) -> None:
    """Ask the store for anything at all, so that one that hangs is told apart soon."""
    async with _patience(ANSWERS_WITHIN):
        await store.head(".greeting")


@asynccontextmanager
async def _patience(within: timedelta) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(within.total_seconds()):
            yield
    except TimeoutError as err:
        raise StoreUnavailable(f"the store did not answer within {within.total_seconds():.0f} s") from err


@contextmanager
def _translated(remedy: str | None = None) -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as err:  # it hung
        err.remedy = remedy or err.remedy
        raise
    except tuple(kind for kind, _, _ in _TRANSLATION) as err:
        ours, what = next((ours, what) for kind, ours, what in _TRANSLATION if isinstance(err, kind))
        raise ours(f"{what}: {err}", remedy=remedy) from err
