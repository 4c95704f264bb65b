"""The nursery: one small process that has everything imported and forks hosts on request.

Starting a Python interpreter with AsyncSSH takes half a second; a fork takes milliseconds. The market talks to the
nursery over an inherited packet socket: a request is the path of a machine's folder, a reply is one packet from the
newborn host itself. The nursery ends when its market does; the hosts do not.
"""

import json
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import asyncssh

from holdfast.simcloud.hosts.folder import HostFolder, Running
from holdfast.simcloud.hosts.main import AlreadyRunning, become_host

_PACKET = 64 * 1024


def main(descriptor: int) -> None:
    """Fork a host for every request until the market closes its end."""
    market = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the market
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the hosts that end
    _warm_up()
    with suppress(ConnectionResetError):  # the market was killed with an answer of ours unread
        while request := market.recv(_PACKET):
            if os.fork() == 0:
                _live(Path(request.decode()), market)


def _warm_up() -> None:
    """Do once, before any fork, the slow first steps of cryptography that every host would repeat."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.sign(b"", b"ssh-ed25519")


def _live(folder: Path, market: socket.socket) -> None:
    """Be one host; never return into the nursery's loop."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        become_host(HostFolder(folder).read_spec(), lambda running: _announce(market, folder, running))
        code = 0
    except AlreadyRunning:
        _send(market, {"folder": str(folder), "running": None})
    except BaseException:
        traceback.print_exc()
        with suppress(OSError):  # nothing to tell if the host had come up, or the market has gone
            _send(market, {"folder": str(folder), "running": None})
    finally:
        os._exit(code)


def _announce(market: socket.socket, folder: Path, running: Running) -> None:
    _send(market, {"folder": str(folder), "running": asdict(running)})
    market.close()  # from here on the host has no tie to nursery or market


def _send(market: socket.socket, packet: dict[str, object]) -> None:
    market.send(json.dumps(packet).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
