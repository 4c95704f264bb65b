"""Data sets are looked at line by line; what is wrong is named, and nothing is repaired."""

import hashlib
import json
from pathlib import Path

import pytest

from holdfast.contracts.training import DataFormat, DatasetReport, OtherKey
from holdfast.training import datasets
from holdfast.training.datasets import DatasetUnreadable, inspect

GOOD = {"messages": [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "four"}]}
PAIR = {"prompt": "two?", "chosen": "four", "rejected": "five"}


def written(path: Path, *lines: object) -> Path:
    data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    path.write_bytes(data)
    return path


def looked(tmp_path: Path, *lines: object, form: DataFormat | None = None) -> DatasetReport:
    return inspect(written(tmp_path / "data.jsonl", *lines), form=form)


@pytest.mark.parametrize(
    ("line", "form"),
    [
        (GOOD, DataFormat.MESSAGES),
        ({"prompt": "", "completion": "four"}, DataFormat.COMPLETION),
        ({"text": "a text"}, DataFormat.TEXT),
        (PAIR, DataFormat.PREFERENCE),
        (
            {
                "prompt": [{"role": "user", "content": "two?"}],
                "chosen": [{"role": "assistant", "content": "four"}],
                "rejected": [{"role": "assistant", "content": "five"}],
            },
            DataFormat.PREFERENCE,
        ),
    ],
)
def test_the_first_good_line_says_the_format(tmp_path: Path, line: object, form: DataFormat) -> None:
    found = looked(tmp_path, line)
    assert (
        found.usable
        and (found.format, found.examples) == (form, 1)
        and [json.loads(each) for each in found.sample] == [line]
    )


def test_it_is_pinned_by_its_bytes_and_measured(tmp_path: Path) -> None:
    path = written(tmp_path / "data.jsonl", {"text": "a"}, {"text": "äöü"}, {"text": "five!"})
    found = inspect(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.bytes_total, found.characters) == (path.stat().st_size, 9)
    assert (found.shortest, found.median, found.longest) == (1, 3, 5)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"text": "caf\xe9"}', "no UTF-8: byte 0xe9 at column 14"),
        (b'{"text": "cut', "no JSON"),
        (b"[1]", "no JSON object"),
        (b"", "is empty"),
        (b'{"text": "a", "text": "b"}', "a key twice"),
        (b'{"text": NaN}', "NaN"),
        (b'{"text": "\\ud83d"}', "half of a character"),
        ({"text": "  "}, "text is empty"),
        ({"text": 3}, "no text"),
        ({"prompt": "a"}, "has no text, which the format text needs; it has prompt"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_line_that_cannot_be_trained_on_is_named_with_the_reason(tmp_path: Path, line: object, why: str) -> None:
    found = looked(tmp_path, {"text": "good"}, line, {"text": "good as well"})
    assert not found.usable and found.refusals == 1 and found.examples == 2
    (remark,) = found.remarks
    assert remark.line == 2 and why in remark.text and remark.refuses


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"messages": []}, "a message or more"),
        ({"messages": ["hello"]}, "message 1 of messages has no role and content"),
        ({"messages": [{"role": "bot", "content": "a"}]}, "role 'bot'"),
        ({"messages": [{"role": "user", "content": "a"}]}, "not the assistant's"),
        (
            {"messages": [{"role": "user", "content": ""}, *GOOD["messages"]]},
            "content of message 1 of messages is empty",
        ),
    ],
)
def test_conversations_are_looked_at_message_by_message(tmp_path: Path, line: object, why: str) -> None:
    found = looked(tmp_path, line, form=DataFormat.MESSAGES)
    assert not found.usable and why in found.remarks[0].text


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (PAIR | {"rejected": "four"}, "the same"),
        (PAIR | {"chosen": [{"role": "assistant", "content": "four"}]}, "three texts, or three lists"),
    ],
)
def test_preferences_need_two_answers_of_one_kind(tmp_path: Path, line: object, why: str) -> None:
    assert why in looked(tmp_path, PAIR, line).remarks[0].text


def test_a_byte_order_mark_is_named_and_not_swallowed(tmp_path: Path) -> None:
    found = looked(tmp_path, b'\xef\xbb\xbf{"text": "a"}', {"text": "b"})
    assert not found.usable and "byte order mark" in found.remarks[0].text


def test_duplicates_lost_characters_and_other_keys_are_told_and_kept(tmp_path: Path) -> None:
    found = looked(tmp_path, {"text": "a"}, {"text": "b\ufffd", "id": 1}, {"text": "a", "id": 2}, {"text": "\0"})
    assert found.usable and found.examples == 4 and found.duplicates == 1
    assert [(each.line, each.refuses) for each in found.remarks] == [(2, False), (3, False), (4, False)]
    assert found.other_keys == (OtherKey(name="id", lines=2),)


def test_the_wanted_format_holds_for_every_line(tmp_path: Path) -> None:
    assert not looked(tmp_path, {"text": "a"}, form=DataFormat.MESSAGES).usable
    assert "none of the known forms" in looked(tmp_path, {"question": "a"}).remarks[0].text


def test_an_empty_file_holds_no_example(tmp_path: Path) -> None:
    found = looked(tmp_path)
    assert not found.usable and (found.remarks[0].line, found.format) == (0, None)


def test_of_many_remarks_the_first_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    found = looked(tmp_path, *[{"text": "same"}] * 80, *[b"[1]"] * 80)
    assert (found.refusals, found.warnings) == (80, 79)
    assert [sum(each.refuses is kind for each in found.remarks) for kind in (True, False)] == [50, 50]


def test_a_line_longer_than_any_example_is_named_and_the_next_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "data.jsonl", {"text": "x" * (17 * 1024 * 1024)}, {"text": "good"})
    found = inspect(path)
    assert (found.remarks[0].line, found.examples) == (1, 1) and "16 MiB" in found.remarks[0].text
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_long_file_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets._Watched, "_EVERY", 1000)
    path = written(tmp_path / "data.jsonl", *[{"text": f"number {each}"} for each in range(200)])
    heard: list[tuple[int, int]] = []
    inspect(path, told=lambda done, total: heard.append((done, total)))
    assert len(heard) >= 3 and heard == sorted(heard) and heard[-1][1] == path.stat().st_size


def test_a_file_that_is_not_there_is_said_to_be_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnreadable, match="No such file"):
        inspect(tmp_path / "nothing.jsonl")
