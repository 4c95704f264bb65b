"""One log file per process in `<data>/logs`, and what is kept of the older ones."""

import os
from datetime import UTC, datetime
from pathlib import Path

ROTATE_ABOVE = 10 * 1024 * 1024
KEEP = 3


def open_for_append(path: Path) -> int:
    """A descriptor that a process writes its output to; a file that has grown large is moved aside first."""
    if path.exists() and path.stat().st_size > ROTATE_ABOVE:
        _rotate(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def say(text: str) -> None:
    """A line with its time, for a process whose standard output is such a file."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z {text}", flush=True)  # noqa: T201 (see above)


def tail(path: Path, *, lines: int = 8) -> str:
    """The last lines, for an error message; empty if there is no log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _rotate(path: Path) -> None:
    for number in range(KEEP - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))
