"""From memory to the disk: begun early, and waited for at the end.

A system holds back what was written for up to half a minute, or a tenth of its memory. A restore that waits for the
disk only then uses network and disk one after the other, which on a computer with much memory takes as long as both.
"""

import ctypes
import os
from typing import Any

WORTH_A_CALL = 1024 * 1024
# linux/fs.h: start to write what is dirty in the range, and do not wait for it.
_SYNC_FILE_RANGE_WRITE = 2


def begin(fd: int, at: int, length: int) -> bool:
    """Have the system start writing these bytes to the disk, and say whether it will: if not, `finish` does it all."""
    if _sync_file_range is None or length < WORTH_A_CALL:
        return False
    return bool(_sync_file_range(fd, at, length, _SYNC_FILE_RANGE_WRITE) == 0)


def finish(path: str) -> None:
    """Returns when the file is on the disk.

    Raises:
        OSError: it could not be written.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _find() -> Any:
    found = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


_sync_file_range = _find()
