"""A scan reads one state of each file, and reads nothing that it knows already."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from holdfast.hosts.agent import chunks, memory, pages, tree
from holdfast.hosts.agent.failures import AgentFailure
from holdfast.hosts.agent.reading import Reading
from holdfast.hosts.agent.scan import scan
from holdfast.hosts.agent.tree import Excludes

KEY = bytes(range(32))
OLD = 1_600_000_000


class BusyPool(ThreadPoolExecutor):
    """Does something to the file after each piece of work."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__(1)
        self._then = then

    def submit(self, work: Any, /, *args: Any, **named: Any) -> "Future[Any]":
        done = super().submit(work, *args, **named)
        done.result()
        self._then()
        return done


def read(path: Path, then: Callable[[], object]) -> tuple[list[tuple[str, int]], bool]:
    reading = Reading(str(path.parent), {"path": path.name}, lambda: None)
    with BusyPool(then) as pool:
        reading.start(pool, KEY)
        result = reading.settle(pool, KEY)
    reading.close()
    return result


def name_of(data: bytes) -> str:
    return chunks.identify(data, KEY)


def test_a_file_that_holds_still_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert read(tmp_path / "f", lambda: None) == ([(name_of(b"abc"), 3)], True)


def test_a_file_rewritten_while_it_is_read_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old content")
    changes = iter([b"new"])
    named, stable = read(path, lambda: [path.write_bytes(content) for content in changes])
    assert (named, stable) == ([(name_of(b"new"), 3)], True)


def test_a_file_replaced_while_it_is_read_keeps_one_of_its_states(tmp_path: Path) -> None:
    path, fresh = tmp_path / "f", tmp_path / "f.new"
    path.write_bytes(b"old")
    fresh.write_bytes(b"new and longer")
    named, stable = read(path, lambda: fresh.exists() and fresh.replace(path))
    assert stable
    assert named[0][0] in (name_of(b"old"), name_of(b"new and longer"))


def test_what_is_only_appended_to_is_taken_as_far_as_it_went(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n")

    def append() -> None:
        with path.open("ab") as file:
            file.write(b"line\n")

    assert read(path, append) == ([(name_of(b"line\n"), 5)], True)


def test_a_file_that_never_holds_still_is_called_unstable(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0")
    versions = iter(range(1, 100))
    _, stable = read(path, lambda: path.write_text(str(next(versions))))
    assert not stable


def test_a_file_that_vanishes_while_it_changes_has_vanished(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123")

    def shrink_and_vanish() -> None:
        if path.exists():
            path.write_bytes(b"9")
            path.unlink()

    with pytest.raises(FileNotFoundError):
        read(path, shrink_and_vanish)


@pytest.mark.parametrize("becomes", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/hostname")])
def test_what_is_no_plain_file_any_more_is_neither_waited_for_nor_followed(
    tmp_path: Path, becomes: Callable[[Path], None]
) -> None:
    becomes(tmp_path / "f")
    with pytest.raises(FileNotFoundError):
        tree.open_file(str(tmp_path / "f"))


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "COARSEST_CLOCK_NS", -1)  # as if every file were old
    work = tmp_path / "work"
    work.mkdir()
    for name in ("a", "b"):
        (work / name).write_bytes(name.encode() * 1000)
    assert run_scan(work)["bytes_read"] == 2000
    assert run_scan(work)["bytes_read"] == 0
    (work / "a").write_bytes(b"x" * 1000)
    assert run_scan(work)["bytes_read"] == 1000


def test_a_file_touched_a_moment_ago_is_not_trusted_to_be_unchanged(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a").write_bytes(b"1")
    assert run_scan(work)["bytes_read"] == 1
    assert run_scan(work)["bytes_read"] == 1


def test_times_set_back_do_not_hide_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "COARSEST_CLOCK_NS", -1)
    work = tmp_path / "work"
    work.mkdir()
    (work / "a").write_bytes(b"1")
    os.utime(work / "a", (OLD, OLD))
    run_scan(work)
    (work / "a").write_bytes(b"2")
    os.utime(work / "a", (OLD, OLD))  # size and time as before; the inode's own change time tells
    assert run_scan(work)["bytes_read"] == 1


def test_sockets_and_pipes_are_skipped_and_named(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    os.mkfifo(work / "pipe")
    (work / "a").write_bytes(b"1")
    result = run_scan(work)
    assert (result["files"], result["skipped"]) == (1, ["pipe"])


def test_a_workspace_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentFailure) as failure:
        run_scan(tmp_path / "nowhere")
    assert failure.value.kind == "bad_request"


def test_a_torn_memory_costs_only_work(tmp_path: Path, home: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a").write_bytes(b"1")
    run_scan(work)
    for file in home.rglob("cache-*"):
        file.write_bytes(file.read_bytes()[:-9])
    assert run_scan(work)["files"] == 1


@pytest.mark.parametrize(
    ("pattern", "covered", "kept"),
    [
        ("*.tmp", "a/b/c.tmp", "a/tmp"),
        ("cache/", "x/cache", "cached"),
        ("logs/*.txt", "logs/a.txt", "x/logs/a.txt"),
        ("/build", "build", "x/build"),
        ("**/wandb/*", "runs/wandb/1", "wandb"),
    ],
)
def test_patterns_with_a_slash_are_anchored_and_others_are_not(pattern: str, covered: str, kept: str) -> None:
    excludes = Excludes([pattern])
    assert excludes.cover(covered)
    assert not excludes.cover(kept)


def run_scan(work: Path) -> dict[str, Any]:
    blobs: list[str] = []
    lock = threading.Lock()

    def ask(question: str, params: dict[str, Any]) -> dict[str, Any]:
        with lock:
            blobs.append(params["blob"])
        return {}

    result = scan({"workspace": str(work), "key": KEY.hex()}, ask, lambda note: None)
    assert len([entry for entry in pages.join(blobs) if entry["kind"] == "file"]) == result["files"]
    return result
