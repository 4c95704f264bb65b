"""An agent's heartbeat, typed: one moment of a machine and of the work on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from holdfast.contracts.machines import Gpu, Probe


class WorkState(StrEnum):
    """Where the work is, by the word of the machine's agent."""

    NONE = "none"
    SETUP = "setup"
    SETUP_FAILED = "setup_failed"
    RUNNING = "running"
    EXITED = "exited"  # without an exit code: nobody saw it end (the machine restarted, its runner was killed)
    STOPPED = "stopped"  # it was told to end, by us or by its machine: the exit code is not the work's own word


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """Everything the agent says in one beat. Times are the machine's; its clock may be off."""

    at: datetime
    boot_id: str
    agent_started_at: datetime
    agent_pid: int
    epoch: int  # the highest epoch the agent has seen
    state: WorkState
    pid: int | None = None
    exit_code: int | None = None  # as a shell counts: 128 + signal for a killed process
    started_at: datetime | None = None
    ended_at: datetime | None = None
    progress: str = ""
    progress_raw: Mapping[str, Any] | None = None
    progress_at: datetime | None = None  # when the progress last changed
    gpu_percent: float | None = None
    gpu_memory_mb: float | None = None
    cpu_percent: float | None = None
    memory_mb: float | None = None
    disk_free_mb: float | None = None
    log_bytes: int = 0
    lease_left: timedelta | None = None  # None: no dead-man lease is set
    deadman_at: datetime | None = None  # when the lease ran out and the work was stopped


def parse_heartbeat(beat: Mapping[str, Any]) -> Heartbeat:
    """Read the agent's JSON.

    Raises:
        KeyError, ValueError: it is no heartbeat of a protocol that we speak.
    """
    work, progress = beat["work"], beat["progress"]
    left = beat["lease_left_s"]
    return Heartbeat(
        at=_time(beat["at"]),
        boot_id=beat["boot_id"],
        agent_started_at=_time(beat["agent_started_at"]),
        agent_pid=beat["agent_pid"],
        epoch=beat["epoch"],
        state=WorkState(work["state"]),
        pid=work["pid"],
        exit_code=work["exit_code"],
        started_at=_time_or_none(work["started_at"]),
        ended_at=_time_or_none(work["ended_at"]),
        progress=progress["text"],
        progress_raw=progress["raw"],
        progress_at=_time_or_none(progress["changed_at"]),
        gpu_percent=beat["gpu_percent"],
        gpu_memory_mb=beat["gpu_memory_mb"],
        cpu_percent=beat["cpu_percent"],
        memory_mb=beat["memory_mb"],
        disk_free_mb=beat["disk_free_mb"],
        log_bytes=beat["log_bytes"],
        lease_left=None if left is None else timedelta(seconds=left),
        deadman_at=_time_or_none(beat["deadman_at"]),
    )


def parse_probe(found: Mapping[str, Any]) -> Probe:
    """Read the answer of the agent's `probe`."""
    return Probe(**{**found, "gpus": tuple(Gpu(**gpu) for gpu in found["gpus"])})


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)
