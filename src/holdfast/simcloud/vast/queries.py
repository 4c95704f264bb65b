"""Vast's filter language: ``{"field": {"operator": value}}``, all conditions at once.

The official client sends numbers as text, and driver versions as numbers.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from holdfast.simcloud.vast.envelopes import WireError

Row = dict[str, Any]

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_CHOICES = ("in", "notin")


def _equal(value: Any, wanted: Any) -> bool:
    return bool(value) == wanted if isinstance(wanted, bool) else bool(value == wanted)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": _equal,
    "neq": lambda value, wanted: not _equal(value, wanted),
    "gt": lambda value, bound: value is not None and value > bound,
    "lt": lambda value, bound: value is not None and value < bound,
    "gte": lambda value, bound: value is not None and value >= bound,
    "lte": lambda value, bound: value is not None and value <= bound,
    "in": lambda value, choices: value in choices,
    "notin": lambda value, choices: value not in choices,
}


def matching(rows: Iterable[Row], filters: Any) -> list[Row]:
    """The rows that meet every condition. Raises WireError (400) for a query that makes no sense."""
    if not isinstance(filters, dict):
        raise WireError(400, "invalid_request", "error 400/3010: filters must be an object")
    conditions = [
        (field, operator, value) for field, tests in filters.items() for operator, value in _tests(field, tests)
    ]
    return [row for row in rows if all(_holds(row, *condition) for condition in conditions)]


def ordered(rows: list[Row], keys: Iterable[tuple[str, str]]) -> list[Row]:
    """The rows sorted by several columns, the first one weighing most; rows without a value come last.

    Raises WireError (400) for a column that has no order.
    """
    for column, direction in reversed(list(keys)):
        told = [row for row in rows if row.get(column) is not None]
        untold = [row for row in rows if row.get(column) is None]
        try:
            rows = sorted(told, key=lambda row: row[column], reverse=direction == "desc") + untold
        except TypeError as nonsense:
            raise WireError(400, "invalid_request", f"error 400/3016: cannot order by {column}") from nonsense
    return rows


def version_number(version: str) -> int | None:
    """A driver's version as it is compared: "570.86.15" is 570086015."""
    parts = _VERSION.fullmatch(version)
    return None if parts is None else int("".join(part.zfill(3) for part in parts.groups()))


def _tests(field: str, tests: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(tests, dict):
        raise WireError(400, "invalid_request", f"error 400/3011: filter on {field} must be an object")
    for operator, value in tests.items():
        if operator not in _OPERATORS:
            raise WireError(400, "invalid_request", f"error 400/3012: unknown operator {operator} on {field}")
        if operator in _CHOICES and not isinstance(value, list):
            raise WireError(400, "invalid_request", f"error 400/3017: {operator} on {field} needs a list")
        yield operator, value


def _holds(row: Row, field: str, operator: str, value: Any) -> bool:
    if field not in row:
        raise WireError(400, "invalid_request", f"error 400/3013: unknown field {field}")
    try:
        return _OPERATORS[operator](row[field], _fitted(value, row[field]))
    except TypeError as nonsense:
        raise WireError(400, "invalid_request", f"error 400/3014: cannot compare {field} with {value!r}") from nonsense


def _fitted(wanted: Any, value: Any) -> Any:
    """What is wanted, as a number where the row has one; text that is none stays as it is."""
    if isinstance(wanted, list):
        return [_fitted(each, value) for each in wanted]
    if not isinstance(wanted, str) or isinstance(value, bool) or not isinstance(value, (int, float)):
        return wanted
    if (version := version_number(wanted)) is not None:
        return version
    try:
        return float(wanted)
    except ValueError:
        return wanted
