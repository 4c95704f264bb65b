"""The folder of one agent on the machine, private to the login.

```text
~/.holdfast/<label>/
├── agent.sock     where the daemon listens, while it runs
├── agent.lock     held by the daemon; work.lock likewise by the work's runner
├── agent.json     which daemon runs, and the protocol it speaks
├── agent.log      what the daemon itself has to say; runner.log likewise
├── work.json      the work: its token, processes, state and exit code. Never its environment
├── progress       written by the work, read by the agent
├── series         likewise: one JSON object a line, only ever appended to
├── reserve        room for the files above on a full disk
├── lease.json     the dead-man lease; fence.json: the highest epoch seen
└── log.<offset>   output of the work; the name says at which byte the piece starts
```
"""

import contextlib
import fcntl
import json
import os
import threading
from typing import Any, Dict, Optional

from .failures import DISK_FULL

_RESERVE = 64 * 1024  # bytes; several of the small files here


class Home:
    """Typed access to the folder. Writes are atomic and private."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))

    def create(self) -> None:
        """Make the folder with mode 0700. Idempotent."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        os.chmod(self.path, 0o700)

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def read(self, name: str) -> Optional[Dict[str, Any]]:
        """The JSON object in a file, or None when it was never written."""
        try:
            with open(self.file(name), encoding="utf-8") as file:
                found: Dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return None
        return found

    def write(self, name: str, value: Dict[str, Any]) -> None:
        """Replace a file in one step; a crash leaves the old or the new content. On a full disk it uses the reserve."""
        data = json.dumps(value).encode()
        try:
            self._replace(name, data)
        except OSError as error:
            if error.errno not in DISK_FULL or not self._give_up("reserve"):
                raise
            self._replace(name, data)
        self._keep_reserve()

    def _replace(self, name: str, data: bytes) -> None:
        fresh = f".{name}.{os.getpid()}.{threading.get_ident()}"  # two threads may keep the same file at once
        try:
            with open(os.open(self.file(fresh), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self.file(fresh), self.file(name))
        except OSError:
            self._give_up(fresh)
            raise

    def _keep_reserve(self) -> None:
        """Take room that we can give back: how work ended must be told on a full disk, too."""
        if os.path.exists(self.file("reserve")):
            return
        with contextlib.suppress(OSError):
            self._replace("reserve", os.urandom(_RESERVE))  # no zeros: some file systems keep those for nothing

    def _give_up(self, name: str) -> bool:
        with contextlib.suppress(OSError):
            os.unlink(self.file(name))
            return True
        return False

    def try_lock(self, name: str) -> Optional[int]:
        """Take a lock for as long as this process lives; None when another process has it."""
        handle = os.open(self.file(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def tail(self, name: str, size: int = 2000) -> str:
        """The end of a text file; empty when there is none."""
        try:
            with open(self.file(name), "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - size))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
