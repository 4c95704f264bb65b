"""What commands print: answers to stdout, everything else to stderr.

A table is aligned text, one line per row, cut to the terminal's width; a pipe gets all of it, `--json` one document.
"""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TextIO

from holdfast.contracts.hearsay import visible

GAP = "  "  # between columns
NARROWEST = 6  # places that a column keeps


def say(text: str = "") -> None:
    """A message for the person at the terminal; never part of the answer."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (this is the command line's voice)


def answer(text: str, *, end: str = "\n") -> None:
    """A line of the answer."""
    print(text, end=end, flush=True)  # noqa: T201 (as above)


def output(text: str) -> None:
    """What a rented machine wrote: as it is into a pipe, and nothing that a terminal would obey onto a terminal."""
    answer(harmless(text, sys.stdout), end="")


def harmless(text: str, stream: TextIO) -> str:
    return visible(text) if stream.isatty() else text


def print_json(document: Any) -> None:
    """The whole answer as one JSON document: durations in seconds, money as exact strings, times in ISO 8601."""
    answer(json.dumps(plain(document), indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """Any contract as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):  # or a moment of one
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    return value


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", spare: Sequence[str] = ()) -> None:
    """A table that a person reads. A cell is one line: of more, the first stands for all.

    Columns in `spare` are left out, one by one, while a terminal is too narrow for the whole.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    if title:
        answer(title)
    widths = [max(len(cell) for cell in column) for column in zip(headers, *rows, strict=True)]
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
        if spare and _width(widths) > room:
            kept = [index for index, name in enumerate(headers) if name != spare[0]]
            narrower = [[row[index] for index in kept] for row in (headers, *rows)]
            table(narrower[0], narrower[1:], spare=spare[1:])
            return
        widths = _fitting(widths, room)
    answer(bold + _line(headers, widths) + plain)
    for row in rows:
        answer(_line(row, widths))


def _fitting(widths: list[int], room: int) -> list[int]:
    """The widest columns give way, a place at a time, until a row fits; what is still too wide the terminal wraps."""
    fitting = list(widths)
    while _width(fitting) > room and max(fitting) > NARROWEST:
        fitting[fitting.index(max(fitting))] -= 1
    return fitting


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    cut = [cell if len(cell) <= width else cell[: width - 1] + "…" for cell, width in zip(cells, widths, strict=True)]
    return GAP.join(cell.ljust(width) for cell, width in zip(cut, widths, strict=True)).rstrip()


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
