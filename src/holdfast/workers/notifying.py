"""Tell what happened to the receiver that the settings name, until it has heard."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx

from holdfast.contracts.notifications import Notification
from holdfast.policy.delivering import next_try
from holdfast.records.errors import RecordsError
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.sending import send

EVERY = timedelta(seconds=2)
AT_A_TIME = 20
_PRUNED_EVERY = timedelta(hours=1)
_ERROR_KEPT = 200  # characters
log = logging.getLogger("holdfast.worker")


@asynccontextmanager
async def deliver_notifications(
    records: Records, receiver: tuple[str, str], metrics: Metrics, *, every: timedelta = EVERY
) -> AsyncIterator[None]:
    """Deliver while the block runs to a receiver, an address and its secret.

    Several workers share the work: each try is one worker's.
    """
    task = asyncio.create_task(_deliver_for_ever(records, receiver, metrics, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _deliver_for_ever(records: Records, receiver: tuple[str, str], metrics: Metrics, every: timedelta) -> None:
    pruned: datetime | None = None
    async with httpx.AsyncClient() as http:
        while True:
            try:
                for told in await asyncio.to_thread(records.due_notifications, AT_A_TIME):
                    await _try(http, records, receiver, metrics, told)
                if pruned is None or datetime.now(UTC) - pruned > _PRUNED_EVERY:
                    await asyncio.to_thread(records.prune_notifications)
                    pruned = datetime.now(UTC)
            except RecordsError as err:
                log.warning("notifications wait for the records: %s", err)
            await asyncio.sleep(every.total_seconds())


async def _try(
    http: httpx.AsyncClient, records: Records, receiver: tuple[str, str], metrics: Metrics, told: Notification
) -> None:
    if not await asyncio.to_thread(records.claim_notification, told):
        return  # another worker has it
    error = (await send(http, receiver, told))[:_ERROR_KEPT]
    tries, now = told.tries + 1, datetime.now(UTC)
    again = next_try(made_at=told.made_at, tries=tries, now=now, chance=random.random()) if error else None  # noqa: S311
    await asyncio.to_thread(records.settle_notification, told.number, error=error, next_at=again)
    outcome = "delivered" if not error else "failed" if again else "given_up"
    metrics.notification(told.kind, outcome)
    if error:
        fate = f"tried again at {again:%H:%M:%S} UTC" if again else "given up"
        log.warning("%s was not delivered (try %d, %s): %s", told.event_id, tries, error, fate)
