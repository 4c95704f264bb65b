"""What the work writes of itself: how far it is, and numbers by step, over all its machines and attempts."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.contracts.jobs import Point, Series

_STEP = re.compile(r"step (\d+)(?:/(\d+))?")
_OF_THE_LINE = ("step", "time")
MOST_SERIES = 500
"""Names: what writes more means something else."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How far the work says it is."""

    done: int
    total: int | None = None

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where the work does not say how much there is."""
        return None if not self.total else min(self.done / self.total, 1.0)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of what one machine of one attempt wrote."""

    attempt: int
    epoch: int
    text: str


def steps_in(progress: str) -> Steps | None:
    """From the text form of a progress file, such as `step 12/100 · loss 0.31`."""
    found = _STEP.match(progress)
    if found is None:
        return None
    return Steps(done=int(found[1]), total=int(found[2]) if found[2] else None)


def collect(pieces: Iterable[Piece]) -> tuple[Series, ...]:
    """Every series, by name, its points by step.

    Work that goes on from a checkpoint does the steps since then again, and an attempt may begin from the first: of
    each step the value of the newest attempt's newest machine counts. A line with `"again": true` only repeats what an
    earlier machine may not have come to tell: it counts where nothing else is known of its step. What is no JSON
    object, has no step or no number says nothing; so does half a line at the end.
    """
    found: dict[str, dict[int, Point]] = {}
    for piece in sorted(pieces, key=lambda each: (each.attempt, each.epoch)):
        for line in piece.text.splitlines():
            _take(found, line, piece)
    return tuple(
        Series(name=name, points=tuple(points[step] for step in sorted(points)))
        for name, points in sorted(found.items())
    )


def _take(found: dict[str, dict[int, Point]], line: str, piece: Piece) -> None:
    told = _object(line)
    step = told.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        return
    at = _time(told.get("time"))
    for name, value in told.items():
        if name in _OF_THE_LINE or not _is_number(value) or (name not in found and len(found) >= MOST_SERIES):
            continue
        points = found.setdefault(name, {})
        if told.get("again") is True and step in points:
            continue
        point = Point(step=step, value=float(value), at=at, attempt=piece.attempt, epoch=piece.epoch)
        points[step] = point


def _object(line: str) -> Mapping[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _time(seconds: object) -> datetime | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 32_503_680_000:
        return None
    return datetime.fromtimestamp(seconds, UTC)
