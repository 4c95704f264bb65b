"""A witness who looks at the process table and nowhere else: which machines do a workload's work at a moment?"""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from holdfast.simcloud.hosts.processes import MARK

GLANCE = 0.25  # seconds between two looks
_STRANGER_AFTER = 4  # looks; a process between fork and exec still carries its parent's environment


@dataclass(frozen=True)
class Sighting:
    """One moment: the machines (their folders) that did a workload's work, and under which epochs."""

    at: float
    work: frozenset[tuple[str, str]]

    @property
    def machines(self) -> frozenset[str]:
        return frozenset(machine for machine, _ in self.work)

    @property
    def epochs(self) -> frozenset[int]:
        return frozenset(int(epoch) for _, epoch in self.work)


class Witness:
    """Looks a few times a second, in a thread, as long as its context lasts."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self._seen: dict[str, list[Sighting]] = defaultdict(list)
        self._strangers: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="witness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def machines_of(self, workload: str) -> list[str]:
        """Every machine that ever did this work, in order of appearance."""
        return list(dict.fromkeys(machine for each in self._seen[workload] for machine in sorted(each.machines)))

    def runs_of(self, workload: str) -> list[tuple[str, str]]:
        """Every machine and epoch under which this work was started."""
        return list(dict.fromkeys(run for each in self._seen[workload] for run in sorted(each.work)))

    def doubles(self, workload: str) -> list[Sighting]:
        """The moments at which two machines did the same work."""
        return [each for each in self._seen[workload] if len(each.machines) > 1]

    def works_now(self, workload: str) -> frozenset[str]:
        """The machines that do this work at this moment."""
        return Sighting(time.time(), self._look().get(workload, frozenset())).machines

    def _look_on(self) -> None:
        while not self._over.wait(GLANCE):
            now = time.time()
            for workload, work in self._look().items():
                self._seen[workload].append(Sighting(now, work))

    def _look(self) -> dict[str, frozenset[tuple[str, str]]]:
        found: dict[str, set[tuple[str, str]]] = defaultdict(set)
        processes = {path.name for path in Path("/proc").iterdir() if path.name.isdecimal()}
        for pid in processes:
            if self._strangers.get(pid, 0) >= _STRANGER_AFTER:
                continue
            environment = _environment_of(pid)
            if "HOLDFAST_WORKLOAD" in environment and environment.get(MARK, "").startswith(self._home):
                found[environment["HOLDFAST_WORKLOAD"]].add((environment[MARK], environment["HOLDFAST_EPOCH"]))
            else:
                self._strangers[pid] = self._strangers.get(pid, 0) + 1
        self._strangers = {pid: looks for pid, looks in self._strangers.items() if pid in processes}
        return {workload: frozenset(work) for workload, work in found.items()}


def _environment_of(pid: str) -> dict[str, str]:
    """A process's environment; empty for one that has just ended, or is not ours to read."""
    try:
        entries = Path("/proc", pid, "environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries)
    return {name: value for name, _, value in pairs}
