"""The parent of the work: runs setup and command, keeps their output, and writes down how they ended.

It is its own process and session, so that neither a lost connection nor a killed daemon touches the work. Its order
comes over stdin, because the environment in it may hold secrets. While it lives it also brings a dead daemon back.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Dict, Optional

from . import launch, record
from .failures import DISK_FULL, tell
from .home import Home
from .processes import adopt_orphans, identify, kill_tree
from .worklog import LogWriter

_GUARD_EVERY = 2.0  # seconds between two looks at the daemon
_FULL_DISK_PAUSE = 1.0  # seconds until what could not be written is tried again
_CANNOT_RUN = 126  # what a shell says of a command that it finds and cannot run
_OF_THE_ORDER = (errno.E2BIG, errno.ENOENT, errno.ENOTDIR, errno.EACCES)  # no other machine could run it either


def main(home: Home, **_options: Any) -> int:
    """Run the order that stdin holds; returns when the work is over and recorded.

    Before anything was started a full disk is told by the exit code, an errno: the log has no room for it.
    """
    order = json.load(sys.stdin)
    if home.try_lock("work.lock") is None:
        return 1
    adopt_orphans()
    try:
        runner = Runner(home, order)
        runner.prepare()
    except OSError as error:
        tell(f"cannot start: {error}")
        return error.errno if error.errno in DISK_FULL else 1
    runner.run()
    return 0


class Runner:
    """One setup and one command, from first process to exit code."""

    def __init__(self, home: Home, order: Dict[str, Any]) -> None:
        self._home = home
        self._order = order
        self._log = LogWriter(home.path)
        self._current: Optional[int] = None  # pid of the setup or the command
        self._stopping = False
        self._me = identify(os.getpid())

    def prepare(self) -> None:
        """Everything that must be so before the first process. Raises OSError."""
        signal.signal(signal.SIGTERM, self._pass_on)
        os.makedirs(self._order["workspace"], exist_ok=True)
        self._note(record.SETUP)  # from here on whoever wants to stop the work knows whom to tell

    def run(self) -> None:
        threading.Thread(target=self._guard_daemon, name="guard", daemon=True).start()
        if self._order["setup"]:
            code = self._run_one(self._order["setup"], record.SETUP)
            if code != 0 or self._stopping:
                self._note_end(record.SETUP_FAILED, exit_code=code)
                return
        started_at = time.time()
        code = self._run_one(self._order["command"], record.RUNNING, started_at)
        self._note_end(record.EXITED, started_at=started_at, exit_code=code)

    def _run_one(self, command: str, state: str, started_at: Optional[float] = None) -> int:
        """Run a shell command to its end, and end whatever it left behind. Returns its exit code."""
        if self._stopping:
            return 128 + signal.SIGTERM
        try:
            process = self._spawn(command)
        except OSError as error:
            if error.errno not in _OF_THE_ORDER:
                raise
            self._log.append(f"holdfast: the {state} command cannot be run: {error}\n".encode())
            return _CANNOT_RUN
        assert process.stdout is not None
        self._current = process.pid
        copying = self._log.follow(process.stdout)
        try:
            self._note_until_written(state, process=identify(process.pid), started_at=started_at)
            self._pass_on_early_stop()
            process.returncode = _reap_until(process.pid)
        finally:
            kill_tree(os.getpid(), process.pid, spare={os.getpid()})
        copying.join(timeout=5)
        return process.returncode

    def _spawn(self, command: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._order["workspace"],
            env={**os.environ, **self._order["env"]},
            start_new_session=True,
        )

    def _pass_on_early_stop(self) -> None:
        """The signal may have come before there was a process to pass it on to."""
        if self._stopping:
            self._pass_on(signal.SIGTERM, None)

    def _pass_on(self, number: int, _frame: object) -> None:
        self._stopping = True
        if self._current is not None:
            try:
                os.killpg(self._current, number)
            except ProcessLookupError:
                return

    def _note(self, state: str, **facts: Any) -> None:
        assert self._me is not None
        base = record.Record(
            token=self._order["token"],
            epoch=self._order["epoch"],
            workspace=self._order["workspace"],
            state=state,
            runner=self._me,
            service_port=self._order.get("service_port"),
        )
        record.save(self._home, base._replace(**facts))

    def _note_end(self, own: str, **facts: Any) -> None:
        """Write down how it ended, by itself (`own`) or because we were told to stop it."""
        # Asked only now, when all of the work has ended: a machine that shuts down tells the work and us at once, and
        # the work may be the first to react.
        state = record.STOPPED if self._stopping else own
        self._note_until_written(state, ended_at=time.time(), **facts)

    def _note_until_written(self, state: str, **facts: Any) -> None:
        while not self._try_note(state, facts):
            time.sleep(_FULL_DISK_PAUSE)  # a process, or its exit code, is worth waiting for room on the disk

    def _try_note(self, state: str, facts: Dict[str, Any]) -> bool:
        try:
            self._note(state, **facts)
        except OSError as error:
            tell(f"cannot record that the work is {state}: {error}")
            return False
        return True

    def _guard_daemon(self) -> None:
        while True:
            time.sleep(_GUARD_EVERY)
            if not launch.daemon_listens(self._home):
                adopt_orphans(False)  # or the daemon would become part of the work's own tree, and end with it
                launch.start_daemon(self._home)
                adopt_orphans()


def _reap_until(wanted: int) -> int:
    """Wait for one child, burying every adopted orphan that ends meanwhile. Returns its code as a shell counts."""
    while True:
        pid, status = os.wait()
        if pid == wanted:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
