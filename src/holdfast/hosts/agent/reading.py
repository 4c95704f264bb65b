"""Reading one file so that what was read is one state of it.

A file is read between two fstats. When it changed meanwhile, what was read is accepted if the same range, read again,
holds the same bytes: then something was only appended. Otherwise it is opened and read anew, three times at most.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, List, Tuple

from . import chunks
from .memory import is_settled
from .tree import Entry, open_file

TRIES = 3

Named = List[Tuple[str, int]]  # chunk and size, in the order of the file


class Reading:
    """One file being read by a pool. `first` is its state when it was opened."""

    def __init__(self, root: str, entry: Entry, tick: Callable[[], None]) -> None:
        """`tick` is called as chunks are done. Raises FileNotFoundError when there is no plain file any more."""
        self.entry = entry
        self.bytes_read = 0
        self._tick = tick
        self._full = os.path.join(root, entry["path"])
        self._fd, self.first = open_file(self._full)

    def mark(self) -> List[int]:
        """What must be equal for the content to be taken as unchanged."""
        return _mark(self.first)

    def start(self, pool: ThreadPoolExecutor, key: bytes) -> None:
        """Let the pool name the chunks."""
        if is_settled(self.first):
            # A store into a mapped page changes the file's times only while the page is clean: make it so, or what is
            # written there from now on would never be noticed by them.
            os.fsync(self._fd)
            self.first = os.fstat(self._fd)
        self._grid = chunks.extents(self._fd, self.first.st_size)
        self._names = self._submit(pool, key)

    def settle(self, pool: ThreadPoolExecutor, key: bytes) -> Tuple[Named, bool]:
        """Wait for the names; returns them and whether they belong to one state of the file.

        Raises FileNotFoundError when it changed, and is no plain file any more.
        """
        named = self._collect()
        for _ in range(TRIES):
            if self._unchanged():
                return named, True
            self._names = self._submit(pool, key)
            if self._collect() == named and os.fstat(self._fd).st_size >= self.first.st_size:
                return named, True
            self._reopen()
            self.start(pool, key)
            named = self._collect()
        return named, self._unchanged()

    def is_left_alone(self) -> bool:
        """Whether the file's times are old enough to prove later that it has not changed."""
        return self._unchanged() and is_settled(self.first)

    def close(self) -> None:
        os.close(self._fd)

    def _reopen(self) -> None:
        """Take what the path names now."""
        fresh = open_file(self._full)
        os.close(self._fd)
        self._fd, self.first = fresh

    def _submit(self, pool: ThreadPoolExecutor, key: bytes) -> "List[Future[str]]":
        self.bytes_read += sum(length for _, length in self._grid)
        return [pool.submit(chunks.identify_on_disk, self._fd, extent, key) for extent in self._grid]

    def _collect(self) -> Named:
        named = []
        for name, (_, length) in zip(self._names, self._grid):
            named.append((name.result(), length))
            self._tick()
        return named

    def _unchanged(self) -> bool:
        return _mark(os.fstat(self._fd)) == self.mark()


def _mark(found: os.stat_result) -> List[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns]
