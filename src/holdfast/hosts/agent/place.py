"""The last step of a restore: prepared files move into place, strangers go, modes and times are set."""

import errno
import os
import shutil
import stat
from typing import Callable, List, Set

from . import tree
from .failures import AgentFailure
from .plan import Manifest

OWN_FOLDER = 0o700


class Placement:
    """Each step may be repeated after a crash: what is done already is found done."""

    def __init__(self, root: str, manifest: Manifest, path_of: Callable[[int], str]) -> None:
        self._root = root
        self._manifest = manifest
        self._staged_path = path_of
        self._kinds = {entry["path"]: entry["kind"] for entry in manifest.entries}

    def carry_out(self, complete: List[int]) -> None:
        """`complete` are the entries whose content is right in place already."""
        in_place = set(complete)
        self._remove_strangers("", tree.Excludes(self._manifest.exclude))
        for index, entry in enumerate(self._manifest.entries):
            self._put(index, entry, in_place)
        # Children first: writing into a folder changes its time, and a mode may forbid writing into it.
        for entry in reversed(self._manifest.entries):
            if entry["kind"] == tree.FOLDER:
                self._dress(self._full(entry["path"]), entry)
        _sync_folder(self._root)

    def _put(self, index: int, entry: tree.Entry, in_place: Set[int]) -> None:
        full = self._full(entry["path"])
        if entry["kind"] == tree.FOLDER:
            self._make_folder(full)
        elif entry["kind"] == tree.LINK:
            self._link(full, entry)
        elif index in in_place:
            self._dress(full, entry)
        else:
            self._dress(self._staged_path(index), entry)
            os.replace(self._staged_path(index), full)

    def _make_folder(self, full: str) -> None:
        os.makedirs(full, exist_ok=True)
        if not stat.S_ISDIR(os.lstat(full).st_mode):  # excluded, so it was left alone: what we put below would leave
            raise AgentFailure("bad_request", f"{full} is a link, and the checkpoint has a folder there")

    def _link(self, full: str, entry: tree.Entry) -> None:
        fresh = os.path.join(self._root, tree.STAGING, "link")
        if os.path.lexists(fresh):
            os.unlink(fresh)
        os.symlink(entry["target"], fresh)
        os.utime(fresh, ns=(entry["mtime"], entry["mtime"]), follow_symlinks=False)
        os.replace(fresh, full)

    def _dress(self, full: str, entry: tree.Entry) -> None:
        os.chmod(full, entry["mode"] & tree.PERMISSIONS)
        os.utime(full, ns=(entry["mtime"], entry["mtime"]))

    def _remove_strangers(self, folder: str, excludes: tree.Excludes) -> None:
        """Remove what the manifest does not know or knows as another kind. Excluded paths are not ours to touch."""
        full = self._full(folder)
        os.chmod(full, stat.S_IMODE(os.lstat(full).st_mode) | OWN_FOLDER)
        for name in os.listdir(full):
            path = f"{folder}/{name}" if folder else name
            if excludes.cover(path):
                continue
            found = tree.describe(self._root, path)
            if found is None:
                continue
            if found["kind"] == tree.FOLDER and self._kinds.get(path) in (None, tree.FOLDER):
                self._remove_strangers(path, excludes)
                if path not in self._kinds:
                    _remove_if_empty(self._full(path))
            elif self._kinds.get(path) != found["kind"]:
                _remove(self._full(path), found["kind"])

    def _full(self, path: str) -> str:
        return os.path.join(self._root, path)


def _remove(full: str, kind: str) -> None:
    if kind == tree.FOLDER:
        shutil.rmtree(full)
    else:
        os.unlink(full)


def _remove_if_empty(full: str) -> None:
    try:
        os.rmdir(full)
    except OSError as err:
        if err.errno != errno.ENOTEMPTY:  # something excluded is in it
            raise


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
