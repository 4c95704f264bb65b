"""Files that are replaced whole, and what they are called."""

import hashlib
import os
from pathlib import Path

STATE = "training.pt"  # in the state's folder
FACTS = "training.json"  # in the result's folder
_READ = 1024 * 1024


def write(path: Path, text: str) -> None:
    """Replace a small file whole."""
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def settle(path: Path) -> None:
    """Have a file or a folder's list of names on the disk: only then a rename outlives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """A file's SHA-256."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ):
            found.update(part)
    return found.hexdigest()


def drop_state(folder: Path) -> None:
    for name in (STATE, f"{STATE}.draft"):
        (folder / name).unlink(missing_ok=True)
