"""What the agent remembers between transfers, in files of its own: names of unchanged files' chunks, the last scans,
and the packs it has sent. All of it may be lost at any time; that costs work, never correctness. So a full disk is no
reason not to save: what finds no room is not remembered, and the newest scan is kept in memory instead.
"""

import contextlib
import gzip
import hashlib
import json
import os
import time
import uuid
from typing import Any, Dict, List, Tuple

# A file changed again within one tick of its clock looks unchanged; coarse clocks tick every two seconds.
COARSEST_CLOCK_NS = 2_000_000_000
SCANS_KEPT = 4
JOURNAL_LINES = 4096


# By folder: name and content of the newest scan, if the disk had no room for it.
_homeless: Dict[str, Tuple[str, Any]] = {}


class Memory:
    """The folder for one repository (its key) on this machine, private to the login."""

    def __init__(self, home: str, key: bytes) -> None:
        self._folder = os.path.join(os.path.expanduser(home), "transfers", hashlib.blake2b(key).hexdigest()[:16])
        with contextlib.suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def read_cache(self, workspace: str) -> Dict[str, Any]:
        """Path to `[size, mtime, inode, ctime, chunks]` as of the last scan."""
        return dict(self._read(self._cache(workspace), {}))

    def write_cache(self, workspace: str, seen: Dict[str, Any]) -> None:
        self._write(self._cache(workspace), seen)

    def write_scan(self, name: str, scan: Dict[str, Any]) -> None:
        """Keep a scan for the upload that follows; only the newest few are kept."""
        _homeless.pop(self._folder, None)
        if not self._write(f"scan-{name}.json.gz", scan):
            _homeless[self._folder] = (name, scan)
            return
        scans = [entry for entry in os.scandir(self._folder) if entry.name.startswith("scan-")]
        for old in sorted(scans, key=lambda entry: entry.stat().st_mtime_ns)[:-SCANS_KEPT]:
            os.unlink(old.path)

    def read_scan(self, name: str) -> Any:
        """The scan, or None when it is no longer kept."""
        homeless, scan = _homeless.get(self._folder, ("", None))
        return scan if homeless == name else self._read(f"scan-{name}.json.gz", None)

    def sent_packs(self) -> List[Dict[str, Any]]:
        """Packs that this machine has sent, the newest last. Whether they still exist only the store knows."""
        try:
            with open(self._path("sent.jsonl"), encoding="ascii") as journal:
                lines = journal.read().splitlines()
        except FileNotFoundError:
            return []
        return [pack for pack in map(_parsed, lines[-JOURNAL_LINES:]) if pack is not None]

    def note_sent(self, pack: Dict[str, Any]) -> None:
        """Remember a pack once the store has acknowledged it. One write: lines of several threads do not mix."""
        line = (json.dumps(pack, separators=(",", ":")) + "\n").encode("ascii")
        with contextlib.suppress(OSError):
            handle = os.open(self._path("sent.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)

    def trim_journal(self) -> None:
        """Forget the oldest packs beyond the limit."""
        packs = self.sent_packs()
        if len(packs) >= JOURNAL_LINES:
            os.unlink(self._path("sent.jsonl"))
            for pack in packs[-JOURNAL_LINES // 2 :]:
                self.note_sent(pack)

    def _cache(self, workspace: str) -> str:
        return f"cache-{hashlib.blake2b(os.fsencode(workspace)).hexdigest()[:16]}.json.gz"

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _read(self, name: str, otherwise: Any) -> Any:
        try:
            with gzip.open(self._path(name), "rb") as file:
                return json.loads(file.read())
        except FileNotFoundError:
            return otherwise
        except (OSError, EOFError, ValueError):  # torn by a crash: it is only a memory
            return otherwise

    def _write(self, name: str, content: Any) -> bool:
        """Whether there was room for it."""
        data = gzip.compress(json.dumps(content, separators=(",", ":")).encode("ascii"), 1)
        fresh = self._path(f".{name}.{uuid.uuid4().hex}")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            os.replace(fresh, self._path(name))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(fresh)  # half a file would only take more of what there is none of
            return False
        return True


def is_settled(found: os.stat_result) -> bool:
    """Whether a file was left alone long enough for its times to prove that it is unchanged."""
    return time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > COARSEST_CLOCK_NS


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # the last line of a crash
        return None
