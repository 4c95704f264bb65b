"""Vast's filter language."""

import pytest

from holdfast.simcloud.vast.envelopes import WireError
from holdfast.simcloud.vast.queries import matching, ordered

ROWS = [{"n": 1, "s": "a", "flag": None}, {"n": 2, "s": "b", "flag": True}, {"n": None, "s": "c", "flag": False}]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"n": {"eq": 1}}, "a"),
        ({"n": {"neq": 1}}, "bc"),
        ({"n": {"gt": 1}}, "b"),
        ({"n": {"gte": 1, "lt": 2}}, "a"),
        ({"n": {"lte": 2}}, "ab"),
        ({"s": {"in": ["a", "c"]}}, "ac"),
        ({"s": {"notin": ["a", "c"]}}, "b"),
        ({"flag": {"eq": False}}, "ac"),
        ({"flag": {"eq": True}, "n": {"eq": 1}}, ""),
        ({}, "abc"),
    ],
)
def test_operators(filters: dict[str, object], found: str) -> None:
    assert "".join(row["s"] for row in matching(ROWS, filters)) == found


@pytest.mark.parametrize("filters", [{"n": 1}, {"n": {"like": 1}}, {"n": {"gt": "x"}}, {"nothing": {"eq": 1}}])
def test_nonsense_is_a_bad_request(filters: dict[str, object]) -> None:
    with pytest.raises(WireError) as refused:
        matching(ROWS, filters)
    assert refused.value.status == 400


def test_sorts_by_several_columns_and_puts_missing_values_last() -> None:
    rows = [{"a": 1, "b": 1}, {"a": 2, "b": None}, {"a": 1, "b": 3}, {"a": 2, "b": 5}]
    assert ordered(rows, [("a", "desc"), ("b", "asc")]) == [rows[3], rows[1], rows[0], rows[2]]
