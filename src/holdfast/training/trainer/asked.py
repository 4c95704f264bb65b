"""What others ask of the trainer while it runs: to save now, to save and end."""

import os
import signal
import time
from pathlib import Path
from types import FrameType

SAVE = signal.SIGUSR1
_GLANCE = 0.02  # seconds


class Asked:
    """Signals as flags: a step is never cut in two."""

    def __init__(self) -> None:
        self.to_save = False
        self.to_stop = False

    def listen(self) -> "Asked":
        signal.signal(SAVE, self._save)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        return self

    def _save(self, _number: int, _frame: FrameType | None) -> None:
        self.to_save = True

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.to_stop = True


def write_pid(folder: Path) -> None:
    draft = folder / "pid.draft"
    draft.write_text(f"{os.getpid()}\n")
    draft.replace(folder / "pid")


def save_now(folder: Path, *, state: Path) -> bool:
    """Ask the trainer whose state folder this is to save, and wait until it has. False: no trainer runs there."""
    try:
        pid = int((folder / "pid").read_text())
        before = _mark(state)
        os.kill(pid, SAVE)
    except (OSError, ValueError):
        return False
    while _mark(state) == before:
        if not _lives(pid):
            return False
        time.sleep(_GLANCE)
    return True


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
