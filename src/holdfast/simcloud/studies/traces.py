"""Traces of what spot machines could be had, or ran, in a zone: the formats of three published sets.

Where the formats come from: the JSON files from skypilot-org/spot-traces ("Can't Be Late", NSDI 2024), the events and
sizes from uclasystem/bamboo (NSDI 2023), the sizes from JF-D/Parcae (NSDI 2024).
"""

import csv
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any, Final

SUFFIXES: Final = (".json", ".json.gz", ".csv", ".csv.gz")
_EVENT_TICK: Final = 60.0  # seconds; sets of events are sampled as finely as the other sizes are
_LONGEST: Final = 5_000_000  # samples: a year every six seconds


class TraceUnreadable(Exception):
    """A file or folder holds no trace that can be read. `remedy` says what is expected."""

    remedy = 'traces are .json or .json.gz ({"metadata": {"gap_seconds": …}, "data": […]}) or .csv (docs/studies.md)'


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How many machines could be had, or ran, at each tick in one zone."""

    zone: str
    origin: str  # the folder that it was found in
    tick: float  # seconds between samples
    counts: Sequence[int]
    prices: Sequence[float] = ()  # USD per hour at each tick, where known

    @property
    def hours(self) -> float:
        """How long it is."""
        return len(self.counts) * self.tick / 3600


def find(paths: Iterable[Path]) -> list[Path]:
    """The trace files under `paths`, in a fixed order, each once. Folders named `reference` hold results, not traces.

    Raises:
        TraceUnreadable: a path does not exist, or a folder holds no trace.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [each for each in sorted(path.rglob("*")) if each.is_file() and each.name.endswith(SUFFIXES)]
            inside = [each for each in inside if "reference" not in each.relative_to(path).parts]
            if not inside:
                raise TraceUnreadable(f"the folder {path} holds no trace")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise TraceUnreadable(f"there is no file or folder {path}")
    return list(found)


def read(path: Path) -> Trace:
    """Read one trace.

    Raises:
        TraceUnreadable: the file is not one of the formats, or is cut short.
    """
    zone = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        zone = zone.removesuffix(suffix)
    try:
        packed = path.read_bytes()
        text = (gzip.decompress(packed) if path.name.endswith(".gz") else packed).decode()
        tick, counts, prices = _json(text) if ".json" in path.suffixes else _csv(text)
    except (OSError, EOFError, UnicodeDecodeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as err:
        raise TraceUnreadable(f"{path} is not a trace: {_told(err)}") from err
    if len(counts) < 2 or not 0 < tick <= 86_400:
        raise TraceUnreadable(f"{path} is not a trace: it has {len(counts)} samples, {tick:g} s apart")
    return Trace(zone=zone, origin=path.parent.name, tick=tick, counts=counts, prices=prices)


def _told(err: Exception) -> str:
    return f"it has no {err}" if isinstance(err, KeyError) else str(err) or type(err).__name__


def _json(text: str) -> tuple[float, list[int], list[float]]:
    document: dict[str, Any] = json.loads(text)
    counts = [int(each) for each in document["data"]]
    prices = [float(each) for each in document.get("prices") or ()]
    if prices and len(prices) != len(counts):
        raise ValueError(f"{len(prices)} prices for {len(counts)} samples")
    return float(document["metadata"]["gap_seconds"]), counts, prices


def _csv(text: str) -> tuple[float, list[int], list[float]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    columns = len(rows[0]) if rows else 0
    for number, row in enumerate(rows, start=1):
        if len(row) != columns or columns not in (2, 3):
            raise ValueError(f"row {number} has {len(row)} columns, where two or three in every row are read")
    if columns == 3 and rows[0][1] in ("add", "remove"):
        return _sampled(_sizes_of_events(rows))
    if columns == 3:
        return _sampled([(datetime.fromisoformat(f"{day}T{time}+00:00").timestamp(), int(n)) for day, time, n in rows])
    return _sampled([(float(ms) / 1000, int(n)) for ms, n in rows])


def _sizes_of_events(rows: Iterable[Sequence[str]]) -> list[tuple[float, int]]:
    running: set[str] = set()
    sizes = []
    for ms, what, node in rows:
        if what == "add":
            running.add(node)
        elif what == "remove":
            running.discard(node)
        else:
            raise ValueError(f"an event is add or remove, not {what!r}")
        sizes.append((float(ms) / 1000, len(running)))
    return sizes


def _sampled(sizes: Sequence[tuple[float, int]]) -> tuple[float, list[int], list[float]]:
    """Sizes at any moments as sizes at even ticks; between two moments the earlier one holds.

    The published sizes overlap by a minute here and there: they are put in order, and of one moment the last counts.
    """
    sizes = sorted(sizes, key=itemgetter(0))
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(sizes)]
    if not gaps:
        raise ValueError("it has fewer than two rows")
    tick = max(median(gaps), _EVENT_TICK)
    start, end = sizes[0][0], sizes[-1][0]
    if (end - start) / tick > _LONGEST:
        raise ValueError("it is longer than any study")
    counts, at = [], 0
    for index in range(int((end - start) / tick) + 1):
        while at + 1 < len(sizes) and sizes[at + 1][0] <= start + index * tick:
            at += 1
        counts.append(sizes[at][1])
    return tick, counts, []
