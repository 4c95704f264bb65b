"""Vast's filter language."""

import pytest

from holdfast.simcloud.vast.envelopes import WireError
from holdfast.simcloud.vast.queries import matching, ordered, version_number

ROWS = [
    {"n": 1, "s": "a", "flag": None, "driver": 535086005},
    {"n": 2, "s": "b", "flag": True, "driver": 570086015},
    {"n": None, "s": "c", "flag": False, "driver": 575057008},
]


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
        ({"n": {"eq": "1"}}, "a"),
        ({"n": {"neq": "1.0"}}, "bc"),
        ({"n": {"gte": "1", "lt": "1.5"}}, "a"),
        ({"n": {"in": ["1", "2.0", "three"]}}, "ab"),
        ({"n": {"notin": ["1"]}}, "bc"),
        ({"n": {"eq": "one"}}, ""),
        ({"s": {"eq": "1"}}, ""),
        ({"driver": {"gte": "570086015"}}, "bc"),
        ({"driver": {"gt": "570.86.15"}}, "c"),
    ],
)
def test_operators(filters: dict[str, object], found: str) -> None:
    assert "".join(row["s"] for row in matching(ROWS, filters)) == found


@pytest.mark.parametrize(
    "filters",
    [
        {"n": 1},
        {"n": {"like": 1}},
        {"n": {"gt": "x"}},
        {"n": {"gt": [1]}},
        {"n": {"in": 1}},
        {"s": {"in": "abc"}},
        {"nothing": {"eq": 1}},
        [1],
        "n",
        None,
    ],
)
def test_nonsense_is_a_bad_request(filters: object) -> None:
    with pytest.raises(WireError) as refused:
        matching(ROWS, filters)
    assert refused.value.status == 400


def test_sorts_by_several_columns_and_puts_missing_values_last() -> None:
    rows = [{"a": 1, "b": 1}, {"a": 2, "b": None}, {"a": 1, "b": 3}, {"a": 2, "b": 5}]
    assert ordered(rows, [("a", "desc"), ("b", "asc")]) == [rows[3], rows[1], rows[0], rows[2]]


def test_sorts_text_that_some_rows_lack() -> None:
    rows = [{"a": None}, {"a": "y"}, {"a": "x"}]
    assert ordered(rows, [("a", "asc")]) == [rows[2], rows[1], rows[0]]


def test_what_has_no_order_is_a_bad_request() -> None:
    with pytest.raises(WireError):
        ordered([{"a": {}}, {"a": {}}], [("a", "asc")])


@pytest.mark.parametrize(("version", "number"), [("570.86.15", 570086015), ("550.54", None), ("new", None)])
def test_a_driver_version_is_compared_as_a_number(version: str, number: int | None) -> None:
    assert version_number(version) == number
