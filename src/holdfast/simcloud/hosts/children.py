"""Start the commands of a host and reap every process that ends on it.

The host is a child subreaper: daemons whose parents are gone become its children, as on a real machine they become
init's. Unreaped they would stay as zombies, and to ``kill -0`` a zombie looks alive. So the host waits for all children
itself instead of leaving its own to asyncio, which knows nothing of adopted ones.
"""

import asyncio
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

SHELL = "/bin/sh"


@dataclass(frozen=True, kw_only=True)
class Streams:
    """The three descriptors that a command inherits."""

    stdin: int
    stdout: int
    stderr: int


class Children:
    """All processes below one host. Make it on the host's event loop."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._home = home
        self._environment = environment
        self._awaited: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def start(self, command: str | None, streams: Streams) -> "asyncio.Future[int]":
        """Run a shell command, or a shell that reads its stdin, in a session of its own at home.

        The future is its return code, negative for a signal. Raises OSError when it cannot be started.
        """
        arguments = [SHELL] if command is None else [SHELL, "-c", command]
        process = subprocess.Popen(
            arguments,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            cwd=self._home,
            env=self._environment,
            start_new_session=True,
        )
        # No await between start and entry: SIGCHLD is handled on this loop, so it cannot come first.
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._awaited[process.pid] = (process, ended)
        return ended

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        if (awaited := self._awaited.pop(pid, None)) is None:
            return  # an adopted daemon: nobody asks
        process, ended = awaited
        process.returncode = code  # or it would try to wait for itself
        if not ended.done():
            ended.set_result(code)
