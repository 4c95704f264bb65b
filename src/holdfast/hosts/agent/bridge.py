"""Carry one SSH channel to the daemon and back: the far end of `connect`."""

import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, Optional

from . import launch
from .home import Home
from .processes import identify, wait_ended

_PIECE = 1024 * 1024
_START_WITHIN = 20.0  # seconds for a daemon to listen on a busy machine


def main(home: Home, *, start: bool) -> int:
    """Connect, say `ready` and carry bytes until either side ends. With `start` a missing daemon is started."""
    link = _reach(home, start)
    if link is None:
        _announce(holdfast="no_agent", reason=home.tail("agent.log", 400))
        return 4
    _announce(holdfast="ready")
    threading.Thread(target=_carry_in, args=(link,), daemon=True).start()
    _carry_out(link)
    return 0


def _reach(home: Home, start: bool) -> Optional[socket.socket]:
    if start:
        home.create()
        _retire_older(home)
    give_up = time.monotonic() + _START_WITHIN
    while True:
        link = launch.reach_daemon(home)
        if link is not None or not start or time.monotonic() > give_up:
            return link
        launch.start_daemon(home)


def _retire_older(home: Home) -> None:
    """End a daemon that speaks an older protocol; its work goes on under the new one. A newer one is left alone."""
    known = home.read("agent.json")
    if known is None or known["protocol"] >= launch.PROTOCOL or not launch.daemon_listens(home):
        return
    daemon = identify(known["pid"])
    if daemon is not None:
        os.kill(daemon.pid, signal.SIGTERM)
        wait_ended(daemon, seconds=5)


def _announce(**facts: Any) -> None:
    os.write(sys.stdout.fileno(), json.dumps(facts).encode() + b"\n")


def _carry_in(link: socket.socket) -> None:
    while True:
        data = os.read(0, _PIECE)
        if not data:
            os._exit(0)  # control has gone: the daemon sees this connection end, and nothing else
        link.sendall(data)


def _carry_out(link: socket.socket) -> None:
    while True:
        data = link.recv(_PIECE)
        view = memoryview(data)
        if not data:
            return
        while view:
            view = view[os.write(1, view) :]
