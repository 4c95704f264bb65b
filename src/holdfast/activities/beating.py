"""Tell Temporal that an activity is alive while it waits for something that says nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio import activity


@asynccontextmanager
async def beating(every: timedelta = timedelta(seconds=3)) -> AsyncIterator[None]:
    """Heartbeat while the block runs; a cancel that comes back with a beat reaches the block as usual."""
    task = asyncio.create_task(_beat(every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(every: timedelta) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(every.total_seconds())
