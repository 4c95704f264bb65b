"""Activities that move bytes between machines and the store, and one that reads them back to be sure."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from time import perf_counter
from typing import Any

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.activities.renewing import begin_lease, renewing
from holdfast.activities.translation import translated
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.logs import LogPage
from holdfast.contracts import activities as acts
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason, VerifySummary
from holdfast.contracts.spec import Quiesce
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.pool import HostPool
from holdfast.telemetry.metrics import Metrics

_WHILE_IT_WORKS = (SaveReason.CADENCE, SaveReason.REQUESTED)
"""Only then is there work to hold still; a hook would find none to run beside."""


class CheckpointActivities:
    """Repeating any of them is safe: chunks are content-addressed, and a restore only fetches what is missing."""

    def __init__(self, pool: HostPool, engine: CheckpointEngine, *, metrics: Metrics) -> None:
        self._pool = pool
        self._engine = engine
        self._metrics = metrics

    @activity.defn
    async def save_checkpoint(self, order: acts.SaveInput) -> CheckpointRef:
        policy = order.spec.checkpoint
        async with (
            timed(self._metrics, "save") as moved,
            self._pool.channel(order.lease) as channel,
            # At a pause and at the end nobody watches: the machine must not think that it was forgotten.
            renewing(channel, order.spec.failover.deadman),
        ):
            beat = await channel.heartbeat()
            saved = await self._engine.save(
                channel,
                workload=order.lease.workload,
                epoch=order.lease.epoch,
                sequence=order.sequence,
                workspace=order.spec.workspace,
                base_manifest=order.base.manifest if order.base else None,
                reason=order.reason,
                exclude=policy.exclude,
                quiesce=policy.quiesce if order.reason in _WHILE_IT_WORKS else Quiesce.NONE,
                hook=policy.hook,
                progress=beat.progress,
            )
            moved.append(saved.bytes_uploaded)
        return saved

    @activity.defn
    async def restore_checkpoint(self, order: acts.RestoreInput) -> RestoreSummary:
        async with timed(self._metrics, "restore") as moved, self._pool.channel(order.lease) as channel:
            async with _leased(channel, order):
                restored = await self._engine.restore(
                    channel, manifest=order.manifest, workspace=order.workspace, region=order.lease.region
                )
            moved.append(restored.bytes_fetched)
        return restored

    @activity.defn
    async def collect_garbage(self, order: acts.CollectGarbageInput) -> acts.CollectGarbageResult:
        async with beating():
            with translated():
                done = await self._engine.collect_garbage(order.live, grace=order.grace)
        return acts.CollectGarbageResult(
            kept=done.kept, condemned=done.condemned, deleted=done.deleted, bytes_deleted=done.bytes_deleted
        )

    @activity.defn
    async def read_logs(self, order: acts.ReadLogsInput) -> acts.ReadLogsResult:
        until = perf_counter() + order.wait.total_seconds()
        with translated():
            while True:
                page = await self._engine.read_logs(order.workload, order.cursor, order.max_bytes, series=order.series)
                if page.data or perf_counter() >= until:
                    text, cursor = whole_characters(page)
                    return acts.ReadLogsResult(text=text, cursor=cursor, epoch=page.epoch)
                await asyncio.sleep(0.5)

    @activity.defn
    async def forget_logs(self, workloads: list[str]) -> int:
        async with beating():
            with translated():
                return sum([await self._engine.forget_logs(each) for each in workloads])


class VerifyActivities:
    """For the analysis workers: they read the store, and nothing else."""

    def __init__(self, engine: CheckpointEngine, *, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics

    @activity.defn
    async def verify_checkpoint(self, order: acts.VerifyInput) -> VerifySummary:
        async with beating(), timed(self._metrics, "verify") as moved:
            with translated():
                summary = await self._engine.verify(order.manifest)
            moved.append(summary.bytes_read)
        return summary


def whole_characters(page: LogPage) -> tuple[str, str]:
    """The page as text, and a cursor that leaves a character cut at its end to the next page."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(page.data)
    cut = len(decoder.getstate()[0])
    if not cut or not text:
        return page.data.decode("utf-8", "replace"), page.cursor
    epoch, _, offset = page.cursor.partition(":")
    return text, f"{epoch}:{int(offset) - cut}"


@asynccontextmanager
async def _leased(channel: AgentChannel, order: acts.RestoreInput) -> AsyncIterator[None]:
    """A lease for a machine on which nothing runs yet, kept alive while the block runs. None: of an older workflow."""
    if order.deadman is None:
        yield
        return
    await begin_lease(channel, order.lease, order.deadman, order.alone)
    async with renewing(channel, order.deadman):
        yield


@asynccontextmanager
async def timed(
    metrics: Metrics, operation: str, *, details: Callable[[], Sequence[Any]] = tuple
) -> AsyncIterator[list[int]]:
    """Heartbeat, translate errors, and count the operation with the bytes that the block put into the list."""
    began = perf_counter()
    moved: list[int] = []
    outcome = "failed"
    try:
        async with beating(details=details):
            with translated():
                yield moved
        outcome = "ok"
    finally:
        took = timedelta(seconds=perf_counter() - began)
        metrics.checkpoint(operation, outcome=outcome, took=took, moved=sum(moved))
