"""Numbers that the work writes of itself, one JSON object a line, in the file $HOLDFAST_METRICS_FILE."""

import os
from typing import Tuple

from .tree import open_file

FILE = "series"


def read(path: str, offset: int, limit: int) -> Tuple[bytes, int]:
    """Whole lines from an offset on, and the size of the file.

    A line that is longer than `limit` is given in pieces, so that nothing behind it waits for ever.
    """
    try:
        fd, found = open_file(os.path.realpath(path))
    except OSError:  # it has written none; a folder or a pipe says nothing
        return b"", 0
    with open(fd, "rb") as file:
        file.seek(offset)
        data = file.read(limit)
    end = data.rfind(b"\n") + 1
    if not end and len(data) == limit:
        end = limit
    return data[:end], found.st_size
