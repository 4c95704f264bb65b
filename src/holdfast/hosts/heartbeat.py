"""An agent's heartbeat, typed: one moment of a machine and of the work on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from holdfast.contracts.channel import understood
from holdfast.contracts.hearsay import number, text, whole, words
from holdfast.contracts.machines import Gpu, Probe

_END_OF_TIME = 32_503_680_000  # seconds; the year 3000: clocks may be off, and sums of such times are still dates
_MOST_PARTS = 256  # GPUs of a machine, and facts about it


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
    service_port: int | None = None  # on which the work answers, if it is a service
    token: str = ""  # of the start that this work came from
    progress: str = ""
    progress_raw: Mapping[str, Any] | None = None
    progress_at: datetime | None = None  # when the progress last changed
    gpu_percent: float | None = None
    gpu_memory_mb: float | None = None
    cpu_percent: float | None = None
    memory_mb: float | None = None
    disk_free_mb: float | None = None
    sessions: int | None = None  # people logged in; None: not known, as of an older agent
    connections: int | None = None  # established at the work's service port; None: not known, or it has none
    log_bytes: int = 0
    lease_left: timedelta | None = None  # None: no dead-man lease is set
    deadman_at: datetime | None = None  # when the lease ran out and the work was stopped
    taken_at: datetime | None = None  # when its provider takes the machine back at the earliest, if it gave notice


def parse_heartbeat(beat: Mapping[str, Any]) -> Heartbeat:
    """Read the agent's JSON; nothing in it is believed to be of its type, or of any size.

    Raises:
        AgentError: kind `nonsense`: it is no heartbeat of a protocol that we speak.
    """
    with understood("the agent's heartbeat"):
        work, progress = beat["work"], beat["progress"]
        left = _number_or_none(beat["lease_left_s"])
        return Heartbeat(
            at=parse_time(beat["at"]),
            boot_id=text(beat["boot_id"]),
            service_port=_whole_or_none(work.get("service_port")),
            token=words(work.get("token") or ""),
            agent_started_at=parse_time(beat["agent_started_at"]),
            agent_pid=whole(beat["agent_pid"]),
            epoch=whole(beat["epoch"]),
            state=_state(work),
            pid=_whole_or_none(work["pid"]),
            exit_code=_exit_code(work),
            started_at=_time_or_none(work["started_at"]),
            ended_at=_time_or_none(work["ended_at"]),
            progress=text(progress["text"]),
            progress_raw=progress["raw"],
            progress_at=_time_or_none(progress["changed_at"]),
            gpu_percent=_number_or_none(beat["gpu_percent"]),
            gpu_memory_mb=_number_or_none(beat["gpu_memory_mb"]),
            cpu_percent=_number_or_none(beat["cpu_percent"]),
            memory_mb=_number_or_none(beat["memory_mb"]),
            disk_free_mb=_number_or_none(beat["disk_free_mb"]),
            sessions=_whole_or_none(beat.get("sessions")),
            connections=_whole_or_none(beat.get("connections")),
            log_bytes=whole(beat["log_bytes"]),
            lease_left=None if left is None else timedelta(seconds=min(max(left, -_END_OF_TIME), _END_OF_TIME)),
            deadman_at=_time_or_none(beat["deadman_at"]),
            taken_at=_taken_at(beat.get("notice")),  # an older agent does not look for one
        )


def parse_probe(found: Mapping[str, Any]) -> Probe:
    """Read the answer of the agent's `probe`. Raises as `parse_heartbeat`."""
    with understood("the agent's probe"):
        gpus, facts = found["gpus"], dict(found.get("facts", {}))
        whole(len(gpus) + len(facts), most=_MOST_PARTS)
        return Probe(
            gpus=tuple(_gpu(gpu) for gpu in gpus),
            cpu_cores=whole(found["cpu_cores"]),
            memory_mb=whole(found["memory_mb"]),
            disk_free_mb=whole(found["disk_free_mb"]),
            python=text(found["python"]),
            kernel=text(found.get("kernel", "")),
            is_root=found.get("is_root") is True,
            facts={text(name): text(fact) for name, fact in facts.items()},
        )


def parse_time(seconds: object) -> datetime:
    """A moment by the machine's clock, from seconds since 1970, moved into bounds. Raises ValueError."""
    return datetime.fromtimestamp(min(max(number(seconds), 0), _END_OF_TIME), UTC)


def _gpu(gpu: Mapping[str, Any]) -> Gpu:
    return Gpu(
        name=text(gpu["name"]),
        memory_mb=whole(gpu["memory_mb"]),
        driver=text(gpu.get("driver", "")),
        uuid=text(gpu.get("uuid", "")),
    )


def _state(work: Mapping[str, Any]) -> WorkState:
    """A state that only a newer agent knows is told by whether the work's process lives."""
    if work["state"] in tuple(WorkState):
        return WorkState(work["state"])
    return WorkState.EXITED if work["pid"] is None else WorkState.RUNNING


def _exit_code(work: Mapping[str, Any]) -> int | None:
    return None if work["exit_code"] is None else whole(work["exit_code"], least=-255, most=255)


def _time_or_none(seconds: object) -> datetime | None:
    return None if seconds is None else parse_time(seconds)


def _taken_at(notice: Mapping[str, Any] | None) -> datetime | None:
    return None if notice is None else parse_time(number(notice["at"]) + number(notice["for_s"]))


def _number_or_none(said: object) -> float | None:
    return None if said is None else number(said)


def _whole_or_none(said: object) -> int | None:
    return None if said is None else whole(said)
