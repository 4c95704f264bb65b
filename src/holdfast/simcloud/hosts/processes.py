"""Find and end every process that belongs to one simulated host.

A host is a child subreaper, so whatever its users start, daemons that called ``setsid`` included, stays among its
descendants as long as it lives. If the host itself was killed first, its orphans are found by a mark in their
environment. Either trail alone has a gap; together they leave nobody running on a machine that is gone.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "HOLDFAST_SIM_INSTANCE"
_PROC = Path("/proc")
_PATIENCE = 5.0  # seconds; SIGKILL needs longer only for a process stuck in the kernel


@dataclass(frozen=True, kw_only=True)
class ProcessRef:
    """One process, told apart from a later one that got the same pid."""

    pid: int
    started: int  # clock ticks since boot


class TreeSurvived(Exception):
    """Some process of a host did not die of SIGKILL in time. Remedy: try again."""


@dataclass(frozen=True, kw_only=True)
class _Stat:
    pid: int
    parent: int
    state: str
    started: int


def process_ref(pid: int) -> ProcessRef | None:
    """The process that has this pid now, or None when there is none (a zombie counts as none)."""
    stat = _stat(pid)
    if stat is None or stat.state == "Z":
        return None
    return ProcessRef(pid=pid, started=stat.started)


def is_alive(ref: ProcessRef) -> bool:
    """Whether this very process still runs."""
    return process_ref(ref.pid) == ref


def ask_to_end(root: int) -> None:
    """SIGTERM to all that grew from a host, but not to the host. Whoever does not listen goes on."""
    for pid in _descendants(root):
        _signal(pid, signal.SIGTERM)


def end_tree(root: ProcessRef | None, mark: str) -> None:
    """Kill a host and all that grew from it; return when no process is left. Idempotent. Blocks for milliseconds.

    Raises TreeSurvived when a process outlives several seconds of SIGKILL.
    """
    host = root.pid if root is not None and is_alive(root) else None
    if host is not None:
        _signal(host, signal.SIGSTOP)  # a stopped host starts nothing new while its tree is cut down
    _kill_until_none(host, mark)
    if host is not None:
        _signal(host, signal.SIGKILL)
        _kill_until_none(None, mark, also=root)


def _kill_until_none(host: int | None, mark: str, also: ProcessRef | None = None) -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        victims = set(_marked(mark)) | (set(_descendants(host)) if host is not None else set())
        if not victims and (also is None or not is_alive(also)):
            return
        if time.monotonic() > give_up:
            raise TreeSurvived(f"{mark}: {sorted(victims)}")
        for pid in victims:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.001)


def _descendants(root: int) -> Iterator[int]:
    children: dict[int, list[_Stat]] = {}
    for stat in _all_stats():
        children.setdefault(stat.parent, []).append(stat)
    todo = [root]
    while todo:
        for child in children.get(todo.pop(), []):
            todo.append(child.pid)
            if child.state != "Z":
                yield child.pid


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for pid in _pids():
        with suppress(OSError):  # ended meanwhile, or not ours to read
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                yield pid


def _all_stats() -> Iterator[_Stat]:
    for pid in _pids():
        if stat := _stat(pid):
            yield stat


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 - names only, and many


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command before it may hold spaces and brackets
    return _Stat(pid=pid, state=fields[0], parent=int(fields[1]), started=int(fields[19]))


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
