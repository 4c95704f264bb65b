"""A full disk is when a save is needed most: what the agent would remember of it costs work, never the save."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.hosts.agent import pages
from holdfast.hosts.agent.memory import Memory
from holdfast.hosts.agent.scan import scan
from holdfast.hosts.agent.upload import upload
from tests.tiny_disk import fill, tiny_disk

KEY = bytes(32)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk with a workspace, and with no room for anything else."""
    with tiny_disk(tmp_path / "disk") as disk:
        (disk / "work").mkdir()
        (disk / "work/model.bin").write_bytes(b"x" * 1000)
        fill(disk)
        yield disk


def test_a_workspace_on_a_full_disk_is_scanned_and_its_scan_is_found_by_the_upload(full: Path) -> None:
    params = {"key": KEY.hex(), "home": str(full / "home")}
    blobs: list[str] = []
    scanned = scan(
        {**params, "workspace": str(full / "work")}, lambda q, asked: blobs.append(asked["blob"]) or {}, lambda n: None
    )
    (entry,) = pages.join(blobs)
    (blob,) = pages.cut([])  # all is in the store already: what is sent is no matter here
    answers: dict[str, dict[str, Any]] = {"needed": {"blob": blob}}
    order = {**params, "scan": scanned["scan"], "pages": 1}
    assert entry["size"] == 1000
    assert upload(order, lambda question, asked: answers[question], lambda n: None)["changed"] == []


def test_a_pack_that_the_journal_has_no_room_for_is_sent_all_the_same(full: Path) -> None:
    memory = Memory(str(full / "home"), KEY)
    memory.note_sent({"key": "packs/aa", "size": 5, "chunks": []})
    assert memory.sent_packs() in ([], [{"key": "packs/aa", "size": 5, "chunks": []}])
