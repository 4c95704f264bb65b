"""`restore`: make the workspace what a manifest says.

Parameters: `manifest` (hex digest of its bytes), `pages` (how many to ask for), `workspace`, `key`, `home`, `streams`;
`tries` and `silence_s`, where there is another store to turn to, so that this one is given up sooner.
Asks: `manifest {page}` → `{blob}`; `get_urls {objects: [{key}]}` → `{addresses: {key: {url, headers}}, expires_in}`.
Result: `files`, `bytes`, `bytes_fetched`.

1. See which files and chunks are right on the disk already.
2. Prepare every other file in a staging folder of the workspace: copy what is right, fetch the rest, verify each chunk.
3. Only when all is there: move the files into place, remove what the manifest does not know, set times and modes.

Holds throughout: until step 3 the workspace is untouched, and a restore that was cut short goes on where it was.
"""

import contextlib
import os
import shutil
import stat
import threading
from typing import Dict, List, Tuple

from . import chunks, durable, pages, plan, tree
from .addresses import Addresses
from .failures import AgentFailure
from .http_store import SILENCE, TRIES, HttpStore, Missing
from .methods import Ask, Json, Note
from .parallel import each, seldom
from .place import Placement

STREAMS = 8
HOLE = 64 * 1024
# Written at a time. With 2 MiB and more a system may take huge pages for its cache: on a virtual machine whose host had
# taken its memory back, Linux 6.18 needed 3 s of processor time for a gigabyte in such writes, and 0.2 s in these.
PIECE = 1024 * 1024
ZEROS = bytes(HOLE)

Target = Tuple[int, int]  # index of the entry, offset in its file


def restore(params: Json, ask: Ask, note: Note) -> Json:
    """Idempotent and resumable. Fails with `corrupt`, and changes nothing, when a chunk is not what it should be."""
    blobs = [ask("manifest", {"page": page})["blob"] for page in range(params["pages"])]
    manifest = plan.Manifest(pages.join_bytes(blobs), params["manifest"])
    root = tree.locate(params["workspace"])
    os.makedirs(root, exist_ok=True)
    note = seldom(note)
    stage = _Stage(root, params["manifest"], manifest, bytes.fromhex(params["key"]), note)
    streams = params.get("streams") or STREAMS
    each(list(enumerate(manifest.entries)), stage.prepare, min(streams, os.cpu_count() or 1))
    store = HttpStore(params.get("silence_s") or SILENCE, params.get("tries") or TRIES)
    fetched = _Fetching(stage, manifest, store, ask, note).run(streams)
    each(stage.staged(), durable.finish, streams)
    Placement(root, manifest, stage.path_of).carry_out(stage.complete)
    stage.remove()
    files = manifest.files()
    return {"files": len(files), "bytes": sum(entry["size"] for entry in files), "bytes_fetched": fetched}


class _Stage:
    """The folder in which files are prepared. Its files keep their names across tries, so work done stays done."""

    def __init__(self, root: str, digest: str, manifest: plan.Manifest, key: bytes, note: Note) -> None:
        self.key = key
        self.complete: List[int] = []  # entries that are right in place
        self.missing: Dict[str, List[Target]] = {}
        self._note = note
        self._root = os.path.realpath(root)
        self._manifest = manifest
        self._top = os.path.join(root, tree.STAGING)
        self._folder = os.path.join(self._top, digest[:16])
        self._lock = threading.Lock()
        self._staged: List[int] = []
        self._straight: Dict[str, bool] = {}
        self._forget_others()
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def path_of(self, index: int) -> str:
        return os.path.join(self._folder, str(index))

    def staged(self) -> List[str]:
        return [self.path_of(index) for index in self._staged]

    def prepare(self, item: Tuple[int, tree.Entry]) -> None:
        """Sort one entry out: right already, or staged with the chunks that this disk has."""
        index, entry = item
        if entry["kind"] != tree.FILE:
            return
        grid = self._manifest.grid(entry)
        if entry.get("sparse"):
            self._forget_staged(index)
        here = os.path.join(self._root, entry["path"])
        in_place = self._right(here, grid) if self._is_inside(here) else [False] * len(grid)
        if all(in_place) and self._is_inside(here) and _size(here) == entry["size"]:
            with self._lock:
                self.complete.append(index)
            return
        staged = self._right(self.path_of(index), grid)
        self._lay_out(index, entry["size"])
        for (chunk, at), is_in_place, is_staged in zip(grid, in_place, staged):
            if is_staged or (is_in_place and self._copy(here, index, chunk, at)):
                continue
            with self._lock:
                self.missing.setdefault(chunk.id, []).append((index, at))

    def write(self, targets: List[Target], data: chunks.Data) -> None:
        """Put a verified chunk everywhere it belongs."""
        for index, at in targets:
            fd = os.open(self.path_of(index), os.O_WRONLY | os.O_CLOEXEC)
            try:
                _write_around_holes(fd, data, at, bool(self._manifest.entries[index].get("sparse")))
                durable.begin(fd, at, len(data))
            finally:
                os.close(fd)

    def remove(self) -> None:
        shutil.rmtree(self._top)

    def _right(self, path: str, grid: List[Tuple[plan.Chunk, int]]) -> List[bool]:
        return plan.right_chunks(path, grid, self.key, lambda: self._note({"phase": "compare"}))

    def _is_inside(self, path: str) -> bool:
        """Whether no folder on the way from the root to the path is a link, which could lead anywhere."""
        folder = os.path.dirname(path)
        if folder not in self._straight:  # two threads may both find out: they find the same
            self._straight[folder] = os.path.realpath(folder) == os.path.normpath(folder)
        return self._straight[folder]

    def _forget_others(self) -> None:
        """What a restore of another checkpoint has left takes room and helps nobody."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._top):
                if os.path.join(self._top, name) != self._folder:
                    _discard(os.path.join(self._top, name))

    def _forget_staged(self, index: int) -> None:
        """Holes are left as they are found, so an earlier try's file must not show through them."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path_of(index))

    def _lay_out(self, index: int, size: int) -> None:
        fd = os.open(self.path_of(index), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)
        with self._lock:
            self._staged.append(index)

    def _copy(self, here: str, index: int, chunk: plan.Chunk, at: int) -> bool:
        fd = os.open(here, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            data = chunks.read(fd, (at, chunk.size))
        finally:
            os.close(fd)
        if chunks.identify(data, self.key) != chunk.id:
            return False
        self.write([(index, at)], data)
        return True


class _Fetching:
    """Brings the missing chunks from the store into the stage."""

    def __init__(self, stage: _Stage, manifest: plan.Manifest, store: HttpStore, ask: Ask, note: Note) -> None:
        self._stage = stage
        self._note = note
        self._store = store
        self._fetches = plan.fetches(manifest, stage.missing)
        packs = dict.fromkeys(fetch.pack for fetch in self._fetches)
        self._addresses = Addresses(ask, "get_urls", [{"key": pack} for pack in packs])
        self._fetched: List[int] = []

    def run(self, streams: int) -> int:
        """Returns the bytes that came over the wire."""
        self._check_room()
        each(self._fetches, self._bring, streams)
        return sum(self._fetched)

    def _bring(self, fetch: plan.Fetch) -> None:
        try:
            data = self._addresses.use(fetch.pack, lambda address: self._store.get(address, fetch.start, fetch.length))
        except Missing as err:
            raise AgentFailure("corrupt", f"chunk {fetch.chunks[0].id} in {fetch.pack}: {err}") from None
        view = memoryview(data)
        for chunk in fetch.chunks:
            start = chunk.offset - fetch.start
            self._unpack(chunk, view[start : start + chunk.length], fetch.pack)
        self._fetched.append(fetch.length)
        self._note({"phase": "restore", "bytes": sum(self._fetched)})

    def _unpack(self, chunk: plan.Chunk, payload: memoryview, pack: str) -> None:
        try:
            plain = chunks.decode(chunk.codec, payload, chunk.size)
        except ValueError as err:
            raise AgentFailure("corrupt", f"chunk {chunk.id} in {pack}: {err}") from None
        if chunks.identify(plain, self._stage.key) != chunk.id:
            raise AgentFailure("corrupt", f"chunk {chunk.id} in {pack} is not what its name says")
        self._stage.write(self._stage.missing[chunk.id], plain)

    def _check_room(self) -> None:
        """Fail before the first byte rather than at the last."""
        sizes = {chunk.id: chunk.size for fetch in self._fetches for chunk in fetch.chunks}
        needed = sum(sizes[chunk] * len(targets) for chunk, targets in self._stage.missing.items())
        room = shutil.disk_usage(self._stage.path_of(0).rpartition("/")[0]).free
        if needed > room:
            raise AgentFailure("disk_full", f"the restore needs {needed} bytes, the disk has {room}")


def _size(path: str) -> int:
    """The size of the plain file at the path, or -1 when there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _write_around_holes(fd: int, data: chunks.Data, at: int, sparse: bool) -> None:
    """Write everything, or for a sparse file everything but blocks of zeros."""
    view = memoryview(data)
    step = HOLE if sparse else PIECE
    for start in range(0, len(view), step):
        piece = view[start : start + step]
        if not sparse or bytes(piece) != ZEROS[: len(piece)]:
            _write_all(fd, piece, at + start)


def _write_all(fd: int, piece: memoryview, at: int) -> None:
    while piece:
        done = os.pwrite(fd, piece, at)
        piece, at = piece[done:], at + done


def _discard(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
