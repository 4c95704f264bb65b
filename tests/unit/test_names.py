"""Labels are told apart from whatever others write on machines of the same account."""

import pytest

from holdfast.contracts import names


@pytest.mark.parametrize("mark", ["", "k3f9"])
@pytest.mark.parametrize(("workload", "epoch"), [("train", 1), ("a", 99_999_999), ("t1-" + "x" * 45, 99_999_999)])
def test_what_we_write_is_read_again(workload: str, epoch: int, mark: str) -> None:
    written = names.label(workload, epoch, mark)
    assert names.parse_label(written) == (workload, epoch)
    assert len(written) <= 63


def test_an_installation_knows_its_own_labels_from_another_s() -> None:
    assert names.is_label_of("k3f9", names.label("train", 1, "k3f9"))
    assert names.is_label_of("k3f9", names.label("train", 1)), "one from before there were marks"
    assert not names.is_label_of("k3f9", names.label("train", 1, "aaaa"))
    assert not names.is_label_of("k3f9", "train")


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
        "train.e" + "9" * 9,
        "train.e1.",
        "train.e1.k3f",
        "train.e1.k3f99",
        "train.e1.K3F9",
        "train.e" + "9" * 10_000,
        "x" * 49 + ".e1",
    ],
    ids=lambda text: repr(text)[:24],
)
def test_whatever_else_is_nobody_s_business(foreign: str) -> None:
    assert names.parse_label(foreign) is None
