"""Progress as the work writes it."""

import os
from pathlib import Path

import pytest

from holdfast.hosts.agent.progress import Progress, ProgressFile, describe


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"step": 120, "total": 400, "loss": 0.31}', "step 120/400 · loss 0.31"),
        ('{"step": 3}', "step 3"),
        ('{"loss": 0.123456789, "phase": "warm up"}', "loss 0.123457 · phase warm up"),
        ("  epoch 3\n of 10 ", "epoch 3 of 10"),
        ("42", "42"),
        ('{"step": 12', '{"step": 12'),
        ("x" * 500, "x" * 200),
    ],
)
def test_progress_reads_well(content: str, text: str) -> None:
    assert describe(content)[0] == text


def test_a_rewrite_of_the_same_content_is_no_progress(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    file = ProgressFile(str(path))
    assert file.read() == Progress()
    for written_at, content in ((100, "one"), (200, "one"), (300, "two")):
        path.write_text(content)
        os.utime(path, (written_at, written_at))
        latest = file.read()
        assert latest.changed_at == (300 if content == "two" else 100)


def test_a_file_caught_while_it_is_rewritten_keeps_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    file = ProgressFile(str(path))
    path.write_text("one")
    file.read()
    path.write_text("")
    assert file.read().text == "one"


def test_a_new_start_begins_without_progress(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    file = ProgressFile(str(path))
    path.write_text("one")
    file.read()
    path.unlink()
    assert file.read() == Progress()
