"""Data sets, looked at before anything is rented: with the very check that the trainer makes on the machine."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import IO, cast

from holdfast.contracts.training import DataFormat, DatasetRemark, DatasetReport, OtherKey
from holdfast.training.trainer import dataset

Told = Callable[[int, int], None]
"""Hears how many bytes were read, of how many."""


class DatasetUnreadable(Exception):
    """The file is not there, or cannot be read."""


def inspect(path: Path, *, form: DataFormat | None = None, told: Told = lambda _done, _total: None) -> DatasetReport:
    """Read all of a data set and say what it holds. `form` is the format wanted; None: the one of its first good line.

    Raises:
        DatasetUnreadable
    """
    try:
        with path.open("rb") as source:
            size = path.stat().st_size
            watched = cast(IO[bytes], _Watched(source, lambda done: told(done, size)))
            found = dataset.check(watched, wanted=form.value if form else "")
    except OSError as err:
        raise DatasetUnreadable(f"{path} cannot be read: {err.strerror or err}") from err
    lengths = found.lengths or [0]
    return DatasetReport(
        path=str(path),
        sha256=found.sha256,
        format=DataFormat(found.format) if found.format else None,
        examples=len(found.lengths),
        bytes_total=found.size,
        characters=sum(lengths),
        shortest=min(lengths),
        median=int(median(lengths)),
        longest=max(lengths),
        duplicates=found.duplicates,
        refusals=found.refusals,
        warnings=found.warnings,
        remarks=tuple(
            DatasetRemark(line=each.line, text=each.text, refuses=each.refuses)
            for each in sorted(found.remarks, key=lambda each: each.line)
        ),
        other_keys=tuple(OtherKey(name=name, lines=lines) for name, lines in sorted(found.other_keys.items())),
        sample=tuple(json.dumps(each, ensure_ascii=False) for each in found.sample),
    )


class _Watched:
    """A file that tells how far it was read, every so often."""

    _EVERY = 16 * 1024 * 1024  # bytes

    def __init__(self, source: IO[bytes], told: Callable[[int], None]) -> None:
        self._source, self._told, self._read, self._said = source, told, 0, 0

    def readline(self, limit: int) -> bytes:
        line = self._source.readline(limit)
        self._read += len(line)
        if self._read - self._said >= self._EVERY:
            self._said = self._read
            self._told(self._read)
        return line
