"""Reference prices: those that Holdfast brings, and those of a file of one's own.

What is brought is an extract of gpurentalprices.com (GPU rental price data by gpurentalprices.com, CC BY 4.0) and AWS's
own list price of one machine. docs/money.md says more.
"""

import csv
import io
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path

from holdfast.contracts.references import Reference
from holdfast.market.shapes import BadLine, kind
from holdfast.policy.gpu_names import tidied

COLUMNS = ("provider", "gpu", "kind", "hourly", "region", "dated", "unit", "includes", "whole", "source")
_OPTIONAL = ("seen_until", "licence")


class BadReferences(Exception):
    """A file of references cannot be used; the message says which line, and why."""


def brought() -> tuple[Reference, ...]:
    """What Holdfast brings."""
    text = (resources.files("holdfast.market") / "references.csv").read_text(encoding="utf-8")
    return tuple(_read(text, "references.csv"))


def read(path: Path) -> tuple[Reference, ...]:
    """Those of a file in CSV. Raises `BadReferences`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise BadReferences(f"{path} cannot be read: {err}") from err
    return tuple(_read(text, str(path)))


def _read(text: str, name: str) -> Iterator[Reference]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [each for each in COLUMNS if each not in (rows.fieldnames or ())]
    if missing:
        raise BadReferences(f"{name} has no column {', '.join(missing)}; wanted are {', '.join(COLUMNS)}")
    for row in rows:
        try:
            yield _reference(row)
        except (BadLine, ValueError, InvalidOperation, TypeError) as err:
            raise BadReferences(f"{name}, line {rows.line_num}: {err}") from err


def _reference(row: dict[str, str]) -> Reference:
    told = {name: (row.get(name) or "").strip() for name in (*COLUMNS, *_OPTIONAL)}
    hourly = Decimal(told["hourly"])
    if not hourly.is_finite() or hourly <= 0:
        raise BadLine(f"{told['hourly']} is no price")
    empty = [name for name in ("provider", "gpu", "dated", "unit", "includes", "source") if not told[name]]
    if empty:
        raise BadLine(f"{', '.join(empty)} must be told")
    dated = date.fromisoformat(told["dated"])
    return Reference(
        provider=told["provider"].lower(),
        gpu=tidied(told["gpu"]),
        kind=kind(told["kind"]),
        hourly=hourly,
        region=told["region"],
        dated=dated,
        seen_until=date.fromisoformat(told["seen_until"]) if told["seen_until"] else dated,
        unit=told["unit"],
        includes=told["includes"],
        whole=told["whole"].lower() in ("yes", "true", "1"),
        source=told["source"],
        licence=told["licence"],
    )
