"""The agent itself: a detached process that listens in its home and outlives every connection."""

import os
import shutil
import signal
import socket
import sys
import threading
import time
from typing import Any, Dict, Optional

from . import machine, series
from .conversation import Call, Conversation
from .deadman import DeadMan
from .failures import AgentFailure
from .fence import Fence
from .home import Home
from .launch import PROTOCOL, SOCKET
from .methods import Json, Method, OneAtATime
from .notice import NoticeWatch
from .presence import Logins, connections
from .processes import boot_id
from .progress import ProgressFile
from .registry import TRANSFERS
from .work import Work


class Daemon:
    """All methods of one agent, and the loop that accepts connections."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._work = Work(home)
        self._work.thaw()  # an earlier daemon may have been killed in the middle of a save
        self._fence = Fence(home, self._work)
        self._deadman = DeadMan(home, self._work.stop, self._work.goes_on_now)
        self._progress = ProgressFile(home.file("progress"))
        self._gpus = machine.GpuMeter()
        self._cpu = machine.CpuMeter()
        self._notice = NoticeWatch()
        self._notice.begin()
        self._logins = Logins()
        self._started_at = time.time()
        one_at_a_time = OneAtATime()
        self._methods: Dict[str, Method] = {name: one_at_a_time.wrap(body) for name, body in TRANSFERS.items()}
        self._methods.update(self._own_methods())

    def _own_methods(self) -> Dict[str, Method]:
        work, deadman = self._work, self._deadman
        return {
            "hello": lambda p, ask, note: self._hello(),
            "heartbeat": lambda p, ask, note: self.beat(),
            "probe": lambda p, ask, note: machine.probe(self._home.path),
            "start": lambda p, ask, note: work.start(p, note),
            "stop": lambda p, ask, note: work.stop(float(p["grace_s"])),
            "freeze": lambda p, ask, note: work.freeze(float(p["for_s"])),
            "thaw": lambda p, ask, note: work.thaw(),
            "hook": lambda p, ask, note: work.hook(p["command"], float(p["timeout_s"])),
            "read_log": lambda p, ask, note: self._read_log(int(p["offset"]), int(p.get("max_bytes", 65_536))),
            "read_series": lambda p, ask, note: self._read_series(int(p["offset"]), int(p.get("max_bytes", 65_536))),
            "lease": lambda p, ask, note: deadman.lease(float(p["for_s"]), float(p.get("grace_s", 30)), p),
            "renew": lambda p, ask, note: deadman.renew(float(p["for_s"])),
            "fence": lambda p, ask, note: self._fence.raise_to(int(p["epoch"])),
        }

    def invoke(self, epoch: Optional[int], name: str, params: Json, call: Call) -> Json:
        """Run one method for a caller of some epoch."""
        method = self._methods.get(name)
        if method is None:
            raise AgentFailure("unknown_method", f"this agent has no method {name!r}")
        self._fence.check(epoch)
        return method(params, call.ask, call.note)

    def beat(self) -> Json:
        """Everything that is known at this moment, cheap to ask."""
        progress = self._progress.read()
        gpu_percent, gpu_memory = self._gpus.load()
        return {
            **self._hello(),
            "monotonic": time.monotonic(),
            "at": time.time(),
            "work": self._work.view(),
            "progress": {"text": progress.text, "raw": progress.raw, "changed_at": progress.changed_at},
            "gpu_percent": gpu_percent,
            "gpu_memory_mb": gpu_memory,
            "cpu_percent": self._cpu.percent(),
            "memory_mb": machine.memory_used() / (1024 * 1024),
            "disk_free_mb": shutil.disk_usage(self._home.path).free / (1024 * 1024),
            "log_bytes": self._work.log.size(),
            "sessions": self._logins.count(),
            "connections": self._connections(),
            **self._deadman.view(),
            **self._notice.view(),
        }

    def _connections(self) -> Optional[int]:
        port = self._work.service_port()
        return None if port is None else connections(port)

    def _hello(self) -> Json:
        return {
            "protocol": PROTOCOL,
            "boot_id": boot_id(),
            "agent_started_at": self._started_at,
            "agent_pid": os.getpid(),
            "epoch": self._fence.epoch,
        }

    def _read_log(self, offset: int, limit: int) -> Json:
        start, data = self._work.log.read(offset, min(limit, 4 * 1024 * 1024))
        # Latin-1 carries any byte through JSON unchanged: a piece may end in the middle of a character.
        return {"offset": start, "data": data.decode("latin-1"), "size": self._work.log.size()}

    def _read_series(self, offset: int, limit: int) -> Json:
        """As `read_log`, of the file in which the work writes numbers; whole lines only, while it writes on."""
        data, size = series.read(self._home.file(series.FILE), offset, min(limit, 4 * 1024 * 1024))
        return {"offset": offset, "data": data.decode("latin-1"), "size": size}

    def listen(self) -> socket.socket:
        """Open the socket in the home; the caller holds the lock, so what lies there is left over."""
        os.chdir(self._home.path)  # the whole path may be longer than a socket's name can be
        if os.path.exists(SOCKET):
            os.unlink(SOCKET)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(SOCKET)
        os.chmod(SOCKET, 0o600)
        listener.listen(16)
        return listener

    def accept(self, listener: socket.socket) -> None:
        """Serve every connection in a thread of its own, for ever."""
        while True:
            link, _ = listener.accept()
            conversation = Conversation(link, self.invoke, self.beat)
            threading.Thread(target=conversation.run, name="conversation", daemon=True).start()


def main(home: Home, **_options: Any) -> int:
    """Become the daemon of this home. Returns 0 in the calling process once a daemon listens, ours or another's."""
    ready, done = os.pipe()
    if os.fork() > 0:
        os.close(done)
        return 0 if os.read(ready, 1) else 1
    os.close(ready)
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    serve(home, done)
    return 0


def serve(home: Home, done: int) -> None:
    """Hold the lock, listen, say so on `done`, and accept until a signal ends the process."""
    if home.try_lock("agent.lock") is None:
        os.write(done, b"1")
        os._exit(0)
    _leave_terminal()
    signal.signal(signal.SIGTERM, _end)
    daemon = Daemon(home)
    listener = daemon.listen()
    home.write("agent.json", {"pid": os.getpid(), "protocol": PROTOCOL, "program": sys.argv[0]})
    os.write(done, b"1")
    os.close(done)
    daemon.accept(listener)


def _leave_terminal() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)  # the SSH channel of whoever started us must be able to close
    os.close(nothing)


def _end(_number: int, _frame: Any) -> None:
    os.unlink(SOCKET)
    os._exit(0)
