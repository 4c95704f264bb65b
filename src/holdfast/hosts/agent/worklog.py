"""The work's output on disk: pieces of bounded size whose names carry their first offset.

An offset counts bytes since the first output on this machine and never goes back, also when old pieces are dropped.
"""

import contextlib
import os
import threading
from io import FileIO
from typing import IO, List, Tuple

PIECE = 32 * 1024 * 1024
KEPT = 4


class WorkLog:
    """Read the pieces. Any process may, also while another writes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def size(self) -> int:
        """The offset at which the next byte will stand."""
        for start in reversed(self.pieces()):
            with contextlib.suppress(FileNotFoundError):
                return start + os.path.getsize(self.name(start))
        return 0

    def read(self, offset: int, limit: int) -> Tuple[int, bytes]:
        """Up to `limit` bytes from `offset`, and where they really start: later when pieces were dropped or cut."""
        pieces = self.pieces()
        for start, after in zip(pieces, [*pieces[1:], None]):
            if after is not None and offset >= after:
                continue
            offset = max(offset, start)
            found = self._read_piece(start, offset - start, limit)
            if found or after is None:
                return offset, found
        return 0, b""

    def _read_piece(self, start: int, skipped: int, limit: int) -> bytes:
        with contextlib.suppress(FileNotFoundError), open(
            self.name(start), "rb"
        ) as file:  # dropped since it was listed
            file.seek(skipped)
            return file.read(limit)
        return b""

    def tail(self, limit: int) -> str:
        """The last `limit` bytes as text."""
        return self.read(max(0, self.size() - limit), limit)[1].decode("utf-8", "replace")

    def pieces(self) -> List[int]:
        names = (name.split(".", 1) for name in os.listdir(self._folder) if name.startswith("log."))
        return sorted(int(offset) for _, offset in names if offset.isdigit())

    def name(self, offset: int) -> str:
        return os.path.join(self._folder, f"log.{offset}")


class LogWriter:
    """Append to the pieces. Only one process may at a time; it carries on where an earlier one ended."""

    def __init__(self, folder: str, piece: int = PIECE, kept: int = KEPT) -> None:
        self._log = WorkLog(folder)
        self._piece = piece
        self._kept = kept
        self._start = (self._log.pieces() or [0])[-1]
        self._file = self._open(self._start)

    def follow(self, source: IO[bytes]) -> threading.Thread:
        """Append all of `source` in the background until it ends."""
        thread = threading.Thread(target=self._copy, args=(source,), name="log", daemon=True)
        thread.start()
        return thread

    def append(self, data: bytes) -> None:
        """Write at the end; start a new piece, and drop the oldest, when this one is full."""
        if self._file.tell() >= self._piece:
            with contextlib.suppress(OSError):  # no room for another: this one grows instead
                self._start_next()
        self._file.write(data)

    def _start_next(self) -> None:
        start = self._start + self._file.tell()
        fresh = self._open(start)
        self._file.close()  # only now: there is always one to write to
        self._start, self._file = start, fresh
        for old in self._log.pieces()[: -self._kept]:
            os.unlink(self._log.name(old))

    def _copy(self, source: IO[bytes]) -> None:
        while True:
            data = os.read(source.fileno(), 65_536)
            if not data:
                return
            with contextlib.suppress(OSError, ValueError):  # trouble costs output, never the work that writes it
                self.append(data)

    def _open(self, start: int) -> FileIO:
        handle = os.open(self._log.name(start), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return open(handle, "ab", buffering=0)  # stays open until the piece is full
