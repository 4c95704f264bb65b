"""Vast's filter language: ``{"field": {"operator": value}}``, all conditions at once."""

from collections.abc import Callable, Iterable
from typing import Any

from holdfast.simcloud.vast.envelopes import WireError

Row = dict[str, Any]


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


def matching(rows: Iterable[Row], filters: Row) -> list[Row]:
    """The rows that meet every condition. Raises WireError (400) for a query that makes no sense."""
    conditions = [
        (field, operator, value) for field, tests in filters.items() for operator, value in _tests(field, tests)
    ]
    return [row for row in rows if all(_holds(row, *condition) for condition in conditions)]


def ordered(rows: list[Row], keys: Iterable[tuple[str, str]]) -> list[Row]:
    """The rows sorted by several columns, the first one weighing most; rows without a value come last."""
    for column, direction in reversed(list(keys)):
        falling = direction == "desc"
        rows = sorted(rows, key=lambda row: row.get(column) or 0, reverse=falling)
        rows = [row for row in rows if row.get(column) is not None] + [row for row in rows if row.get(column) is None]
    return rows


def _tests(field: str, tests: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(tests, dict):
        raise WireError(400, "invalid_request", f"error 400/3011: filter on {field} must be an object")
    for operator, value in tests.items():
        if operator not in _OPERATORS:
            raise WireError(400, "invalid_request", f"error 400/3012: unknown operator {operator} on {field}")
        yield operator, value


def _holds(row: Row, field: str, operator: str, value: Any) -> bool:
    if field not in row:
        raise WireError(400, "invalid_request", f"error 400/3013: unknown field {field}")
    try:
        return _OPERATORS[operator](row[field], value)
    except TypeError as nonsense:
        raise WireError(400, "invalid_request", f"error 400/3014: cannot compare {field} with {value!r}") from nonsense
