"""Log files that do not grow for ever."""

import os
import stat
from pathlib import Path

from holdfast.workers.stack import logs


def test_a_process_writes_after_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for line in (b"one\n", b"two\n"):
        fd = logs.open_for_append(path)
        os.write(fd, line)
        os.close(fd)
    assert path.read_text() == "one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_large_file_is_moved_aside_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for number in range(logs.KEEP + 2):
        path.write_text(f"{number}\n")
        os.truncate(path, logs.ROTATE_ABOVE + 1)
        os.close(logs.open_for_append(path))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert (tmp_path / "a.log.1").read_bytes().startswith(b"4\n")
    assert path.stat().st_size == 0


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"line {number}\n" for number in range(2000)))
    assert logs.tail(path, lines=2) == "line 1998\nline 1999"


def test_the_tail_of_no_log_is_empty(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "none.log") == ""
