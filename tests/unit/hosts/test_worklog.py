"""The work's output in bounded pieces."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from holdfast.hosts.agent.worklog import LogWriter, WorkLog
from tests.unit.hosts.machine import PATIENCE


def test_offsets_go_on_when_old_pieces_are_dropped(tmp_path: Path) -> None:
    writer, log = LogWriter(str(tmp_path), piece=10, kept=2), WorkLog(str(tmp_path))
    for number in range(10):
        writer.append(b"line %d\n" % number)  # 7 bytes each, so two fill a piece
    assert log.size() == 70
    assert log.read(0, 1000) == (42, b"line 6\nline 7\n")
    assert log.read(56, 1000) == (56, b"line 8\nline 9\n")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_reader_that_reaches_the_end_of_a_piece_goes_on_in_the_next(tmp_path: Path) -> None:
    writer, log = LogWriter(str(tmp_path), piece=4), WorkLog(str(tmp_path))
    for words in (b"abcd", b"efgh", b"ij"):
        writer.append(words)
    found, offset = b"", 0
    while offset < log.size():
        offset, data = log.read(offset, 3)
        found, offset = found + data, offset + len(data)
    assert found == b"abcdefghij"


def test_a_piece_that_was_cut_or_removed_is_passed_over(tmp_path: Path) -> None:
    writer, log = LogWriter(str(tmp_path), piece=4), WorkLog(str(tmp_path))
    for words in (b"abcd", b"efgh", b"ijkl", b"mn"):
        writer.append(words)
    (tmp_path / "log.4").write_bytes(b"")
    assert log.read(4, 10) == (8, b"ijkl")
    (tmp_path / "log.8").write_bytes(b"i")
    assert log.read(8, 10) == (8, b"i")
    assert log.read(9, 10) == (12, b"mn")
    (tmp_path / "log.8").unlink()
    assert log.read(5, 10) == (12, b"mn")


def test_a_piece_that_cannot_be_begun_lets_the_last_one_grow(tmp_path: Path) -> None:
    writer, log = LogWriter(str(tmp_path), piece=4), WorkLog(str(tmp_path))
    (tmp_path / "log.4").mkdir()  # stands for a disk that has no room for another file
    reader, output = os.pipe()
    with os.fdopen(reader, "rb") as source, os.fdopen(output, "wb", buffering=0) as work:
        copying = writer.follow(source)
        work.write(b"abcd")
        wait_for(lambda: (tmp_path / "log.0").read_bytes() == b"abcd")
        work.write(b"efgh")
        wait_for(lambda: (tmp_path / "log.0").read_bytes() == b"abcdefgh")
        (tmp_path / "log.4").rmdir()
        work.write(b"ij")
        work.close()
        copying.join()
    assert log.read(4, 100) == (4, b"efgh")
    assert log.read(8, 100) == (8, b"ij")


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


def test_a_later_writer_carries_on(tmp_path: Path) -> None:
    LogWriter(str(tmp_path)).append(b"one ")
    LogWriter(str(tmp_path)).append(b"two")
    assert WorkLog(str(tmp_path)).tail(100) == "one two"


def test_an_empty_log_has_no_size_and_nothing_to_read(tmp_path: Path) -> None:
    assert (WorkLog(str(tmp_path)).size(), WorkLog(str(tmp_path)).read(5, 10)) == (0, (0, b""))
