"""Reading specs: every mistake has a name, a line and a column."""

from decimal import Decimal

import pytest

from holdfast.client.errors import SpecInvalid, SpecProblem
from holdfast.client.specs import read_spec

LONG = "x" * 32_768
GOOD = """\
name: train
command: python train.py
price:
  max_hourly: 0.45
environment:
  LEVEL: info
  TOKEN: {secret: hub_token}
checkpoint:
  every: 90s
"""


def problems(text: str) -> tuple[SpecProblem, ...]:
    with pytest.raises(SpecInvalid) as caught:
        read_spec(text, source="train.yaml")
    return caught.value.problems


def places(text: str) -> list[tuple[str, int, int]]:
    return [(each.path, each.line, each.column) for each in problems(text)]


def test_reads_a_good_spec() -> None:
    spec = read_spec(GOOD)
    assert (spec.name, spec.price.max_hourly, spec.checkpoint.every.total_seconds()) == ("train", Decimal("0.45"), 90)


def test_names_every_mistake_at_once_in_the_order_of_lines() -> None:
    text = (
        "name: Train!\ncommand: run\nprice:\n  max_hourly: -1\ncheckpoint:\n  every: 90\nresources:\n  gpu_cuont: 2\n"
    )
    assert places(text) == [
        ("name", 1, 1),
        ("price.max_hourly", 4, 3),
        ("checkpoint.every", 6, 3),
        ("resources.gpu_cuont", 8, 3),
    ]


def test_a_missing_field_is_reported_at_what_should_hold_it() -> None:
    assert ("price", 1, 1) in places("name: a\ncommand: b\n")
    assert ("price.max_hourly", 3, 1) in places("name: a\ncommand: b\nprice: {}\n")


def test_an_unknown_field_is_a_mistake() -> None:
    (found,) = problems(GOOD + "prise: 3\n")
    assert (found.path, found.line) == ("prise", 10)
    assert "not a field of a spec" in found.message


def test_a_list_element_is_found_by_its_own_line() -> None:
    assert places(GOOD + "resources:\n  regions:\n    - US\n    - Europe\n") == [("resources.regions.1", 13, 7)]
    assert places(GOOD + "failover:\n  ladder:\n    - snapshot\n    - teleport\n") == [("failover.ladder.1", 13, 7)]


def test_a_wrong_environment_value_is_reported_once_per_reason_at_its_line() -> None:
    assert {(line, column) for _, line, column in places(GOOD.replace("info", "[1, 2]"))} == {(6, 3)}


def test_every_wrong_variable_is_named_beside_every_other_mistake() -> None:
    text = GOOD.replace("info", "info\n  HOLDFAST_X: a\n  1bad: b") + "  quiesce: hook\n  keep: 0\n"
    found = {each.path: each.message for each in problems(text)}
    assert found.keys() == {"environment.HOLDFAST_X", "environment.1bad", "checkpoint", "checkpoint.keep"}
    assert "is needed by quiesce: hook" in found["checkpoint"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("failover: {boot_timeout: 999999999d23h59m}", "should be at most 1 day"),
        ("failover: {silence: 25h}", "should be at most 1 day"),
        ("failover: {deadman: 31d}", "should be at most 30 days"),
        ("failover: {ladder: []}", "must not be empty"),
        ("stop_grace: 61m", "should be at most 1 hour"),
        ("objectives: {rto: 0s}", "should be greater than 0 seconds"),
        ("objectives: {rpo: 31d}", "should be at most 30 days"),
        ("resources: {memory_gb: 1.0e+300}", "should be at most 65536"),
        ("resources: {memory_gb: .inf}", "should be a finite number"),
        ("resources: {cpu_cores: .nan}", "should be a finite number"),
        (f"resources: {{disk_gb: {10**400}}}", "should be at most 16384"),
        ("resources: {gpu: ''}", "must not be empty"),
        ("resources: {regions: [US, Europe]}", "'Europe' is not a two-letter country code"),
        (f"setup: {LONG}x", "should have at most 32768 characters"),
        (f"workdir: {LONG}", "should have at most 1024 characters"),
        ("providers: ['']", "must not be empty"),
        ('setup: "\\uD800"', "holds half of a character"),
        ('setup: "a\\0"', "holds a NUL character"),
    ],
)
def test_what_no_clock_or_machine_can_be_set_to_is_refused_with_its_limit(more: str, told: str) -> None:
    (found,) = problems(GOOD + more + "\n")
    assert found.line == 10
    assert told in found.message


def test_an_environment_is_no_larger_than_what_histories_carry() -> None:
    assert read_spec(GOOD.replace("LEVEL: info", "\n  ".join(f"V{number}: {LONG}" for number in range(3))))
    (found,) = problems(GOOD.replace("LEVEL: info", "\n  ".join(f"V{number}: {LONG}" for number in range(4))))
    assert found.path == "environment"
    assert "at most 131072 characters together" in found.message
    (found,) = problems(GOOD.replace("LEVEL: info", "\n  ".join(f"V{number}: x" for number in range(201))))
    assert "should have at most 200 items" in found.message


def test_a_price_is_a_number_that_can_be_written_down() -> None:
    for price in (".nan", ".inf", "1001", "0", f"'0.{'1' * 40}'"):
        assert places(GOOD.replace("0.45", price)) == [("price.max_hourly", 4, 3)], price


def test_a_key_given_twice_is_a_mistake_although_yaml_allows_it() -> None:
    (found,) = problems(GOOD + "name: other\n")
    assert (found.path, found.line, found.message) == ("name", 10, "is given twice")


@pytest.mark.parametrize(
    "text",
    [
        "name: [unclosed\n",
        "name: a\n\tcommand: tab\n",
        "just words\n",
        "- a\n- list\n",
        "",
        "name: &x [*x]\n",
        "? [a, b]\n: c\n",
        "name: !!python/object:os.system x\n",
        "a: 1\n---\nb: 2\n",
        "name: 2026-99-99\n",
        "a: \x00\n",
    ],
)
def test_whatever_is_not_a_spec_is_refused_with_a_place(text: str) -> None:
    found = problems(text)
    assert found
    assert all(each.line >= 1 and each.column >= 1 for each in found)


def test_the_message_reads_like_a_compiler_s() -> None:
    with pytest.raises(SpecInvalid, match=r"^train\.yaml:1:1: name: "):
        read_spec("name: A\ncommand: b\nprice: {max_hourly: 1}\n", source="train.yaml")
