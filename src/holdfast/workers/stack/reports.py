"""What the supervisor tells whoever watches it: one JSON line per event, through a pipe.

The pipe is also the sign of life: it ends when the supervisor does.
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum


class Kind(StrEnum):
    NOTE = "note"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Report:
    """One event, with a line for people."""

    kind: Kind
    text: str

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Report":
        raw = json.loads(line)
        return cls(Kind(raw["kind"]), raw["text"])


class Reporter:
    """Sends reports to every listener that still listens; one that went away is forgotten."""

    def __init__(self) -> None:
        self._listeners: list[int] = []

    def add(self, write_end: int) -> None:
        """Send to this pipe too. It must not block us: a listener that does not read misses lines."""
        os.set_blocking(write_end, False)
        self._listeners.append(write_end)

    def send(self, kind: Kind, text: str) -> None:
        line = Report(kind, text).to_line()
        for listener in list(self._listeners):
            try:
                os.write(listener, line)
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._listeners.remove(listener)
                os.close(listener)
