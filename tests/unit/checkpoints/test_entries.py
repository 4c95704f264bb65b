"""What a machine says stands in its workspace is checked before it becomes a checkpoint."""

from typing import Any

import pytest

from holdfast.checkpoints.format import check_entries
from holdfast.hosts.agent import plan
from holdfast.hosts.agent.failures import AgentFailure


def file(path: str) -> dict[str, Any]:
    return {"path": path, "kind": "file"}


def folder(path: str) -> dict[str, Any]:
    return {"path": path, "kind": "dir"}


def link(path: str) -> dict[str, Any]:
    return {"path": path, "kind": "link"}


@pytest.mark.parametrize(
    "entries",
    [
        [folder("/home"), file("/home/x")],
        [file("/etc/passwd")],
        [file("../x")],
        [folder("a"), file("a/../b")],
        [file("a//b")],
        [file("")],
        [file("a/b")],
        [link("a"), folder("a"), file("a/evil")],
        [file("a"), file("a")],
        [file("a\0b")],
        [{"path": "a", "kind": "device"}],
        [folder(".holdfast-staging")],
    ],
    ids=str,
)
def test_neither_side_takes_entries_that_lead_out_of_a_workspace(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="cannot stand"):
        check_entries(entries)
    with pytest.raises(AgentFailure):
        plan.check_entries(entries)


def test_both_sides_take_a_workspace_as_it_is() -> None:
    entries = [folder("a"), file("a/b"), link("a/c"), file("..d"), file("-rf"), file("é")]
    check_entries(entries)
    plan.check_entries(entries)
