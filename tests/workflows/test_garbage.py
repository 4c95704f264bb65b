"""Collecting garbage beside very many checkpoints: workflow, records and store are the real ones."""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from holdfast.activities.garbage import GarbageActivities
from holdfast.activities.records import RecordActivities
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import StoreUnavailable
from holdfast.checkpoints.format import ManifestKey
from holdfast.checkpoints.stores.base import StoredObject
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts import names
from holdfast.contracts.activities import CollectGarbageResult, CommitCheckpointInput
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.hosts.local import LocalChannel
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.durable import SANDBOX
from holdfast.workflows.garbage import GRACE, GarbageWorkflow
from tests.unit.records.longlived import many_checkpoints
from tests.unit.records.makers import claim, new_records, opening

pytestmark = pytest.mark.asyncio(loop_scope="session")
HOUR = timedelta(hours=1)
MANY = 25_000


class Restless(FolderStore):
    """At the next listing of manifests something happens to it, and it does not answer."""

    happens = None

    async def list(self, prefix: str) -> list[StoredObject]:
        if prefix == "manifests/" and self.happens:
            happens, self.happens = self.happens, None
            happens()
            raise StoreUnavailable("away for a while")
        return await super().list(prefix)


class Depot:
    """Records, a store with a clock, and a workspace to save into it."""

    def __init__(self, environment: WorkflowEnvironment, folder: Path) -> None:
        self.records = new_records(folder)
        self.store = Restless(folder / "store")
        self.now = datetime.now(UTC)
        self.engine = CheckpointEngine(self.store, now=lambda: self.now)
        self.work = folder / "work"
        self.work.mkdir()
        self._environment = environment

    async def save(self, sequence: int) -> CheckpointRef:
        """Store a new workspace; nothing is committed yet."""
        (self.work / "weights").write_bytes(os.urandom(100))
        return await self.engine.save(
            LocalChannel(),
            workload="train",
            epoch=1,
            sequence=sequence,
            workspace=str(self.work),
            base_manifest=None,
            reason=SaveReason.CADENCE,
        )

    def commit(self, saved: CheckpointRef, *, on: int | None) -> None:
        self.records.commit_checkpoint(CommitCheckpointInput(checkpoint=saved, expected_sequence=on))

    def multiply(self, saved: CheckpointRef, many: int) -> list[str]:
        """Commit so many checkpoints whose manifests are the same bytes; returns the keys."""
        named = ManifestKey.parse(saved.manifest)
        keys = [str(replace(named, sequence=number)) for number in range(1, many + 1)]
        for key in keys[1:]:
            os.link(self.store.root / saved.manifest, self.store.root / key)
        self.commit(saved, on=None)
        many_checkpoints(self.records, keys)
        return keys

    async def collect(self) -> CollectGarbageResult:
        client = self._environment.client
        return await client.execute_workflow(
            GarbageWorkflow.run, id=f"garbage-{uuid4().hex}", task_queue=names.CONTROL_QUEUE
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        on_record = RecordActivities(self.records, providers=(), metrics=Metrics(CollectorRegistry()))
        on_store = GarbageActivities(self.engine)
        client = self._environment.client
        with ThreadPoolExecutor(2) as threads:
            control = Worker(
                client,
                task_queue=names.CONTROL_QUEUE,
                workflows=[GarbageWorkflow],
                workflow_runner=SANDBOX,
                activities=[on_record.list_live_manifests],
                activity_executor=threads,
            )
            host = Worker(client, task_queue=names.HOSTS_QUEUE, activities=[on_store.collect_unneeded])
            async with control, host:
                yield
        self.records.close()
        await self.store.close()


@pytest_asyncio.fixture(loop_scope="session")
async def depot(temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Depot]:
    monkeypatch.setenv("HOME", str(tmp_path))  # where the agent keeps its journal
    opened = Depot(temporal, tmp_path)
    opened.records.open_workload(opening())
    opened.records.claim_epoch(claim(1))
    async with opened.serving():
        yield opened


async def test_more_live_checkpoints_than_a_payload_has_room_for_all_stay(depot: Depot) -> None:
    live = depot.multiply(await depot.save(1), MANY)
    await depot.save(MANY + 1)  # a manifest and a pack that nobody commits
    depot.now += GRACE + HOUR
    assert (await depot.collect()).condemned == 2
    depot.now += GRACE
    done = await depot.collect()
    assert (done.live, done.deleted) == (MANY, 2)
    assert {each.key for each in await depot.store.list("manifests/")} == set(live)


async def test_what_becomes_a_checkpoint_while_the_store_is_away_is_live_at_the_next_try(depot: Depot) -> None:
    late = await depot.save(1)
    depot.now += GRACE + HOUR
    assert (await depot.collect()).condemned == 2
    depot.now += GRACE
    depot.store.happens = lambda: depot.commit(late, on=None)
    assert (await depot.collect()).deleted == 0
    assert (await depot.engine.verify(late.manifest)).corrupt == ()
