"""The folder behind a folder store: objects as files, complete or absent."""

import contextlib
import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from holdfast.checkpoints.errors import StoreRefused, StoreUnavailable
from holdfast.checkpoints.stores.base import StoredObject

UNFINISHED = ".unfinished"


class Files:
    """The folder itself; blocking, and safe for several threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, key: str) -> Path:
        """Where a key's bytes are. Raises StoreRefused for a key that would lead out of the folder."""
        parts = key.split("/")
        if any(part in ("", ".", "..") or part == UNFINISHED or "\0" in part for part in parts):
            raise StoreRefused(f"{key!r} cannot be a key")
        return self._root.joinpath(*parts)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes | None:
        try:
            with self.path(key).open("rb") as file:
                file.seek(start)
                return file.read(-1 if length is None else length)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as err:
            raise _trouble(err) from err

    def create(self, key: str, data: bytes) -> bool:
        draft = self.draft()
        try:
            with draft.open("wb") as file:
                file.write(data)
            return self.publish(draft, key)
        except OSError as err:
            raise _trouble(err) from err
        finally:
            draft.unlink(missing_ok=True)

    def draft(self) -> Path:
        """A name for a file that is not yet an object."""
        folder = self._root / UNFINISHED
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / secrets.token_hex(12)

    def publish(self, draft: Path, key: str) -> bool:
        """Make a finished draft the object; False when there is one already."""
        _sync(draft)
        target = self.path(key)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.link(draft, target)
        except FileExistsError:
            return False
        _sync(target.parent)
        return True

    def head(self, key: str) -> StoredObject | None:
        path = self.path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as err:
            raise _trouble(err) from err
        if not path.is_file():
            return None
        return StoredObject(key=key, size=found.st_size, modified=datetime.fromtimestamp(found.st_mtime, UTC))

    def below(self, prefix: str) -> list[StoredObject]:
        folder = self.path(prefix.rstrip("/"))
        names = (path.relative_to(self._root).as_posix() for path in folder.rglob("*") if path.is_file())
        return sorted(filter(None, map(self.head, names)), key=lambda found: found.key)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    self.path(key).unlink()
            except OSError as err:
                raise _trouble(err) from err


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _trouble(err: OSError) -> StoreRefused | StoreUnavailable:
    """A full disk or a forbidden folder needs a person; anything else may pass."""
    if isinstance(err, PermissionError) or err.errno in (28, 30, 122):  # ENOSPC, EROFS, EDQUOT
        return StoreRefused(f"the store's folder: {err}")
    return StoreUnavailable(f"the store's folder: {err}")
