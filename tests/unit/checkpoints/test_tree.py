"""A workspace may change while it is walked."""

from pathlib import Path

import pytest

from holdfast.hosts.agent.tree import Excludes, walk


def test_a_folder_that_vanishes_after_it_was_listed_is_passed_over(tmp_path: Path):
    workspace = tmp_path / "workspace"
    (workspace / "cache").mkdir(parents=True)
    (workspace / "kept.txt").write_text("x")
    entries = walk(str(workspace), Excludes([]))
    assert next(entries)["path"] == "cache"
    (workspace / "cache").rmdir()
    assert [entry["path"] for entry in entries] == ["kept.txt"]


def test_a_folder_that_becomes_a_file_is_passed_over(tmp_path: Path):
    workspace = tmp_path / "workspace"
    (workspace / "a").mkdir(parents=True)
    entries = walk(str(workspace), Excludes([]))
    assert next(entries)["path"] == "a"
    (workspace / "a").rmdir()
    (workspace / "a").write_text("x")
    assert list(entries) == []


def test_a_workspace_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        list(walk(str(tmp_path / "nowhere"), Excludes([])))
