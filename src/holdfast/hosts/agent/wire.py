"""JSON lines over a socket, in both directions at once."""

import json
import socket
import threading
from typing import Any, Dict, Iterator

LONGEST = 256 * 1024 * 1024  # bytes of one message; more is a mistake, and would be held in memory


class Wire:
    """One end of a conversation. Sending is safe from any thread; reading is for one."""

    def __init__(self, link: socket.socket, silence: float) -> None:
        self._link = link
        self._link.settimeout(silence)
        self._reader = link.makefile("rb", buffering=1024 * 1024)
        self._sending = threading.Lock()

    def send(self, message: Dict[str, Any]) -> None:
        """Raises OSError when the other end is gone or has taken nothing for too long."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._sending:
            self._link.sendall(data)

    def messages(self) -> Iterator[Dict[str, Any]]:
        """Every message until the other end hangs up, falls silent for too long or sends what is no message."""
        while True:
            try:
                line = self._reader.readline(LONGEST)
                message = json.loads(line) if line.endswith(b"\n") else None
            except (OSError, ValueError):
                return
            if not isinstance(message, dict):
                return  # a half line is all that a broken connection leaves
            yield message

    def close(self) -> None:
        """Wake the reader and hang up. Idempotent."""
        try:
            self._link.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it was never open, or is closed already
