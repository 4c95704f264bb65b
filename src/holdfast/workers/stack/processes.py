"""One process of the stack: started here, or found alive and adopted.

Both kinds are held by a pidfd, so that a signal never reaches a stranger that got the same pid, and the end of
either is noticed at once.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from holdfast.workers.stack import logs
from holdfast.workers.stack.state import ProcessRecord


class Process:
    """A living process, or one that has just ended. Use inside a running event loop."""

    def __init__(self, record: ProcessRecord, pidfd: int, child: subprocess.Popen[bytes] | None) -> None:
        self.record = record
        self._pidfd = pidfd
        self._child = child
        self._gone = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(pidfd, self._on_exit)

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        restarts: int = 0,
        stdin: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
    ) -> "Process":
        """Start a process in its own session: Ctrl-C at our terminal does not reach it, and it outlives us."""
        output = logs.open_for_append(log)
        try:
            child = subprocess.Popen(
                command,
                env=dict(env),
                stdin=stdin,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        finally:
            os.close(output)
        return cls(ProcessRecord.of(child.pid, restarts=restarts), os.pidfd_open(child.pid), child)

    @classmethod
    def adopt(cls, record: ProcessRecord) -> "Process | None":
        """The process of an earlier supervisor, if it still lives."""
        try:
            pidfd = os.pidfd_open(record.pid)
        except ProcessLookupError:
            return None
        if not record.lives():  # asked after the pidfd was taken: the answer is about what it holds
            os.close(pidfd)
            return None
        return cls(record, pidfd, child=None)

    async def gone(self) -> int | None:
        """Wait for the end. The exit status, or None for an adopted process: only its parent may know."""
        status: int | None = await asyncio.shield(self._gone)
        return status

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        if not self._gone.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def stop(self, *, grace: timedelta) -> bool:
        """Ask it to end, and end it hard after `grace`. Returns whether asking was enough."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.gone(), grace.total_seconds())
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.gone()
            return False
        return True

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._gone.set_result(self._child.wait() if self._child else None)
