"""The work's output in bounded pieces."""

from pathlib import Path

from holdfast.hosts.agent.worklog import LogWriter, WorkLog


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


def test_a_later_writer_carries_on(tmp_path: Path) -> None:
    LogWriter(str(tmp_path)).append(b"one ")
    LogWriter(str(tmp_path)).append(b"two")
    assert WorkLog(str(tmp_path)).tail(100) == "one two"


def test_an_empty_log_has_no_size_and_nothing_to_read(tmp_path: Path) -> None:
    assert (WorkLog(str(tmp_path)).size(), WorkLog(str(tmp_path)).read(5, 10)) == (0, (0, b""))
