"""Keep a supervisor alive: the other half of the pair that watches each other.

`holdfast up` in the foreground is such a keeper with a console. When it is killed, or was detached, the supervisor
starts one in the background, the guardian: this module as a process.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from holdfast.workers.stack import logs
from holdfast.workers.stack.reports import Kind, Report
from holdfast.workers.stack.state import Home, Phase

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # to a supervisor: without grace, and with
Say = Callable[[Report], None]
PAUSE_BEFORE_NEXT = 0.5  # seconds, so that a supervisor that cannot start does not take the machine with it


class Keeper:
    """Holds the stack's lock and sees that a supervisor runs until the stack was stopped on purpose."""

    def __init__(self, home: Home, *, lock_fd: int, say: Say) -> None:
        self._home = home
        self._lock_fd = lock_fd
        self._say = say
        self.asked_to_stop = False  # by a signal
        self._supervisor: subprocess.Popen[bytes] | None = None

    def keep(self, reports: IO[bytes] | None = None, *, detach: bool = False) -> None:
        """Follow a supervisor's reports, replacing it whenever it dies. Without `reports` starts with a new one.

        Returns when the stack has stopped; with `detach` also as soon as it is ready: then the supervisor has found
        itself a guardian in the background.
        """
        while True:
            with reports or self._start(detach=detach) as lines:
                for line in lines:
                    report = Report.from_line(line)
                    self._say(report)
                    if detach and report.kind is Kind.READY:
                        return
            reports = None
            if self._supervisor:
                self._supervisor.wait()
            state = self._home.read()
            if state is None or state.phase is Phase.STOPPED:
                return
            self._say(Report(Kind.NOTE, "the supervisor died; starting another"))
            time.sleep(PAUSE_BEFORE_NEXT)

    def _start(self, *, detach: bool) -> IO[bytes]:
        """Start a supervisor; its reports come through the stream."""
        read_end, write_end = os.pipe()
        command = [sys.executable, "-m", "holdfast.workers.stack.supervisor", str(self._home.path)]
        command += ["--lock-fd", str(self._lock_fd), "--report-fd", str(write_end)]
        command += [] if detach else ["--guardian", str(os.getpid())]
        log = logs.open_for_append(self._home.path / "logs" / "supervisor.log")
        # A stop that comes before the supervisor can heed it must wait, not kill it: it unblocks them when it is ready.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self._supervisor = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[self._lock_fd, write_end],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(log)
            os.close(write_end)
        if self.asked_to_stop:
            self._tell(signal.SIGTERM)
        return os.fdopen(read_end, "rb")

    @contextlib.contextmanager
    def stops_on_signals(self) -> Iterator[None]:
        """Inside, Ctrl-C, a closed terminal or SIGTERM stops the stack; a second Ctrl-C does it without grace.

        Only the main thread may set handlers; called from another one, signals stay with whoever has them.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heeded = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, self._on_signal) for number in heeded]
        try:
            yield
        finally:
            for number, handler in zip(heeded, before, strict=True):
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._tell(signal.SIGINT if self.asked_to_stop and number == signal.SIGINT else signal.SIGTERM)
        self.asked_to_stop = True

    def _tell(self, number: int) -> None:
        if self._supervisor:
            self._supervisor.send_signal(number)


def main(argv: list[str] | None = None) -> int:
    """The guardian: standard input is the pipe of a living supervisor."""
    data_dir, lock_fd = (argv or sys.argv[1:])[:2]
    keeper = Keeper(Home(Path(data_dir)), lock_fd=int(lock_fd), say=_log)
    keeper.keep(sys.stdin.buffer)
    return 0


def _log(report: Report) -> None:
    logs.say(report.text)


if __name__ == "__main__":
    sys.exit(main())
