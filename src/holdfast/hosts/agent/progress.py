"""How far the work says it is: a small JSON object or plain text in the file $HOLDFAST_PROGRESS_FILE."""

import json
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

from .tree import open_file

_LIMIT = 4096  # bytes of the file that count
_TEXT = 200  # characters of plain text that are passed on


class Progress(NamedTuple):
    """What the file said, as text for people and as the object it held; and when it last said something new."""

    text: str = ""
    raw: Optional[Dict[str, Any]] = None
    changed_at: Optional[float] = None  # seconds since 1970


class ProgressFile:
    """Read the file when it was written to; remember since when its content is the same."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._stamp: Optional[Tuple[int, int]] = None
        self._content = b""
        self._progress = Progress()

    def read(self) -> Progress:
        """The newest progress; empty before the first."""
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._take(_beginning(self._path), status.st_mtime)
                self._stamp = stamp
        except OSError:  # a new start of the work begins with none; a folder or a pipe says nothing
            self._forget()
        return self._progress

    def _take(self, content: bytes, written_at: float) -> None:
        if content == self._content or not content.strip():
            return  # empty: caught between truncate and write
        self._content = content
        text, raw = describe(content.decode("utf-8", "replace"))
        self._progress = Progress(text, raw, written_at)


def _beginning(path: str) -> bytes:
    fd, _ = open_file(os.path.realpath(path))  # a link is followed: where it writes is the work's own affair
    with open(fd, "rb") as file:
        return file.read(_LIMIT)


def describe(content: str) -> Tuple[str, Optional[Dict[str, Any]]]:
    """The text form of a progress file's content, and the object when it holds one."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return " ".join(content.split())[:_TEXT], None
    facts = dict(found)
    parts = []
    if "step" in facts:
        step, total = facts.pop("step"), facts.pop("total", None)
        parts.append(f"step {step}" if total is None else f"step {step}/{total}")
    parts.extend(f"{name} {_short(value)}" for name, value in facts.items())
    return " · ".join(parts)[:_TEXT], found


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
