"""Garbage collection in time: nothing goes early, nothing that somebody may still need goes at all."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import NoCheckpoint, StoreUnavailable
from holdfast.checkpoints.garbage import GarbageSummary, Protected
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.channel import ChannelLost, Json
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.hosts.local import LocalChannel
from tests.channels import EventfulChannel

GRACE = timedelta(hours=24)
HOUR = timedelta(hours=1)


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Depot:
    """A store with a clock, and a workspace to save into it."""

    def __init__(self, store: FolderStore, folder: Path) -> None:
        self.store = store
        self.clock = Clock()
        self.engine = CheckpointEngine(store, now=self.clock)
        self.work = folder / "work"
        self.work.mkdir()
        self.sequence = 0

    async def save(self, channel: EventfulChannel | None = None) -> CheckpointRef:
        self.sequence += 1
        return await self.engine.save(
            channel or LocalChannel(),
            workload="train",
            epoch=1,
            sequence=self.sequence,
            workspace=str(self.work),
            base_manifest=None,
            reason=SaveReason.CADENCE,
        )

    async def collect(self, *live: CheckpointRef, protected: tuple[Protected, ...] = ()) -> GarbageSummary:
        live_keys = [each.manifest for each in live]
        return await self.engine.collect_garbage(live_keys, grace=GRACE, protected=protected)


@pytest.fixture
def depot(store: FolderStore, tmp_path: Path) -> Depot:
    return Depot(store, tmp_path)


async def test_goes_only_after_two_graces_and_two_runs(depot: Depot) -> None:
    (depot.work / "a").write_bytes(os.urandom(100))
    await depot.save()
    assert (await depot.collect()).condemned == 0  # too young: a save may be under way
    depot.clock.now += GRACE + HOUR
    assert (await depot.collect()).condemned == 2
    assert (await depot.collect()).deleted == 0
    depot.clock.now += GRACE - HOUR
    assert (await depot.collect()).deleted == 0
    depot.clock.now += HOUR
    assert (await depot.collect()).deleted == 2
    assert await depot.store.list("packs/") == []
    assert await depot.store.list("gc/") == []


async def test_a_condemned_checkpoint_that_is_live_after_all_stays(depot: Depot) -> None:
    (depot.work / "a").write_bytes(os.urandom(100))
    saved = await depot.save()
    depot.clock.now += GRACE + HOUR
    await depot.collect()
    depot.clock.now += GRACE
    assert (await depot.collect(saved)).deleted == 0
    assert (await depot.engine.verify(saved.manifest)).corrupt == ()


async def test_a_machine_that_may_still_save_is_protected(depot: Depot) -> None:
    (depot.work / "a").write_bytes(os.urandom(100))
    await depot.save()
    depot.clock.now += 3 * GRACE
    assert (await depot.collect(protected=(Protected(workload="train", epoch=1),))).condemned == 0
    assert (await depot.collect(protected=(Protected(workload="train", epoch=2),))).condemned == 2


async def test_collects_nothing_when_a_committed_manifest_is_missing(depot: Depot) -> None:
    (depot.work / "a").write_bytes(os.urandom(100))
    saved = await depot.save()
    await depot.store.delete([saved.manifest])
    depot.clock.now += 3 * GRACE
    with pytest.raises(NoCheckpoint):
        await depot.collect(saved)
    assert len(await depot.store.list("packs/")) == 1


async def test_packs_of_an_interrupted_save_are_not_taken_over_once_condemned(depot: Depot) -> None:
    (depot.work / "a").write_bytes(os.urandom(100))
    await depot.save()  # never committed; the machine's journal remembers its pack
    depot.clock.now += GRACE + HOUR
    await depot.collect()
    saved = await depot.save()
    assert saved.bytes_uploaded > 100
    depot.clock.now += GRACE
    assert (await depot.collect(saved)).deleted == 2
    assert (await depot.engine.verify(saved.manifest)).corrupt == ()


async def test_a_save_whose_packs_are_condemned_meanwhile_fails_and_can_be_repeated(depot: Depot) -> None:
    (depot.work / "a").write_bytes(os.urandom(100))

    def interrupt(question: str, _before: int, _params: Json) -> None:
        if question == "stored":
            raise ChannelLost("the line went dead")

    with pytest.raises(ChannelLost):
        await depot.save(EventfulChannel(interrupt))
    pack = (await depot.store.list("packs/"))[0].key

    class Condemned(FolderStore):
        """Its packs are condemned in the instant before the manifest is written."""

        async def put(self, key: str, data: bytes) -> bool:
            if key.startswith("manifests/"):
                depot.clock.now += GRACE + HOUR
                await quick.collect_garbage([], grace=GRACE)
            return await super().put(key, data)

    quick = depot.engine
    depot.engine = CheckpointEngine(Condemned(depot.store.root), now=depot.clock)
    with pytest.raises(StoreUnavailable, match="garbage"):
        await depot.save()
    depot.engine = quick
    saved = await depot.save()
    assert pack not in (await depot.engine.read_manifest(saved.manifest)).packs
