"""Labels are told apart from whatever others write on machines of the same account."""

import pytest

from holdfast.contracts import names


@pytest.mark.parametrize(("workload", "epoch"), [("train", 1), ("a", 999_999_999), ("t1-" + "x" * 45, 20)])
def test_what_we_write_is_read_again(workload: str, epoch: int) -> None:
    assert names.parse_label(names.label(workload, epoch)) == (workload, epoch)


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "train",
        ".e1",
        "train.e",
        "train.e-1",
        "train.e01",
        "train.e1 ",
        "train.e1\n",
        "train.e\N{ARABIC-INDIC DIGIT ONE}",
        "My training.e1",
        "train\0.e1",
        "train.e" + "9" * 10,
        "train.e" + "9" * 10_000,
        "x" * 49 + ".e1",
    ],
    ids=lambda text: repr(text)[:24],
)
def test_whatever_else_is_nobody_s_business(foreign: str) -> None:
    assert names.parse_label(foreign) is None
