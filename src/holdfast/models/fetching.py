"""Bring a model's files into a folder, file by file, so that a next try goes on where this one ended.

A file is written beside its place and moved there when it is whole and, where the source tells its SHA-256, proven.
"""

import asyncio
import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from holdfast.contracts.models import FetchProgress, ModelFile, ModelPlan
from holdfast.models.errors import SourceRefused, SourceUnavailable
from holdfast.models.sources import Source

AT_ONCE = 4
"""Files: one connection rarely fills a line."""
_READ = 4 * 1024 * 1024
_SPARE = 1024**3  # bytes that a disk keeps free

Told = Callable[[FetchProgress], None]


@dataclass(kw_only=True)
class Fetch:
    """One try. `folder` holds the model in `files` and what is not whole yet in `parts`."""

    source: Source
    plan: ModelPlan
    folder: Path
    told: Told = lambda _: None
    _done: int = field(default=0, init=False)  # bytes
    _whole: int = field(default=0, init=False)  # files

    async def run(self) -> tuple[ModelFile, ...]:
        """Every file with its SHA-256, in the order of their paths.

        Raises:
            SourceUnavailable: try again; what is whole stays.
            SourceRefused: the disk has no room, or the source says no.
        """
        await asyncio.to_thread(self._make_room)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(file: ModelFile) -> ModelFile:
            async with slots:
                return await self._file(file)

        try:
            async with asyncio.TaskGroup() as group:
                # Small ones first: a config that cannot be used is known before the weights are fetched.
                tasks = [group.create_task(one(each)) for each in sorted(self.plan.files, key=lambda each: each.size)]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return tuple(sorted((task.result() for task in tasks), key=lambda each: each.path))

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def _make_room(self) -> None:
        self.files.mkdir(parents=True, exist_ok=True)
        (self.folder / "parts").mkdir(exist_ok=True)
        present = sum(each.stat().st_size for each in self.folder.rglob("*") if each.is_file())
        lacking = self.plan.bytes_total - present + _SPARE
        free = shutil.disk_usage(self.folder).free
        if lacking > free:
            raise SourceRefused(
                f"the host worker's disk has {free / 1024**3:.1f} GiB free, and the model needs "
                f"{lacking / 1024**3:.1f} GiB more there while it is fetched"
            )

    async def _file(self, file: ModelFile) -> ModelFile:
        place = self.files / file.path
        part = self.folder / "parts" / hashlib.sha256(file.path.encode()).hexdigest()
        if not await asyncio.to_thread(_is_whole, place, file):
            await self._fetch(file, part)
            await asyncio.to_thread(_move, part, place)
        else:
            self._count(file.size, file)
        digest = await asyncio.to_thread(sha256_of, place)
        if file.sha256 and digest != file.sha256:
            await asyncio.to_thread(place.unlink)
            raise SourceUnavailable(f"{file.path} is not what the source says it is: its SHA-256 is {digest}")
        self._whole += 1
        self._count(0, file)
        return replace(file, sha256=digest)

    async def _fetch(self, file: ModelFile, part: Path) -> None:
        start = await asyncio.to_thread(_size_of, part)
        if start > file.size:
            await asyncio.to_thread(part.unlink)
            start = 0
        self._count(start, file)
        with await asyncio.to_thread(part.open, "ab") as out:
            if start < file.size:
                await self._append(file, start, out)
        got = await asyncio.to_thread(_size_of, part)
        if got != file.size:
            await asyncio.to_thread(part.unlink)
            raise SourceUnavailable(f"{file.path} should have {file.size} bytes, and {got} came")

    async def _append(self, file: ModelFile, start: int, out: Any) -> None:
        got = start
        async for piece in self.source.read(self.plan, file, start):
            got += len(piece)
            if got > file.size:
                return  # the caller sees that it is not what was promised
            await asyncio.to_thread(out.write, piece)
            self._count(len(piece), file)

    def _count(self, more: int, file: ModelFile) -> None:
        self._done += more
        self.told(
            FetchProgress(
                doing=file.path,
                bytes_done=self._done,
                bytes_total=self.plan.bytes_total,
                files_done=self._whole,
                files=len(self.plan.files),
            )
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other workers with the same disk out: one that was given up may not have noticed yet.

    Raises:
        SourceUnavailable: somebody else is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SourceUnavailable("another worker is still fetching it") from None
        yield


def sha256_of(path: Path) -> str:
    """In hex; the file is read once, in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(_READ):
            digest.update(piece)
    return digest.hexdigest()


def _is_whole(place: Path, file: ModelFile) -> bool:
    return place.is_file() and place.stat().st_size == file.size


def _size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _move(part: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part.replace(place)
