"""`scan`: list the workspace and name every chunk in it.

Parameters: `workspace`, `exclude` (glob patterns), `key` (hex, of the repository), `home`, `threads` (optional).
The entries go to the control side as answers to nothing: `ask("scanned", {"blob": ...})`, page by page, in order.
Result: `scan` (a name for `upload`), `files`, `bytes`, `bytes_read`, `unstable` and `skipped` (paths).
How a file that changes while it is read is treated: `reading.py`.
"""

import os
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Deque, Dict, List

from . import pages, tree
from .failures import AgentFailure
from .memory import Memory
from .methods import Ask, Json, Note
from .parallel import seldom
from .reading import Named, Reading

# Files whose chunks are being read; bounds open descriptors and, at one piece per thread, memory.
WINDOW = 64
DEFAULT_HOME = "~/.holdfast"


def scan(params: Json, ask: Ask, note: Note) -> Json:
    """Read what changed since the last scan; safe to repeat, changes nothing in the workspace."""
    key = bytes.fromhex(params["key"])
    memory = Memory(params.get("home", DEFAULT_HOME), key)
    root = tree.locate(params["workspace"])
    if not os.path.isdir(root):
        raise AgentFailure("bad_request", f"there is no folder {root}")
    with ThreadPoolExecutor(params.get("threads") or min(8, os.cpu_count() or 1)) as pool:
        scanner = _Scanner(root, key, memory.read_cache(root), pool, seldom(note))
        entries = scanner.run(tree.Excludes(params.get("exclude", ())))
    memory.write_cache(root, scanner.cache)
    name = uuid.uuid4().hex
    memory.write_scan(name, {"root": root, "entries": [entry for entry in entries if entry["kind"] == tree.FILE]})
    for blob in pages.cut(entries):
        ask("scanned", {"scan": name, "blob": blob})
    return {"scan": name, **scanner.summary()}


class _Scanner:
    """One walk over one workspace."""

    def __init__(self, root: str, key: bytes, known: Dict[str, Any], pool: ThreadPoolExecutor, note: Note) -> None:
        self._root = root
        self._key = key
        self._known = known
        self._pool = pool
        self._note = note
        self._reading: Deque[Reading] = deque()
        self._bytes = self._bytes_read = self._files = 0
        self._unstable: List[str] = []
        self._skipped: List[str] = []
        self.cache: Dict[str, Any] = {}

    def run(self, excludes: tree.Excludes) -> List[tree.Entry]:
        entries = []
        for entry in tree.walk(self._root, excludes):
            if entry["kind"] == tree.OTHER:  # sockets, pipes and devices hold no state
                self._skipped.append(entry["path"])
                continue
            entries.append(entry)
            if entry["kind"] == tree.FILE:
                self._begin(entry)
        while self._reading:
            self._finish()
        return [entry for entry in entries if not entry.get("vanished")]

    def summary(self) -> Json:
        return {
            "files": self._files,
            "bytes": self._bytes,
            "bytes_read": self._bytes_read,
            "unstable": self._unstable,
            "skipped": self._skipped,
        }

    def _begin(self, entry: tree.Entry) -> None:
        if len(self._reading) >= WINDOW:
            self._finish()
        try:
            reading = Reading(self._root, entry, self._show_life)
        except FileNotFoundError:
            entry["vanished"] = True
            return
        known = self._known.get(entry["path"])
        if known is not None and known[:4] == reading.mark():
            reading.close()
            self._record(entry, reading.first, [(chunk, size) for chunk, size in known[4]])
            self.cache[entry["path"]] = known
            return
        reading.start(self._pool, self._key)
        self._reading.append(reading)

    def _finish(self) -> None:
        reading = self._reading.popleft()
        path = reading.entry["path"]
        try:
            named, stable = reading.settle(self._pool, self._key)
            settled = stable and reading.is_left_alone()
        except FileNotFoundError:
            reading.entry["vanished"] = True
            return
        finally:
            reading.close()
        if not stable:
            self._unstable.append(path)
        self._record(reading.entry, reading.first, named)
        self._bytes_read += reading.bytes_read
        if settled:
            self.cache[path] = [*reading.mark(), named]
        self._show_life()

    def _show_life(self) -> None:
        self._note({"phase": "scan", "files": self._files, "bytes": self._bytes})

    def _record(self, entry: tree.Entry, found: os.stat_result, named: Named) -> None:
        size = sum(size for _, size in named)
        entry.update(size=size, mtime=found.st_mtime_ns, chunks=named)
        if found.st_blocks * 512 < found.st_size:
            entry["sparse"] = True
        self._files += 1
        self._bytes += size
