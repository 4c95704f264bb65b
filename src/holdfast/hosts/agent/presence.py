"""Who is here: people logged in, and callers connected to the work."""

import time
from typing import Dict, Iterable, List, Optional

from .processes import Stat, all_stats

_LOOK_EVERY = 10.0  # seconds: a look reads every process of the machine
_LOGIN_SERVERS = ("sshd", "sshd-session", "dropbear")  # the second one since OpenSSH 9.8
_PTY_MAJORS = range(136, 144)  # Linux, Documentation/admin-guide/devices.txt: UNIX98 PTY slaves
_ESTABLISHED = "01"  # Linux, include/net/tcp_states.h
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


class Logins:
    """How many people are logged in with a terminal. Our own channel has none."""

    def __init__(self, every: float = _LOOK_EVERY) -> None:
        self._every = every
        self._looked: Optional[float] = None
        self._count: Optional[int] = None

    def count(self) -> Optional[int]:
        """As of a few seconds ago at most; None when the system hides other people's processes."""
        now = time.monotonic()
        if self._looked is None or now - self._looked >= self._every:
            self._count, self._looked = count_logins(all_stats()), now
        return self._count


def count_logins(stats: Iterable[Stat]) -> Optional[int]:
    """Logins over SSH, and shells entered from outside of the container, that hold a terminal.

    What was left behind without anybody (tmux, screen, nohup) hangs below the first process and does not count.
    """
    known = {stat.pid: stat for stat in stats}
    if 1 not in known:
        return None
    leaders = (stat for stat in known.values() if stat.pid == stat.session and stat.state != "Z")
    return len({_login(stat, known) for stat in leaders if _has_pty(stat)} - {None})


def _login(stat: Stat, known: Dict[int, Stat]) -> Optional[int]:
    """The process through which somebody came in, above this one; None: nobody did."""
    while stat.pid != 1:
        if stat.parent == 0:
            return stat.pid
        if stat.parent not in known:
            return None  # it ended while we looked
        above = known[stat.parent]
        if above.pid != 1 and above.name in _LOGIN_SERVERS:
            return above.pid
        stat = above
    return None


def _has_pty(stat: Stat) -> bool:
    return (stat.terminal >> 8) & 0xFFF in _PTY_MAJORS


def connections(port: int, tables: Iterable[str] = _TABLES) -> Optional[int]:
    """Established TCP connections to a local port; None when the system does not tell."""
    counts = [count for count in (_established(table, port) for table in tables) if count is not None]
    return sum(counts) if counts else None


def _established(table: str, port: int) -> Optional[int]:
    try:
        with open(table, encoding="ascii") as file:
            return sum(_is_to(port, line.split()) for line in file)
    except OSError:  # a system may be without one of the two families
        return None


def _is_to(port: int, fields: List[str]) -> bool:
    """A row is: number, local address:port in hexadecimal, remote one, state, and more; the first row is titles."""
    return len(fields) > 3 and fields[3] == _ESTABLISHED and fields[1].endswith(f":{port:04X}")
