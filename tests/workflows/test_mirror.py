"""Filling a mirror: workflow, schedule, records and stores are the real ones."""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from temporalio.client import ScheduleOverlapPolicy, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from holdfast.activities.mirroring import MirrorActivities
from holdfast.activities.records import RecordActivities
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.format import Repository
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts import names
from holdfast.contracts.activities import CommitCheckpointInput, FillMirrorInput, FillMirrorResult
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.hosts.local import LocalChannel
from holdfast.settings import MirrorSettings, Settings
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.durable import SANDBOX
from holdfast.workers.standing import MIRRORED_EVERY, ensure_mirrored
from holdfast.workflows.mirror import MirrorWorkflow
from tests.unit.records.makers import claim, new_records, opening

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Depot:
    """Records, a store and its mirror, and a workspace to save."""

    def __init__(self, environment: WorkflowEnvironment, folder: Path) -> None:
        self.records = new_records(folder)
        self.store, self.mirror = FolderStore(folder / "store"), FolderStore(folder / "mirror")
        self.engine = CheckpointEngine(self.store, mirrors=[Mirror("near", self.mirror, ("DE",))])
        self.client = environment.client
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()

    async def save(self, sequence: int) -> CheckpointRef:
        (self.work / "weights").write_bytes(os.urandom(100))
        saved = await self.engine.save(
            LocalChannel(),
            workload="train",
            epoch=1,
            sequence=sequence,
            workspace=str(self.work),
            base_manifest=None,
            reason=SaveReason.CADENCE,
        )
        previous = sequence - 1 or None
        self.records.commit_checkpoint(CommitCheckpointInput(checkpoint=saved, expected_sequence=previous))
        return saved

    async def fill(self) -> FillMirrorResult:
        return await self.client.execute_workflow(
            MirrorWorkflow.run,
            FillMirrorInput(mirror="near"),
            id=f"mirror-{uuid4().hex}",
            task_queue=names.CONTROL_QUEUE,
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        metrics = Metrics(CollectorRegistry())
        on_record = RecordActivities(self.records, providers=(), metrics=metrics)
        on_store = MirrorActivities(self.engine, metrics=metrics)
        with ThreadPoolExecutor(2) as threads:
            control = Worker(
                self.client,
                task_queue=names.CONTROL_QUEUE,
                workflows=[MirrorWorkflow],
                workflow_runner=SANDBOX,
                activities=[on_record.list_live_manifests],
                activity_executor=threads,
            )
            host = Worker(self.client, task_queue=names.HOSTS_QUEUE, activities=[on_store.fill_mirror])
            async with control, host:
                yield
        self.records.close()
        await self.store.close()
        await self.mirror.close()


@pytest_asyncio.fixture(loop_scope="session")
async def depot(temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Depot]:
    monkeypatch.setenv("HOME", str(tmp_path))  # where the agent keeps its journal
    opened = Depot(temporal, tmp_path)
    opened.records.open_workload(opening())
    opened.records.claim_epoch(claim(1))
    async with opened.serving():
        yield opened


async def test_what_lives_is_copied_and_restored_from_the_mirror(depot: Depot) -> None:
    saved = [await depot.save(sequence) for sequence in (1, 2)]
    done = await depot.fill()
    assert (done.live, done.lacking, done.checkpoints, done.packs) == (2, 2, 2, 2)
    assert done.bytes_copied > 200
    assert (await depot.fill()).lacking == 0
    await depot.store.delete([each.key for each in await depot.store.list("packs/")])
    target = depot.folder / "machine"
    restored = await depot.engine.restore(
        LocalChannel(), manifest=saved[1].manifest, workspace=str(target), region="DE"
    )
    assert restored.store == "near"
    assert (target / "weights").read_bytes() == (depot.work / "weights").read_bytes()


async def test_another_repository_ends_the_run_with_the_reason(depot: Depot) -> None:
    await depot.save(1)
    await depot.mirror.put("repo.json", Repository.create().encode())
    with pytest.raises(WorkflowFailureError) as failure:
        await depot.fill()
    step = failure.value.cause
    assert isinstance(step, ActivityError) and isinstance(step.cause, ApplicationError)
    assert step.cause.type == ErrorType.CREDENTIALS_REFUSED
    assert "mirror near holds another repository" in str(step.cause)


async def test_each_mirror_has_a_schedule_and_without_mirrors_there_is_none(depot: Depot) -> None:
    name = f"near{uuid4().hex[:6]}"
    before = {each.id async for each in await depot.client.list_schedules()}
    await ensure_mirrored(depot.client, Settings(data_dir=depot.folder, mirrors={}))
    assert {each.id async for each in await depot.client.list_schedules()} == before
    mirrors = {name: MirrorSettings(path=depot.mirror.root, near="DE")}
    for _ in range(2):  # every host worker does so when it starts
        await ensure_mirrored(depot.client, Settings(data_dir=depot.folder, mirrors=mirrors))
    schedule = depot.client.get_schedule_handle(f"mirror/{name}")
    told = (await schedule.describe()).schedule
    assert told.spec.intervals[0].every == MIRRORED_EVERY
    assert told.policy.overlap is ScheduleOverlapPolicy.SKIP  # one run at a time
    await schedule.delete()
