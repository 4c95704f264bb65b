"""Processes told apart for certain, and whole trees of them signalled."""

import contextlib
import ctypes
import os
import signal
import time
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set

_PR_SET_CHILD_SUBREAPER = 36
_GLANCE = 0.02  # seconds between two looks at processes that are about to end


class Identity(NamedTuple):
    """One process; a later one with the same pid has another start time."""

    pid: int
    started: int  # clock ticks since boot


class Stat(NamedTuple):
    """A process as the kernel tells of it."""

    pid: int
    name: str
    state: str
    parent: int  # 0: it came from outside of this container
    session: int
    terminal: int  # device number of its controlling terminal; 0: none
    started: int


def identify(pid: int) -> Optional[Identity]:
    """The process with this pid, or None when there is none (a zombie counts as none)."""
    stat = _stat(pid)
    return None if stat is None or stat.state == "Z" else Identity(pid, stat.started)


def is_alive(identity: Optional[Identity]) -> bool:
    """Whether this very process still runs."""
    return identity is not None and identify(identity.pid) == identity


def adopt_orphans(adopt: bool = True) -> None:
    """Become, or cease to be, the parent of every descendant that loses its own, so that none slips out of the tree."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def descendants(root: int) -> List[int]:
    """Every living process below `root`, itself excluded."""
    children: Dict[int, List[Stat]] = {}
    for stat in all_stats():
        children.setdefault(stat.parent, []).append(stat)
    found: List[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        todo.extend(stat.pid for stat in below)
        found.extend(stat.pid for stat in below if stat.state != "Z")
    return found


def session_members(session: int) -> List[int]:
    """Every living process of a session, its leader included."""
    return [stat.pid for stat in all_stats() if stat.session == session and stat.state != "Z"]


def send(pids: Iterable[int], number: int) -> None:
    """Signal processes; those that ended meanwhile are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_ended(identity: Identity, seconds: float) -> bool:
    """Wait until the process has ended; False when it has not within `seconds`."""
    give_up = time.monotonic() + seconds
    while is_alive(identity):
        if time.monotonic() > give_up:
            return False
        time.sleep(_GLANCE)
    return True


def kill_tree(root: int, session: int, spare: Set[int], seconds: float = 10) -> bool:
    """SIGKILL all below `root` and in `session` except `spare`, again and again, for a dying process may still fork."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        victims = (set(descendants(root)) | set(session_members(session))) - spare
        if not victims:
            return True
        send(victims, signal.SIGKILL)
        time.sleep(_GLANCE)
    return False


def environment_of(pid: int) -> Dict[str, str]:
    """The environment that a process was started with."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if entry)
        return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def boot_id() -> str:
    """Changes with every boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def all_stats() -> Iterator[Stat]:
    """Every process that we may see, zombies included."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _stat(int(name))
            if stat is not None:
                yield stat


def _stat(pid: int) -> Optional[Stat]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            start, _, end = file.read().rpartition(")")  # the name before it may hold blanks and brackets
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # some systems hide the processes of others
        return None
    fields = end.split()
    return Stat(
        pid=pid,
        name=start.partition("(")[2],
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        terminal=int(fields[4]),
        started=int(fields[19]),
    )
