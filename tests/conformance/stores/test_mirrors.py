"""Mirrors of every store: what is copied, what a restore takes from where, and what becomes of damage."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import CheckpointCorrupt, StoreRefused
from holdfast.checkpoints.format import Repository
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.stores.base import Store
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.hosts.local import LocalChannel
from tests.weed import Weed, free_ports
from tests.workspaces import MEBIBYTE, plant_nasty_tree, portrait


class Depot:
    """A store, its mirror near DE and FR, and a workspace to save."""

    def __init__(self, store: Store, mirror: Store, folder: Path) -> None:
        self.store = store
        self.mirror = mirror
        self.engine = CheckpointEngine(store, mirrors=[Mirror("near", mirror, ("DE", "F?"))])
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()
        self._restores = 0

    async def save(self, base: CheckpointRef | None = None) -> CheckpointRef:
        return await self.engine.save(
            LocalChannel(),
            workload="train",
            epoch=1,
            sequence=base.sequence + 1 if base else 1,
            workspace=str(self.work),
            base_manifest=base.manifest if base else None,
            reason=SaveReason.CADENCE,
        )

    async def restored_from(self, saved: CheckpointRef, region: str = "DE") -> str:
        """Restore on a new machine there, see that all came back, and tell from which store."""
        self._restores += 1
        target = self.folder / f"machine-{self._restores}"
        done = await self.engine.restore(LocalChannel(), manifest=saved.manifest, workspace=str(target), region=region)
        assert portrait(target) == portrait(self.work)
        return done.store

    async def a_pack(self, store: Store) -> str:
        return (await store.list("packs/"))[0].key

    async def spoil(self, store: Store, key: str) -> None:
        """Other bytes of the same size, in every chunk of it."""
        data = await store.get(key)
        assert data is not None
        await store.delete([key])
        await store.put(key, bytes(byte ^ 0xFF for byte in data))


@pytest_asyncio.fixture
async def mirror(store: Store, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A second store of the same kind, empty."""
    opened: Store
    if isinstance(store, S3Store):
        opened = S3Store(request.getfixturevalue("weed").settings(prefix=f"mirrors/{secrets.token_hex(4)}"))
    else:
        opened = FolderStore(tmp_path / "mirror")
    yield opened
    await opened.close()


@pytest.fixture
def depot(store: Store, mirror: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Depot(store, mirror, tmp_path)


async def test_a_machine_near_a_mirror_restores_from_it_and_others_from_the_main_store(depot: Depot) -> None:
    plant_nasty_tree(depot.work)
    saved = await depot.save()
    assert await depot.restored_from(saved) == ""  # it has nothing yet
    done = await depot.engine.fill_mirror("near", [saved.manifest])
    assert (done.lacking, done.checkpoints, done.packs) == (1, 1, len(await depot.store.list("packs/")))
    assert await depot.mirror.get("repo.json") == await depot.store.get("repo.json")
    assert await depot.restored_from(saved, "US") == ""
    assert await depot.restored_from(saved, "") == ""
    await depot.store.delete([each.key for each in await depot.store.list("packs/")])
    assert await depot.restored_from(saved, "DE") == "near"
    assert await depot.restored_from(saved, "fr") == "near"


async def test_a_later_run_copies_what_is_new_and_nothing_else(depot: Depot) -> None:
    plant_nasty_tree(depot.work)
    first = await depot.save()
    await depot.engine.fill_mirror("near", [first.manifest])
    assert (await depot.engine.fill_mirror("near", [first.manifest])).lacking == 0
    (depot.work / "more").write_bytes(os.urandom(1000))
    second = await depot.save(first)
    done = await depot.engine.fill_mirror("near", [first.manifest, second.manifest])
    assert (done.lacking, done.packs) == (1, 1)
    assert await depot.restored_from(second) == "near"


async def test_a_checkpoint_that_is_not_copied_yet_is_taken_in_part(depot: Depot) -> None:
    (depot.work / "base").write_bytes(os.urandom(20 * MEBIBYTE))
    first = await depot.save()
    await depot.engine.fill_mirror("near", [first.manifest])
    copied = [each.key for each in await depot.store.list("packs/")]
    (depot.work / "adapter").write_bytes(os.urandom(1000))
    second = await depot.save(first)
    await depot.store.delete(copied)
    assert await depot.restored_from(second) == "near"
    assert [each.key for each in await depot.mirror.list("manifests/")] == [first.manifest]


async def test_a_pack_that_the_mirror_lost_comes_from_the_main_store_and_is_copied_anew(depot: Depot) -> None:
    (depot.work / "weights").write_bytes(os.urandom(40 * MEBIBYTE))
    saved = await depot.save()
    await depot.engine.fill_mirror("near", [saved.manifest])
    await depot.mirror.delete([await depot.a_pack(depot.mirror)])
    assert await depot.restored_from(saved) == "near"  # all but that pack
    assert await depot.mirror.list("manifests/") == []
    done = await depot.engine.fill_mirror("near", [saved.manifest])
    assert (done.checkpoints, done.packs) == (1, 1)
    assert await depot.restored_from(saved) == "near"


async def test_a_pack_damaged_in_the_mirror_is_no_damaged_checkpoint_and_is_copied_anew(depot: Depot) -> None:
    (depot.work / "weights").write_bytes(os.urandom(40 * MEBIBYTE))
    saved = await depot.save()
    await depot.engine.fill_mirror("near", [saved.manifest])
    spoilt = await depot.a_pack(depot.mirror)
    await depot.spoil(depot.mirror, spoilt)
    assert await depot.restored_from(saved) == ""
    assert (await depot.engine.verify(saved.manifest)).corrupt == ()
    assert await depot.mirror.head(spoilt) is None
    assert (await depot.engine.fill_mirror("near", [saved.manifest])).packs == 1
    assert await depot.restored_from(saved) == "near"


async def test_a_checkpoint_damaged_in_both_is_damaged(depot: Depot) -> None:
    (depot.work / "weights").write_bytes(os.urandom(MEBIBYTE))
    saved = await depot.save()
    await depot.engine.fill_mirror("near", [saved.manifest])
    for store in (depot.store, depot.mirror):
        await depot.spoil(store, await depot.a_pack(store))
    with pytest.raises(CheckpointCorrupt):
        await depot.restored_from(saved)


async def test_a_manifest_damaged_in_the_mirror_is_read_from_the_main_store_and_copied_anew(depot: Depot) -> None:
    plant_nasty_tree(depot.work)
    saved = await depot.save()
    await depot.engine.fill_mirror("near", [saved.manifest])
    await depot.spoil(depot.mirror, saved.manifest)
    assert await depot.restored_from(saved) == "near"  # its packs are sound
    assert await depot.mirror.list("manifests/") == []
    assert (await depot.engine.fill_mirror("near", [saved.manifest])).checkpoints == 1
    assert await depot.restored_from(saved) == "near"


async def test_what_is_damaged_in_the_main_store_is_not_copied(depot: Depot) -> None:
    (depot.work / "weights").write_bytes(os.urandom(MEBIBYTE))
    saved = await depot.save()
    await depot.spoil(depot.store, await depot.a_pack(depot.store))
    done = await depot.engine.fill_mirror("near", [saved.manifest])
    assert (done.unsound, done.checkpoints) == (1, 0)
    assert await depot.mirror.list("packs/") == []
    assert await depot.mirror.list("manifests/") == []


async def test_a_pack_that_was_cut_off_in_the_mirror_is_replaced(depot: Depot) -> None:
    (depot.work / "weights").write_bytes(os.urandom(MEBIBYTE))
    saved = await depot.save()
    pack = await depot.a_pack(depot.store)
    await depot.mirror.put(pack, b"half")
    assert (await depot.engine.fill_mirror("near", [saved.manifest])).packs == 1
    assert await depot.mirror.get(pack) == await depot.store.get(pack)


async def test_a_mirror_that_holds_another_repository_is_refused_and_stays_as_it_is(depot: Depot) -> None:
    plant_nasty_tree(depot.work)
    saved = await depot.save()
    await depot.mirror.put("repo.json", Repository.create().encode())
    await depot.mirror.put("packs/theirs", b"something of theirs")
    with pytest.raises(StoreRefused, match="mirror near holds another repository"):
        await depot.engine.fill_mirror("near", [saved.manifest])
    assert [each.key for each in await depot.mirror.list("packs/")] == ["packs/theirs"]
    assert await depot.mirror.list("manifests/") == []
    assert await depot.restored_from(saved) == ""


async def test_a_mirror_that_is_away_costs_no_restore(weed: Weed, depot: Depot) -> None:
    plant_nasty_tree(depot.work)
    saved = await depot.save()
    nobody = weed.settings().model_copy(update={"endpoint": f"http://127.0.0.1:{free_ports(1)[0]}"})
    away = S3Store(nobody)
    depot.engine = CheckpointEngine(depot.store, mirrors=[Mirror("away", away, ("*",))])
    assert await depot.restored_from(saved) == ""
    await away.close()


async def test_after_a_kill_only_the_rest_is_copied(
    weed: Weed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    places = [weed.settings(prefix=f"killed-{secrets.token_hex(4)}") for _ in range(2)]
    depot = Depot(S3Store(places[0]), S3Store(places[1]), tmp_path)
    (depot.work / "weights").write_bytes(os.urandom(120 * MEBIBYTE))
    saved = await depot.save()
    everything = len(await depot.store.list("packs/"))
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "tests.conformance.stores.killed_copy", saved.manifest],
        input=json.dumps([json.loads(each.model_dump_json()) for each in places]), text=True, check=False,
        env={**os.environ, "STORE_KEYS": f"{weed.access_key} {weed.secret_key}"},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    already = len(await depot.mirror.list("packs/"))
    assert 0 < already < everything
    assert await depot.mirror.list("manifests/") == []
    assert await depot.restored_from(saved) == "near"  # what has come already
    assert len(await depot.mirror.list("packs/")) == already
    assert (await depot.engine.fill_mirror("near", [saved.manifest])).packs == everything - already
    assert await depot.restored_from(saved) == "near"
