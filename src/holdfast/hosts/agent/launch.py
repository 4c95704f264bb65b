"""Start this same program again: as daemon, as runner; and reach the daemon's socket."""

import os
import socket
import subprocess
import sys
from typing import List, Optional

from .home import Home

PROTOCOL = 2  # raised when an older daemon can no longer serve a newer control side
SOCKET = "agent.sock"
PROGRAM = os.path.abspath(sys.argv[0])  # kept now: the daemon and the bridge change their folder


def command(role: str, home: Home) -> List[str]:
    """The command line of another role of this program."""
    return [sys.executable, "-S", PROGRAM, role, "--home", home.path]


def start_daemon(home: Home) -> None:
    """Start the daemon and return when it listens, or when another one was found to be running."""
    with open(os.open(home.file("agent.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        subprocess.run(
            command("serve", home), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, check=False
        )


def reach_daemon(home: Home) -> Optional[socket.socket]:
    """A connection to the daemon, or None when none listens."""
    # A socket's path may have about 100 characters and a home may have more, so the folder is opened and the socket
    # is named relative to it; unlike chdir that is safe beside other threads.
    try:
        folder = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(f"/proc/self/fd/{folder}/{SOCKET}")
    except (FileNotFoundError, ConnectionRefusedError):
        link.close()
        return None
    finally:
        os.close(folder)
    return link


def daemon_listens(home: Home) -> bool:
    link = reach_daemon(home)
    if link is not None:
        link.close()
    return link is not None
