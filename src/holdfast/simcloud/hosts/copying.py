"""Copies of a machine's disk, while it may be in use: as a crash would leave it."""

import os
import shutil
import stat
from pathlib import Path

from holdfast.simcloud.hosts.folder import tolerate_missing


def copy_disk(source: Path, target: Path) -> int:
    """Copy a folder to a place where nothing is yet; it is there whole, or not at all. Returns its bytes.

    What vanishes meanwhile is left out, and so is what is no file, folder or symbolic link. A folder that is gone
    makes an empty copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    remove_disk(fresh)
    size = _copy_folder(source, fresh)
    fresh.replace(target)
    return size


def remove_disk(folder: Path) -> None:
    """Remove a copy. Idempotent."""
    shutil.rmtree(folder, onerror=tolerate_missing)


def _copy_folder(source: Path, target: Path) -> int:
    target.mkdir()
    try:
        entries = list(os.scandir(source))
    except OSError:  # gone meanwhile, or not to be read
        return 0
    size = sum(_copy_entry(entry, target / entry.name) for entry in entries)
    target.chmod(source.stat().st_mode & 0o7777)
    return size


def _copy_entry(entry: "os.DirEntry[str]", target: Path) -> int:
    try:
        if entry.is_symlink():
            target.symlink_to(Path(entry.path).readlink())
            return 0
        if entry.is_dir():
            return _copy_folder(Path(entry.path), target)
        if not stat.S_ISREG(entry.stat().st_mode):
            return 0  # a pipe or a socket: its reader would wait for ever
        shutil.copy2(entry.path, target)
        return target.stat().st_size
    except OSError:  # gone meanwhile
        return 0
