"""What commands print: answers to stdout, everything else to stderr.

Rich is loaded only for tables on a terminal; a pipe gets plain aligned text, `--json` one JSON document.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any


def say(text: str = "") -> None:
    """A message for the person at the terminal; never part of the answer."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (this is the command line's voice)


def answer(text: str, *, end: str = "\n") -> None:
    """A line of the answer."""
    print(text, end=end, flush=True)  # noqa: T201 (as above)


def print_json(document: Any) -> None:
    """The whole answer as one JSON document: durations in seconds, money as exact strings, times in ISO 8601."""
    answer(json.dumps(plain(document), indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """Any contract as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    return value


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """A table that a person reads. A cell is one line: of more, the first stands for all."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _plain_table(headers, rows, title)
        return
    # Imported here: a pipe, and every command without a table, does without it.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(*headers, title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)


def facts(pairs: Mapping[str, str]) -> None:
    """Named facts, one per line, the values in one column."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        first, *more = value.split("\n")
        answer(f"{name:<{width}}  {first}")
        for line in more:
            answer(f"{'':<{width}}  {line}")


def one_line(cell: str) -> str:
    """The first line of a text, marked when there is more."""
    first, cut, _ = cell.strip().partition("\n")
    return f"{first} …" if cut else first


@contextmanager
def working(on: str) -> Iterator[None]:
    """Show on stderr that something takes its time; silent where nobody watches."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 (only where somebody watches)

    with Console(stderr=True).status(on):
        yield


def _plain_table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    if title:
        answer(title)
    widths = [max(len(cell) for cell in column) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        answer("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
