"""Whether nobody uses a machine, so that its work may sleep.

Idle must be shown, for the whole time that its owner asks for and under our own eyes: no sample says busy, no sample
lacks what would say it, and there is no hole between them in which nobody looked. Whatever is not known is UNKNOWN, and
UNKNOWN never sends anything to sleep.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from holdfast.contracts.spec import HibernateSpec
from holdfast.policy.idle_time import in_words

HOLE: Final = timedelta(minutes=1)
"""Two samples further apart leave a hole: a worker that started again, a machine that was silent."""
EVERYTHING: Final = 100
"""Percent below which a load is not looked at: no load is above it."""


class Use(StrEnum):
    """What the samples show."""

    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One heartbeat, as far as it tells of use. None: not known."""

    gpu_percent: float | None  # mean of all GPUs, 0 to 100
    cpu_percent: float | None  # all cores together, 0 to 100
    sessions: int | None  # people logged in
    connections: int | None  # in flight on the work's service port
    progress_at: datetime | None  # when the work last got on, on our clock; None: it never said so
    settling: bool = False  # its setup runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer, with its reason for people."""

    use: Use
    reason: str
    idle_for: timedelta = timedelta()  # shown so far, whatever the answer; it is IDLE when that is long enough


class Idleness:
    """What the samples of one machine say, in their order. A new one, on another worker, has seen nothing yet."""

    def __init__(self, spec: HibernateSpec, *, serves: bool = False) -> None:
        """`serves`: the work has a service port, and its connections count."""
        self._spec = spec
        self._serves = serves
        self._seen_at: datetime | None = None
        self._busy: tuple[datetime, str] | None = None  # the last moment at which it was, and how that showed
        self._dark: tuple[datetime, str] | None = None  # the last moment of which something is not known, and what

    def take(self, now: datetime, sample: Sample) -> Verdict:
        """What is shown at `now`, on our clock."""
        if self._seen_at is None:
            self._dark = (now, "watched only since then")
        elif not timedelta() <= now - self._seen_at <= HOLE:
            self._dark = (now, f"nobody looked for {in_words(abs((now - self._seen_at).total_seconds()))}")
        self._seen_at = now
        if missing := next(self._missing(sample), None):
            self._dark = (now, missing)
        if used := max(self._used(now, sample), default=None):
            self._busy = used if self._busy is None else max(used, self._busy)
        return self._verdict(now)

    def _verdict(self, now: datetime) -> Verdict:
        busy, dark, after = self._busy, self._dark, self._spec.after
        shown = now - max(moment for moment, _ in filter(None, (busy, dark)))
        if after is None:
            return Verdict(use=Use.UNKNOWN, reason="it sleeps by its hours only", idle_for=shown)
        for use, last in ((Use.BUSY, busy), (Use.UNKNOWN, dark)):
            if last is not None and now - last[0] < after:
                ago = in_words((now - last[0]).total_seconds())
                return Verdict(use=use, reason=f"{last[1]}, {ago} ago", idle_for=shown)
        return Verdict(use=Use.IDLE, reason=f"not used for {in_words(shown.total_seconds())}", idle_for=shown)

    def _missing(self, sample: Sample) -> Iterator[str]:
        """What of it is not known that could show use."""
        if sample.gpu_percent is None and self._spec.gpu_below < EVERYTHING:
            yield "the GPU's use was not known"
        if sample.cpu_percent is None and self._spec.cpu_below < EVERYTHING:
            yield "the CPU's use was not known"
        if sample.sessions is None:
            yield "it was not known who is logged in"
        if sample.connections is None and self._serves:
            yield "it was not known who is connected"

    def _used(self, now: datetime, sample: Sample) -> Iterator[tuple[datetime, str]]:
        """Each thing that shows use, and when."""
        if sample.settling:
            yield now, "its setup ran"
        if sample.progress_at is not None:
            yield min(sample.progress_at, now), "the work made progress"
        for load, below, part in (
            (sample.gpu_percent, self._spec.gpu_below, "GPU"),
            (sample.cpu_percent, self._spec.cpu_below, "CPU"),
        ):
            if load is not None and load >= below < EVERYTHING:
                yield now, f"the {part} was used at {load:.0f} %"
        if sample.sessions:
            yield now, f"{sample.sessions} logged in"
        if sample.connections and self._serves:
            yield now, f"{sample.connections} connected"
