"""Collect garbage: ask the records, page by page, which checkpoints live, and delete from the store what none needs."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client

from holdfast.activities.beating import beating
from holdfast.activities.translation import translated
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts import activities as acts
from holdfast.contracts import names


class GarbageActivities:
    """For the host workers, who hold the store's key; the control workers answer for the records."""

    def __init__(self, engine: CheckpointEngine) -> None:
        self._engine = engine

    @activity.defn
    async def collect_unneeded(self, order: acts.CollectUnneededInput) -> acts.CollectGarbageResult:
        async with beating():
            # Asked anew in each try: what became a checkpoint while the store was away for long is no longer young.
            live = [manifest async for manifest in live_manifests(activity.client())]
            with translated():
                done = await self._engine.collect_garbage(live, grace=order.grace)
        return acts.CollectGarbageResult(
            kept=done.kept,
            condemned=done.condemned,
            deleted=done.deleted,
            bytes_deleted=done.bytes_deleted,
            live=len(live),
        )


async def live_manifests(client: Client) -> AsyncIterator[str]:
    """Every manifest that the records say is a checkpoint, as the control workers tell it."""
    after: acts.CheckpointPlace | None = None
    while True:
        # Not a step of the workflow: all names together would be too much for a history.
        page = await client.execute_activity(
            acts.list_live_manifests,
            acts.ListLiveInput(after=after),
            id=f"ask/list_live_manifests/{uuid4().hex}",
            task_queue=names.CONTROL_QUEUE,
            start_to_close_timeout=timedelta(seconds=30),
            schedule_to_close_timeout=timedelta(minutes=10),
            summary="which checkpoints live",
        )
        for manifest in page.manifests:
            yield manifest
        if page.last is None:
            return
        after = page.last
