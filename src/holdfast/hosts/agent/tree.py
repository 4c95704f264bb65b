"""Walking a workspace: what stands in it, without following a link and without what is excluded."""

import errno
import fnmatch
import os
import stat
from typing import Any, Dict, Iterator, List, Sequence, Tuple

# Ours, inside a workspace while a restore prepares; never saved, never removed by the restore that needs it.
STAGING = ".holdfast-staging"
FILE = "file"
FOLDER = "dir"
LINK = "link"
KINDS = (FILE, FOLDER, LINK)  # what is saved
OTHER = "other"
# Of a mode. Bits that lend the owner's rights to whoever runs a file are for people to set, not for checkpoints.
PERMISSIONS = 0o777

# What an open says when there is a link, a folder, a socket or a file in the way where a plain file was.
_SOMETHING_ELSE = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENOTDIR)

Entry = Dict[str, Any]


class Excludes:
    """Glob patterns. One with a slash is matched from the top of the workspace, one without in every folder."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._anywhere = [pattern.rstrip("/") for pattern in patterns if "/" not in pattern.rstrip("/")]
        self._anchored = [pattern.strip("/") for pattern in patterns if "/" in pattern.rstrip("/")]

    def cover(self, path: str) -> bool:
        """Whether this very path is excluded; what is below an excluded folder is never asked for."""
        name = path.rpartition("/")[2]
        return (
            path == STAGING
            or any(fnmatch.fnmatchcase(name, pattern) for pattern in self._anywhere)
            or any(fnmatch.fnmatchcase(path, pattern) for pattern in self._anchored)
        )


def locate(workspace: str) -> str:
    """The folder that a workspace names: absolute, or below the login's home."""
    return os.path.join(os.path.expanduser("~"), os.path.expanduser(workspace))


def walk(root: str, excludes: Excludes) -> Iterator[Entry]:
    """Every entry below `root`, a folder before its content, in the order of names."""
    todo: List[str] = [""]
    while todo:
        folder = todo.pop()
        below: List[str] = []
        for name in _names(root, folder):
            path = f"{folder}/{name}" if folder else name
            if excludes.cover(path):
                continue
            entry = describe(root, path)
            if entry is None:
                continue
            yield entry
            if entry["kind"] == FOLDER:
                below.append(path)
        todo.extend(reversed(below))


def _names(root: str, folder: str) -> List[str]:
    """What stands in a folder; nothing in one that has gone, or become something else, since it was listed itself."""
    try:
        return sorted(os.listdir(os.path.join(root, folder)))
    except (FileNotFoundError, NotADirectoryError):
        if not folder:
            raise
        return []


def open_file(full: str) -> Tuple[int, os.stat_result]:
    """Open a plain file for reading, and say what was opened.

    No following: a link put in its place leads elsewhere. No waiting: a pipe put there may never have a writer.

    Raises:
        FileNotFoundError: there is no plain file any more.
    """
    try:
        fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _SOMETHING_ELSE:
            raise FileNotFoundError(error.errno, "no plain file any more", full) from error
        raise
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "no plain file any more", full)
    return fd, found


def describe(root: str, path: str) -> Any:
    """The entry at a path, or None when it has vanished since its folder was listed."""
    full = os.path.join(root, path)
    try:
        found = os.lstat(full)
        if stat.S_ISLNK(found.st_mode):
            return {"path": path, "kind": LINK, "mtime": found.st_mtime_ns, "target": os.readlink(full)}
    except (FileNotFoundError, NotADirectoryError):
        return None
    kind = FILE if stat.S_ISREG(found.st_mode) else FOLDER if stat.S_ISDIR(found.st_mode) else OTHER
    return {"path": path, "kind": kind, "mode": found.st_mode & PERMISSIONS, "mtime": found.st_mtime_ns}
