"""Labels travel to Google and back; no two of them meet."""

import re

import pytest

from holdfast.contracts.names import label
from holdfast.providers.gcp.names import instance_id, label_of, name_of, parts_of, request_id, wire_label

LABELS = [
    "train.e1.k3f9",
    "train.e11.k3f9",
    "train-e1.e1.k3f9",
    "train.e1",
    "train-e1",
    "train.e1-k3f9",
    "1.e1.k3f9",
    label("x" * 48, 99_999_999, "k3f9"),
    label("9" + "x" * 47, 99_999_999, "k3f9"),
]


def test_names_are_such_as_google_takes_and_differ() -> None:
    names = [name_of(each) for each in LABELS]
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names), names
    assert len(set(names)) == len(LABELS)
    assert names[0] == "train-e1-k3f9", "people find their workload"


@pytest.mark.parametrize("text", LABELS)
def test_a_label_comes_back_as_it_was(text: str) -> None:
    value = wire_label(text)
    assert re.fullmatch(r"[a-z0-9_-]{1,63}", value)
    assert label_of(value) == text


@pytest.mark.parametrize("text", ["", "Train.e1", "a_b.e1", "x" * 64, "a b"])
def test_what_cannot_travel_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be a label"):
        wire_label(text)


def test_the_same_order_has_the_same_id_and_another_has_not() -> None:
    ids = {request_id("train.e1.k3f9", "insert/a"), request_id("train.e2.k3f9", "insert/a"), request_id("x.e1", "b")}
    assert len(ids) == 3
    assert request_id("train.e1.k3f9", "insert/a") in ids


def test_ids_of_machines_are_a_project_a_zone_and_a_name() -> None:
    number = instance_id("my-project", "us-central1-a", "train-e1-k3f9")
    assert parts_of(number) == ("my-project", "us-central1-a", "train-e1-k3f9")
    for text in ("", "4711", "a/b", "us-central1-a/x", "p/us-central1-a/../x", "my-project/us-central1-a/X"):
        assert parts_of(text) is None, text
