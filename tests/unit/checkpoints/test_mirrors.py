"""Mirrors in time and in trouble: the order of copying, garbage, and stores that only one side can reach."""

import asyncio
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints import nearest
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import StoreRefused, StoreUnavailable
from holdfast.checkpoints.format import Repository
from holdfast.checkpoints.mirroring import newest_first
from holdfast.checkpoints.mirrors import Mirror, near
from holdfast.checkpoints.stores.base import SignedRequest, StoredObject
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.channel import AgentError, Answer, Json
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason
from holdfast.hosts.local import LocalChannel
from tests.weed import free_ports

GRACE = timedelta(hours=24)
HOUR = timedelta(hours=1)


class Watched(FolderStore):
    """Remembers what was done to it, and can be told to go away."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.done: list[tuple[str, str]] = []
        self.away = False

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes | None:
        self._do("get", key)
        return await super().get(key, start=start, length=length)

    async def put(self, key: str, data: bytes) -> bool:
        self._do("put", key)
        return await super().put(key, data)

    async def list(self, prefix: str) -> list[StoredObject]:
        self._do("list", prefix)
        return await super().list(prefix)

    async def delete(self, keys: Iterable[str]) -> None:
        doomed = list(keys)
        for key in doomed:
            self._do("delete", key)
        await super().delete(doomed)

    def _do(self, what: str, key: str) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.done.append((what, key))


class OutOfReach(FolderStore):
    """Its addresses lead nowhere, as seen from a machine."""

    async def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        return SignedRequest(url=f"http://127.0.0.1:{free_ports(1)[0]}/{key}")


class Mute(FolderStore):
    """Never answers a look; gives manifests if it is to be believed in."""

    talks = False

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes | None:
        return await super().get(key, start=start, length=length) if self.talks else await self._never()

    async def head(self, key: str) -> StoredObject | None:
        return await self._never()

    async def _never(self) -> None:
        await asyncio.Event().wait()


class Depot:
    """A store and a mirror with one clock, and a workspace to save."""

    def __init__(self, folder: Path, store: FolderStore, mirror: FolderStore) -> None:
        self.now = datetime.now(UTC)
        self.folder = folder
        self.store, self.mirror = store, mirror
        self.engine = CheckpointEngine(store, mirrors=[Mirror("near", mirror, ("*",))], now=lambda: self.now)
        self.work = folder / "work"
        self.work.mkdir()
        self._sequence = 0

    async def save(self, size: int = 100) -> CheckpointRef:
        """Store a new workspace."""
        self._sequence += 1
        (self.work / "weights").write_bytes(os.urandom(size))
        return await self.engine.save(
            LocalChannel(),
            workload="train",
            epoch=1,
            sequence=self._sequence,
            workspace=str(self.work),
            base_manifest=None,
            reason=SaveReason.CADENCE,
        )

    async def fill(self, *live: CheckpointRef) -> int:
        return (await self.engine.fill_mirror("near", [each.manifest for each in live])).checkpoints

    async def collect(self, *live: CheckpointRef) -> int:
        return (await self.engine.collect_garbage([each.manifest for each in live], grace=GRACE)).deleted

    async def restore(self, saved: CheckpointRef) -> RestoreSummary:
        target = str(self.folder / "target")
        done = await self.engine.restore(LocalChannel(), manifest=saved.manifest, workspace=target, region="DE")
        assert (self.folder / "target" / "weights").read_bytes() == (self.work / "weights").read_bytes()
        return done

    async def packs(self, store: FolderStore) -> set[str]:
        return {each.key for each in await FolderStore(store.root).list("packs/")}

    async def manifests(self) -> set[str]:
        return {each.key for each in await FolderStore(self.mirror.root).list("manifests/")}


@pytest.fixture
def depot(store: FolderStore, tmp_path: Path) -> Depot:
    return Depot(tmp_path, store, Watched(tmp_path / "mirror"))


# --- which one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "asked"),
    [("DE", ["eu", "all"]), ("de", ["eu", "all"]), ("US", ["all"]), ("europe-west4", ["gcp", "all"]), ("", ["all"])],
)
def test_mirrors_near_a_region_in_their_order(tmp_path: Path, region: str, asked: list[str]) -> None:
    regions = {"eu": ("DE", "FR"), "gcp": ("europe-*",), "all": ("*",)}
    mirrors = [Mirror(name, FolderStore(tmp_path / name), places) for name, places in regions.items()]
    assert [mirror.name for mirror in near(mirrors, region)] == asked


# --- copying -------------------------------------------------------------------------------------------------------


async def test_the_manifest_goes_last(depot: Depot) -> None:
    saved = await depot.save(size=40 * 1024 * 1024)
    await depot.fill(saved)
    written = [key for what, key in depot.mirror.done if what == "put"]
    assert written[0] == "repo.json"
    assert written[-1] == saved.manifest
    assert set(written[1:-1]) == await depot.packs(depot.store)


async def test_a_run_with_nothing_to_do_reads_two_things_and_writes_none(depot: Depot) -> None:
    saved = await depot.save()
    await depot.fill(saved)
    depot.mirror.done.clear()
    await depot.fill(saved)
    assert depot.mirror.done == [("get", "repo.json"), ("list", "manifests/")]


def test_the_newest_of_every_workload_comes_first() -> None:
    def key(workload: str, epoch: int, sequence: int) -> str:
        return f"manifests/{workload}/{epoch:08d}-{sequence:08d}-{'0' * 64}"

    keys = [key("a", 1, 7), key("a", 2, 8), key("b", 1, 1), key("b", 1, 2), key("b", 1, 3)]
    assert newest_first(keys) == [keys[1], keys[4], keys[0], keys[3], keys[2]]


async def test_an_unknown_mirror_is_refused_with_a_remedy(depot: Depot) -> None:
    with pytest.raises(StoreRefused, match=re.escape("HOLDFAST_MIRRORS__FAR__")):
        await depot.engine.fill_mirror("far", [])


async def test_a_checkpoint_with_something_condemned_in_the_mirror_waits(depot: Depot) -> None:
    saved = await depot.save()
    await depot.fill(saved)
    depot.now += GRACE + HOUR
    await depot.collect()  # the records have given it up, and condemn it in both stores
    await depot.mirror.delete([saved.manifest])
    done = await depot.engine.fill_mirror("near", [saved.manifest])  # it lives after all
    assert (done.lacking, done.waiting, done.checkpoints) == (1, 1, 0)
    depot.now += GRACE
    await depot.collect(saved)
    assert await depot.fill(saved) == 1
    assert (await depot.restore(saved)).store == "near"


# --- restoring -----------------------------------------------------------------------------------------------------


async def test_a_mirror_that_only_the_machine_cannot_reach_costs_no_restore(store: FolderStore, tmp_path: Path) -> None:
    depot = Depot(tmp_path, store, OutOfReach(tmp_path / "mirror"))
    saved = await depot.save(size=1024 * 1024)
    await depot.fill(saved)
    assert (await depot.restore(saved)).store == ""
    assert await depot.manifests() == {saved.manifest}  # nothing is wrong with what it holds


@pytest.mark.parametrize("talks", [True, False])
async def test_a_mirror_that_falls_silent_costs_no_restore(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, talks: bool
) -> None:
    monkeypatch.setattr(nearest, "ANSWERS_WITHIN", timedelta(milliseconds=200))
    mirror = Mute(tmp_path / "mirror")
    depot = Depot(tmp_path, store, mirror)
    saved = await depot.save(size=1024 * 1024)
    sound = CheckpointEngine(store, mirrors=[Mirror("near", FolderStore(mirror.root), ())])
    await sound.fill_mirror("near", [saved.manifest])
    mirror.talks = talks
    done = await depot.restore(saved)
    assert done.bytes_fetched >= 1024 * 1024


async def test_a_restore_from_the_mirror_goes_on_from_what_it_had_brought(depot: Depot) -> None:
    saved = await depot.save(size=60 * 1024 * 1024)
    await depot.fill(saved)
    last = sorted(await depot.packs(depot.mirror))[-1]
    path = depot.mirror.root / last
    path.write_bytes(bytes(path.stat().st_size))
    done = await depot.restore(saved)
    assert done.store == ""
    assert done.bytes_fetched < 60 * 1024 * 1024
    assert not path.exists()


async def test_a_machine_that_calls_a_sound_pack_damaged_changes_nothing_in_the_mirror(depot: Depot) -> None:
    saved = await depot.save()
    await depot.fill(saved)
    [pack] = await depot.packs(depot.mirror)

    class Liar(LocalChannel):
        """Calls the first restore damaged."""

        lied = False

        async def call(
            self, method: str, params: Json, *, answer: Answer | None = None, timeout: timedelta | None = None
        ) -> dict[str, Any]:
            if not self.lied:
                self.lied = True
                raise AgentError("corrupt", f"chunk 00 in {pack} is not what its name says")
            return await super().call(method, params, answer=answer, timeout=timeout)

    target = str(depot.folder / "target")
    done = await depot.engine.restore(Liar(), manifest=saved.manifest, workspace=target, region="DE")
    assert done.store == ""
    assert await depot.packs(depot.mirror) == {pack}
    assert await depot.manifests() == {saved.manifest}


# --- garbage -------------------------------------------------------------------------------------------------------


async def test_garbage_goes_from_the_mirror_in_the_same_two_phases(depot: Depot) -> None:
    old, new = await depot.save(), await depot.save()
    await depot.fill(old, new)
    depot.now += GRACE + HOUR
    await depot.collect(new)
    assert await depot.manifests() == {old.manifest, new.manifest}
    depot.now += GRACE
    await depot.collect(new)
    assert await depot.manifests() == {new.manifest}
    assert await depot.packs(depot.mirror) == await depot.packs(depot.store)
    assert len(await depot.packs(depot.mirror)) == 1
    assert (await depot.restore(new)).store == "near"


async def test_packs_of_a_live_checkpoint_that_is_not_copied_yet_stay_in_the_mirror(depot: Depot) -> None:
    saved = await depot.save()
    await depot.fill(saved)
    await depot.mirror.delete([saved.manifest])
    for _ in range(3):
        depot.now += GRACE + HOUR
        await depot.collect(saved)
    assert await depot.packs(depot.mirror) == await depot.packs(depot.store)


async def test_a_checkpoint_of_which_the_mirror_lost_a_pack_is_found_and_copied_anew(depot: Depot) -> None:
    saved = await depot.save()
    await depot.fill(saved)
    await depot.mirror.delete(await depot.packs(depot.mirror))
    await depot.collect(saved)
    assert await depot.manifests() == set()
    assert await depot.fill(saved) == 1
    assert (await depot.restore(saved)).store == "near"


async def test_a_mirror_that_is_away_keeps_no_garbage_in_the_main_store(depot: Depot) -> None:
    saved = await depot.save()
    await depot.fill(saved)
    depot.mirror.away = True
    depot.now += GRACE + HOUR
    assert await depot.collect() == 0
    depot.now += GRACE
    assert await depot.collect() == 2
    assert await depot.manifests() == {saved.manifest}


async def test_nothing_is_collected_in_somebody_elses_repository(depot: Depot) -> None:
    saved = await depot.save()
    await depot.mirror.put("repo.json", Repository.create().encode())
    await depot.mirror.put(f"packs/00/{'0' * 64}", b"theirs")
    for _ in range(3):
        depot.now += GRACE + HOUR
        await depot.collect(saved)
    assert await depot.packs(depot.mirror) == {f"packs/00/{'0' * 64}"}
