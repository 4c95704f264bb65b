"""What is written down about the work, so that it survives every process but the machine."""

from typing import Any, Dict, NamedTuple, Optional

from .home import Home
from .processes import Identity, is_alive

FILE = "work.json"
SETUP, SETUP_FAILED, RUNNING, EXITED = "setup", "setup_failed", "running", "exited"
# It was told to end: by a stop of ours, the fence, the dead man, or a machine that shuts down. How it then ended is
# told, and is not its own end: a trainer that saves on SIGTERM and exits with 0 has not finished.
STOPPED = "stopped"
ENDS = (SETUP_FAILED, EXITED, STOPPED)


class Record(NamedTuple):
    """The work as its runner last described it."""

    token: str
    epoch: int
    workspace: str  # absolute
    state: str
    runner: Identity
    process: Optional[Identity] = None  # leads its own session; None before the first process
    started_at: Optional[float] = None  # when the command began, in seconds since 1970
    ended_at: Optional[float] = None
    exit_code: Optional[int] = None  # as a shell counts: 128 + signal for a killed process
    service_port: Optional[int] = None  # on which it answers, if it is a service

    @property
    def alive(self) -> bool:
        """Whether the runner lives, or at least the work's own first process."""
        return is_alive(self.runner) or is_alive(self.process)

    @property
    def over(self) -> bool:
        """Whether there is nothing left to wait for. Without an exit code nobody saw the end."""
        return self.state in ENDS or not self.alive


def load(home: Home) -> Optional[Record]:
    """The record of the newest work, or None when there was never any."""
    found = home.read(FILE)
    if found is None:
        return None
    found["runner"] = Identity(*found["runner"])
    if found["process"] is not None:
        found["process"] = Identity(*found["process"])
    return Record(**{name: found[name] for name in Record._fields if name in found})  # a newer agent wrote others, too


def save(home: Home, record: Record) -> None:
    fields: Dict[str, Any] = record._asdict()
    home.write(FILE, fields)
