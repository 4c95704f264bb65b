"""A rented machine is a stranger: what it may ask for, and what is believed of its answers."""

import os
from collections.abc import Iterable
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints import wire
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import StoreRefused
from holdfast.checkpoints.saving import LARGEST_PACK_LIST
from holdfast.checkpoints.serving import MOST_ADDRESSES, MOST_PACKS, confirm, get_addresses, present, put_addresses
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.channel import AgentError, Answer, Json
from holdfast.contracts.checkpoints import SaveReason
from tests.channels import EventfulChannel

LIFE = timedelta(minutes=1)
PACK = f"packs/ab/ab{'0' * 62}"


@pytest.mark.parametrize(
    ("key", "size"),
    [("repo.json", 10), (f"packs/cd/ab{'0' * 62}", 10), ("manifests/w/1-1-x", 10), (PACK, 0), (PACK, 2**40)],
)
async def test_addresses_are_for_packs_of_a_sane_size_only(store: FolderStore, key: str, size: int) -> None:
    with pytest.raises(AgentError):
        await put_addresses(store, [{"key": key, "size": size, "md5": ""}], LIFE)


async def test_nobody_gets_an_address_to_replace_a_pack(store: FolderStore) -> None:
    await store.put(PACK, b"0123")
    given = await put_addresses(store, [{"key": PACK, "size": 4, "md5": ""}], LIFE)
    assert given["addresses"] == {PACK: {"present": True}}
    with pytest.raises(StoreRefused):
        await put_addresses(store, [{"key": PACK, "size": 5, "md5": ""}], LIFE)


async def test_a_restore_reads_the_packs_of_its_own_manifest_only(store: FolderStore) -> None:
    with pytest.raises(AgentError):
        await get_addresses(store, [{"key": PACK}], {"packs/other"}, LIFE)


async def test_a_pack_counts_as_present_at_its_full_size_only(store: FolderStore) -> None:
    await store.put(PACK, b"0123")
    assert await present(store, [{"key": PACK, "size": 4}]) == [PACK]
    assert await present(store, [{"key": PACK, "size": 5}, {"key": "repo.json", "size": 1}]) == []


async def test_nobody_asks_for_more_packs_at_once_than_an_agent_would(store: FolderStore) -> None:
    many = [{"key": PACK, "size": 1, "md5": ""}] * (MOST_ADDRESSES + 1)
    with pytest.raises(AgentError, match=f"{MOST_ADDRESSES} are the most"):
        await put_addresses(store, many, LIFE)
    with pytest.raises(AgentError, match=f"{MOST_ADDRESSES} are the most"):
        await get_addresses(store, many, {PACK}, LIFE)
    assert await confirm(store, many, ()) == {"present": []}
    with pytest.raises(AgentError, match=f"{MOST_PACKS} are the most"):
        await confirm(store, many * (MOST_PACKS // MOST_ADDRESSES), ())


class LyingChannel(EventfulChannel):
    """Its agent claims that packs were stored which were not, or other things than were asked."""

    def __init__(self, questions: Iterable[tuple[str, Json]], *, during: str = "upload") -> None:
        super().__init__()
        self._lies = questions
        self._during = during

    async def call(
        self, method: str, params: Json, *, answer: Answer | None = None, timeout: timedelta | None = None
    ) -> dict[str, Any]:
        if method != self._during:
            return await super().call(method, params, answer=answer, timeout=timeout)
        assert answer is not None
        for question, asked in self._lies:
            await answer(question, asked)
        return {"packs": 1, "bytes": 1, "resumed": 0, "changed": [], "unstable": [], "scan": "s"}


@pytest.mark.parametrize(
    "lies",
    [
        [],
        [("get_urls", {"objects": [{"key": PACK}]})],
        [("stored", {"pack": {"key": "repo.json", "size": 100}, "blob": ""})],
        [("stored", {"pack": {"key": PACK, "size": 100}, "blob": "".join(wire.cut([[1, 2]]))})],
        [("stored", {"pack": {"key": PACK, "size": 100}, "blob": "".join(wire.cut([" " * LARGEST_PACK_LIST]))})],
    ],
    ids=["says nothing", "asks what it may not", "names no pack", "says nonsense of a pack", "sends a bomb"],
)
async def test_a_lying_agent_gets_no_manifest(store: FolderStore, tmp_path: Path, lies: list[tuple[str, Json]]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a").write_bytes(os.urandom(10))
    engine = CheckpointEngine(store)
    with pytest.raises(AgentError):
        await save(engine, LyingChannel(lies), work)
    assert await engine.catalog() == []


@pytest.mark.parametrize(
    "lies",
    [
        repeat(("scanned", {"blob": ""})),
        [("scanned", {"blob": "A" * (wire.LONGEST_PAGE + 4)})],
        [("scanned", {"blob": wire.cut([])[0][:-4]})],
    ],
    ids=["has no end", "sends a page too long", "breaks off"],
)
async def test_a_list_of_files_that_no_agent_would_send_is_refused(
    store: FolderStore, tmp_path: Path, lies: Iterable[tuple[str, Json]]
) -> None:
    with pytest.raises(AgentError):
        await save(CheckpointEngine(store), LyingChannel(lies, during="scan"), tmp_path)


async def save(engine: CheckpointEngine, channel: LyingChannel, work: Path) -> None:
    await engine.save(
        channel,
        workload="train",
        epoch=1,
        sequence=1,
        workspace=str(work),
        base_manifest=None,
        reason=SaveReason.CADENCE,
    )
