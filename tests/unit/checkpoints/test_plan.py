"""A manifest is the word of a machine that was ours: the agent that restores it checks where it leads."""

import gzip
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from holdfast.hosts.agent import pages, tree
from holdfast.hosts.agent.chunks import CHUNK
from holdfast.hosts.agent.failures import AgentFailure
from holdfast.hosts.agent.plan import Manifest, check_entries
from holdfast.hosts.agent.restore import restore

Row = list[Any]


def folder(path: Any, mode: int = 0o755) -> dict[str, Any]:
    return {"path": path, "kind": "dir", "mode": mode, "mtime": 1}


def file(path: str, mode: int = 0o644) -> dict[str, Any]:
    return {"path": path, "kind": "file", "mode": mode, "mtime": 1, "size": 0, "chunks": []}


def link(path: str, target: str) -> dict[str, Any]:
    return {"path": path, "kind": "link", "mtime": 1, "target": target}


def encoded(entries: list[dict[str, Any]], chunks: list[Row] | None = None, exclude: tuple[str, ...] = ()) -> bytes:
    body = {"version": 1, "packs": [["p", 9]], "chunks": chunks or [], "entries": entries, "exclude": exclude}
    return gzip.compress(json.dumps(body).encode())


def name_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def bring_back(data: bytes, work: Path) -> dict[str, Any]:
    """Restore a manifest that needs no chunk."""
    params = {"manifest": name_of(data), "pages": 1, "workspace": str(work), "key": "00" * 32}
    (blob,) = pages.cut_bytes(data)
    return restore(params, lambda question, asked: {"blob": blob}, lambda note: None)


@pytest.mark.parametrize(
    "entries",
    [
        [folder("/etc")],
        [folder("/"), file("/x")],
        [folder("..")],
        [folder("a"), folder("a/.."), file("a/../x")],
        [folder("a"), file("a//x")],
        [folder("a/")],
        [folder("")],
        [folder(".")],
        [folder(None)],
        [file("a\0b")],
        [file("a/x")],
        [file("a"), file("a/x")],
        [link("a", "/etc"), file("a/x")],
        [link("a", "/etc"), folder("a"), file("a/x")],
        [file("a"), file("a")],
        [folder(tree.STAGING)],
        [{**file("a"), "kind": "other"}],
        [{"path": "a"}],
    ],
    ids=str,
)
def test_entries_that_lead_out_of_the_workspace_are_refused(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(AgentFailure) as refusal:
        check_entries(entries)
    assert refusal.value.kind == "bad_request"
    with pytest.raises(AgentFailure):
        Manifest(encoded(entries), name_of(encoded(entries)))


def test_odd_but_honest_names_are_welcome() -> None:
    check_entries([folder("..."), file(".../-rf"), file("blank and\nnewline"), file("\udcff"), link("l", "/nowhere")])


@pytest.mark.parametrize(
    "row", [["c", CHUNK + 1, 0, 0, 5, "zlib"], ["c", 5, 0, 0, CHUNK + 1, "raw"], ["c", 5, 0, -1, 5, "raw"]], ids=str
)
def test_a_chunk_larger_than_any_that_is_cut_is_refused_before_it_is_fetched(row: Row) -> None:
    data = encoded([], [row])
    with pytest.raises(AgentFailure, match="impossible chunk"):
        Manifest(data, name_of(data))


def test_a_link_in_a_folders_place_is_not_written_through(tmp_path: Path) -> None:
    work, victim = tmp_path / "work", tmp_path / "victim"
    work.mkdir()
    victim.mkdir()
    (work / "cache").symlink_to(victim)
    data = encoded([folder("cache"), file("cache/evil")], exclude=("cache",))
    with pytest.raises(AgentFailure, match="is a link"):
        bring_back(data, work)
    assert list(victim.iterdir()) == []


def test_nothing_is_brought_back_with_the_rights_of_its_owner(tmp_path: Path) -> None:
    bring_back(encoded([folder("d", 0o3755), file("d/f", 0o6755)]), tmp_path / "work")
    for path in ("d", "d/f"):
        assert stat.S_IMODE((tmp_path / "work" / path).stat().st_mode) == 0o755
