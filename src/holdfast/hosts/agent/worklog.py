"""The work's output on disk: pieces of bounded size whose names carry their first offset.

An offset counts bytes since the first output on this machine and never goes back, also when old pieces are dropped.
"""

import contextlib
import os
import threading
from typing import IO, List, Tuple

PIECE = 32 * 1024 * 1024
KEPT = 4


class WorkLog:
    """Read the pieces. Any process may, also while another writes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def size(self) -> int:
        """The offset at which the next byte will stand."""
        pieces = self.pieces()
        return 0 if not pieces else pieces[-1] + os.path.getsize(self.name(pieces[-1]))

    def read(self, offset: int, limit: int) -> Tuple[int, bytes]:
        """Up to `limit` bytes from `offset`, and where they really start: later when older ones were dropped."""
        pieces = self.pieces()
        if not pieces:
            return 0, b""
        offset = max(offset, pieces[0])
        start = max(piece for piece in pieces if piece <= offset)
        with open(self.name(start), "rb") as file:
            file.seek(offset - start)
            found = file.read(limit)
        if not found and start != pieces[-1]:  # this piece is complete; the next one starts at its end
            return self.read(start + os.path.getsize(self.name(start)), limit)
        return offset, found

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
        self._open_piece((self._log.pieces() or [0])[-1])

    def follow(self, source: IO[bytes]) -> threading.Thread:
        """Append all of `source` in the background until it ends."""
        thread = threading.Thread(target=self._copy, args=(source,), name="log", daemon=True)
        thread.start()
        return thread

    def append(self, data: bytes) -> None:
        """Write at the end; start a new piece, and drop the oldest, when this one is full."""
        if self._file.tell() >= self._piece:
            self._file.close()
            self._open_piece(self._start + os.path.getsize(self._log.name(self._start)))
            for old in self._log.pieces()[: -self._kept]:
                os.unlink(self._log.name(old))
        self._file.write(data)

    def _copy(self, source: IO[bytes]) -> None:
        while True:
            data = os.read(source.fileno(), 65_536)
            if not data:
                return
            with contextlib.suppress(OSError):  # a full disk costs output, never the work that writes it
                self.append(data)

    def _open_piece(self, start: int) -> None:
        self._start = start
        handle = os.open(self._log.name(start), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = open(handle, "ab", buffering=0)  # noqa: SIM115 (stays open until the piece is full)
