"""The work as the daemon sees it: start, find again, freeze, stop. All of its truth is in the record and in /proc."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from typing import Any, Dict, List, Optional, Set

from . import launch, record, series
from .failures import DISK_FULL, AgentFailure
from .home import Home
from .methods import Json, Note
from .processes import descendants, environment_of, is_alive, kill_tree, send, session_members, wait_ended
from .record import Record
from .worklog import WorkLog

_GLANCE = 0.02  # seconds between two looks at the record during a start
_NOTE_EVERY = 2.0  # seconds between signs of life during a long setup


class Work:
    """Supervise the one piece of work of this agent."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._starting = threading.Lock()
        self._thaw_at: Optional[threading.Timer] = None
        self.log = WorkLog(home.path)

    def record(self) -> Optional[Record]:
        return record.load(self._home)

    def view(self) -> Dict[str, Any]:
        """State (none, setup, setup_failed, running, exited, stopped), pid, exit code and times, for heartbeats.

        `exited` without an exit code means that nobody saw the end: the machine restarted or the runner was killed.
        `stopped` means that setup or command were told to end; the exit code is told and is not the work's own word.
        """
        known = self.record()
        if known is None:
            unknown = ("pid", "exit_code", "started_at", "ended_at", "token", "service_port")
            return {"state": "none", **dict.fromkeys(unknown)}
        state = record.EXITED if known.over and known.state not in record.ENDS else known.state
        return {
            "state": state,
            "pid": known.process.pid if known.process and is_alive(known.process) else None,
            "exit_code": known.exit_code,
            "started_at": known.started_at,
            "ended_at": known.ended_at,
            "token": known.token,
            "service_port": known.service_port,
        }

    def service_port(self) -> Optional[int]:
        """On which the work answers; None: it is no service, or there is no work."""
        known = self.record()
        return None if known is None else known.service_port

    def start(self, order: Json, note: Note) -> Json:
        """Run the setup, then the command. Repeated with the same token it only waits for the first call's outcome."""
        with self._starting:
            known = self.record()
            if known is None or known.token != order["token"]:
                if known is not None and self.goes_on(known):
                    raise AgentFailure("already_running", f"work {known.token} still runs here")
                self._launch(order)
        return self._await_started(order["token"], note)

    def _launch(self, order: Json) -> None:
        workspace = os.path.join(os.path.expanduser("~"), order["workspace"])
        port = _port(order.get("service_port"))
        complete = {
            "token": order["token"],
            "epoch": int(order["epoch"]),
            "workspace": workspace,
            "setup": order.get("setup"),
            "command": order["command"],
            "service_port": port,
            "env": {**order.get("env", {}), **_where(port), **self._our_variables(order, workspace)},
        }
        self._forget_progress()
        runner = _spawn_runner(self._home, complete)
        threading.Thread(target=runner.wait, name="reaper", daemon=True).start()
        while (known := self.record()) is None or known.token != order["token"]:
            code = runner.poll()
            if code in DISK_FULL:
                raise OSError(code, os.strerror(code))
            if code is not None:
                raise AgentFailure("start_failed", self._home.tail("runner.log") or "the runner ended at once")
            time.sleep(_GLANCE)

    def _our_variables(self, order: Json, workspace: str) -> Dict[str, str]:
        return {
            "HOLDFAST_WORKLOAD": str(order["workload"]),
            "HOLDFAST_EPOCH": str(order["epoch"]),
            "HOLDFAST_WORKSPACE": workspace,
            "HOLDFAST_PROGRESS_FILE": self._home.file("progress"),
            "HOLDFAST_METRICS_FILE": self._home.file(series.FILE),
        }

    def _forget_progress(self) -> None:
        if os.path.exists(self._home.file("progress")):
            os.unlink(self._home.file("progress"))

    def _await_started(self, token: str, note: Note) -> Json:
        noted = time.monotonic()
        while (known := self.record()) is not None and known.token == token and known.state == record.SETUP:
            if not known.alive:
                raise AgentFailure("start_failed", "the setup's runner was killed")
            if time.monotonic() - noted > _NOTE_EVERY:
                noted = time.monotonic()
                note({"setup": self.log.tail(200)})
            time.sleep(_GLANCE)
        if known is not None and known.state == record.SETUP_FAILED:
            raise AgentFailure("setup_failed", f"setup ended with code {known.exit_code}:\n{self.log.tail(2000)}")
        if known is not None and known.state == record.STOPPED and known.started_at is None:
            raise AgentFailure("stopped", "the setup was stopped before the command began")
        return self.view()

    def stop(self, grace: float) -> Json:
        """End the work: SIGTERM, up to `grace` seconds, SIGKILL for all that is left. Idempotent."""
        known = self.record()
        if known is not None and self.goes_on(known):
            self.thaw()
            self._terminate(known)
            if not self._wait_ended(known, grace):
                self._kill(known)
        return self.view()

    def goes_on_now(self) -> bool:
        """Whether there is work, and anything of it still runs."""
        known = self.record()
        return known is not None and self.goes_on(known)

    def goes_on(self, known: Record) -> bool:
        """Whether anything of this work still runs: also what outlived both its runner and the shell that led it."""
        return not known.over or bool(self._leaderless(known))

    def _leaderless(self, known: Record) -> List[int]:
        """Processes of the work's session without its leader. Known by their environment: a session's number may be
        somebody else's by now."""
        if known.process is None or known.alive:
            return []
        return [pid for pid in session_members(known.process.pid) if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            return environment_of(pid).get("HOLDFAST_PROGRESS_FILE") == self._home.file("progress")
        except OSError:
            return False

    def _wait_ended(self, known: Record, grace: float) -> bool:
        until = time.monotonic() + grace
        leader = known.runner if is_alive(known.runner) else known.process or known.runner
        if not wait_ended(leader, grace):
            return False
        while self._leaderless(known):
            if time.monotonic() > until:
                return False
            time.sleep(_GLANCE)
        return True

    def _terminate(self, known: Record) -> None:
        if is_alive(known.runner):
            send([known.runner.pid], signal.SIGTERM)  # it passes the signal on, and starts nothing more
        elif known.process is not None:
            send(session_members(known.process.pid), signal.SIGTERM)

    def _kill(self, known: Record) -> None:
        if left := self._leaderless(known):
            send(left, signal.SIGKILL)
            return
        runner = known.runner.pid
        session = known.process.pid if known.process else runner
        if not kill_tree(runner, session, spare={runner}):
            raise AgentFailure("failed", "some process of the work outlives SIGKILL")
        if is_alive(known.runner):
            wait_ended(known.runner, seconds=10)

    def freeze(self, seconds: float) -> Json:
        """Stop the work's processes where they are, for at most `seconds`: then they go on whatever happens."""
        self._cancel_timer()
        self._thaw_at = threading.Timer(seconds, self.thaw)
        self._thaw_at.daemon = True
        self._thaw_at.start()
        for _ in range(2):  # the second time for what the first pass overlooked because it was just being forked
            send(self._members(), signal.SIGSTOP)
        return {"frozen": len(self._members())}

    def thaw(self) -> Json:
        """Let the work go on. Idempotent."""
        self._cancel_timer()
        members = self._members()
        send(members, signal.SIGCONT)
        return {"thawed": len(members)}

    def _cancel_timer(self) -> None:
        if self._thaw_at is not None:
            self._thaw_at.cancel()
            self._thaw_at = None

    def _members(self) -> Set[int]:
        known = self.record()
        if known is None or known.process is None or not known.alive:
            return set()
        return (set(descendants(known.runner.pid)) | set(session_members(known.process.pid))) - {known.runner.pid}

    def hook(self, command: str, seconds: float) -> Json:
        """Run a command beside the work, in its workspace and environment, for at most `seconds`."""
        known = self.record()
        if known is None or known.process is None or not is_alive(known.process):
            raise AgentFailure("not_running", "there is no running work to run a hook for")
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=known.workspace,
            env=environment_of(known.process.pid),
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            kill_tree(process.pid, process.pid, spare=set())
            raise AgentFailure("hook_failed", f"the hook ran longer than {seconds:.0f} s") from late
        text = output[-2000:].decode("utf-8", "replace")
        if process.returncode != 0:
            raise AgentFailure("hook_failed", f"the hook ended with code {process.returncode}:\n{text}")
        return {"output": text}


def _where(port: Optional[int]) -> Dict[str, str]:
    """As the work is told on which port it is to listen: the name that most servers and their hosts agree on."""
    return {} if port is None else {"PORT": str(port)}


def _port(given: Any) -> Optional[int]:
    """The one that is asked for; for 0 one that nobody listens on."""
    if given is None:
        return None
    if not 0 <= int(given) < 65_536:
        raise AgentFailure("start_failed", f"{given} is no port")
    if int(given):
        return int(given)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _spawn_runner(home: Home, order: Json) -> "subprocess.Popen[str]":
    with open(os.open(home.file("runner.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "ab") as log:
        runner = subprocess.Popen(
            launch.command("run", home),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert runner.stdin is not None
    with runner.stdin as stdin:
        json.dump(order, stdin)
    return runner
