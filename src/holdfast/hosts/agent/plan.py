"""What a restore has to do: the manifest read and checked, and what the disk already holds."""

import gzip
import hashlib
import json
import os
import stat
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Set, Tuple

from . import chunks, tree
from .failures import AgentFailure

VERSION = 1
RANGE = 16 * 1024 * 1024
# Reading a small gap is cheaper than another request.
GAP = 64 * 1024


class Chunk(NamedTuple):
    """Where a chunk rests, in the order of the manifest's table."""

    id: str
    size: int
    pack: int
    offset: int
    length: int
    codec: str


class Manifest:
    """The manifest as the agent needs it. Refuses paths that would leave the workspace, and chunks that nobody cuts."""

    def __init__(self, data: bytes, digest: str) -> None:
        if hashlib.blake2b(data, digest_size=32).hexdigest() != digest:
            raise AgentFailure("corrupt", f"the manifest is not the one named {digest}")
        body = json.loads(gzip.decompress(data))
        if body["version"] != VERSION:
            raise AgentFailure("bad_request", f"manifest version {body['version']} is newer than this agent")
        self.packs: List[str] = [pack[0] for pack in body["packs"]]
        self.chunks = [Chunk(*row[:6]) for row in body["chunks"]]
        self.entries: List[tree.Entry] = body["entries"]
        self.exclude: List[str] = body["exclude"]
        check_entries(self.entries)
        self._check_chunks()

    def files(self) -> List[tree.Entry]:
        return [entry for entry in self.entries if entry["kind"] == tree.FILE]

    def grid(self, entry: tree.Entry) -> List[Tuple[Chunk, int]]:
        """The chunks of a file with their offsets in it."""
        found = []
        offset = 0
        for index in entry["chunks"]:
            found.append((self.chunks[index], offset))
            offset += self.chunks[index].size
        return found

    def _check_chunks(self) -> None:
        for chunk in self.chunks:
            # Both are bytes that we shall hold in memory, by the word of whoever wrote the manifest.
            if not (0 <= chunk.size <= chunks.CHUNK and 0 <= chunk.length <= chunks.CHUNK and chunk.offset >= 0):
                raise AgentFailure("bad_request", f"the manifest holds an impossible chunk: {chunk.id}")


def check_entries(entries: Iterable[tree.Entry]) -> None:
    """Refuse a list of entries by which a restore could reach anything outside the workspace.

    Every path is relative and plain, stands once, and after its folder: so it leads neither out nor through a link.

    Raises:
        AgentFailure: kind `bad_request`; the first entry that cannot be.
    """
    folders = {""}
    seen: Set[str] = set()
    for entry in entries:
        path, kind = entry.get("path"), entry.get("kind")
        if not isinstance(path, str) or not _is_plain(path) or path.rpartition("/")[0] not in folders:
            raise AgentFailure("bad_request", f"the manifest holds an impossible path: {path!r}")
        if path in seen or kind not in tree.KINDS:
            raise AgentFailure("bad_request", f"the manifest holds a path twice, or of an unknown kind: {path!r}")
        seen.add(path)
        if kind == tree.FOLDER:
            folders.add(path)


def _is_plain(path: str) -> bool:
    parts = path.split("/")  # an absolute path has an empty first part
    return not any(part in ("", ".", "..") for part in parts) and "\0" not in path and parts[0] != tree.STAGING


class Fetch(NamedTuple):
    """One ranged read: neighbouring chunks of one pack."""

    pack: str
    start: int
    length: int
    chunks: List[Chunk]


def fetches(manifest: Manifest, wanted: Dict[str, Any]) -> List[Fetch]:
    """The reads that bring every wanted chunk, each at most `RANGE` long unless one chunk is longer."""
    rows = [chunk for chunk in manifest.chunks if chunk.id in wanted]
    found: List[Fetch] = []
    for chunk in sorted(rows, key=lambda row: (row.pack, row.offset)):
        pack = manifest.packs[chunk.pack]
        last = found[-1] if found else None
        end = chunk.offset + chunk.length
        if last and last.pack == pack and _is_near(last, chunk) and end - last.start <= RANGE:
            last.chunks.append(chunk)
            found[-1] = last._replace(length=max(last.length, end - last.start))
        else:
            found.append(Fetch(pack, chunk.offset, chunk.length, [chunk]))
    return found


def _is_near(last: Fetch, chunk: Chunk) -> bool:
    return chunk.offset <= last.start + last.length + GAP


def right_chunks(path: str, grid: List[Tuple[Chunk, int]], key: bytes, tick: Callable[[], None]) -> List[bool]:
    """For each chunk of a file's plan whether the file at `path` already holds it there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return [False] * len(grid)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return [False] * len(grid)
        found = []
        for chunk, at in grid:
            found.append(chunks.identify_on_disk(fd, (at, chunk.size), key) == chunk.id)
            tick()
        return found
    finally:
        os.close(fd)
