"""What activities that wait have in common: they tell Temporal that they live, and wait no longer than they may."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from holdfast.contracts.errors import ErrorType


@asynccontextmanager
async def beating(
    every: timedelta = timedelta(seconds=3), *, details: Callable[[], Sequence[Any]] = tuple
) -> AsyncIterator[None]:
    """Heartbeat while the block runs; a cancel that comes back with a beat reaches the block as usual.

    `details` is what a next try of the activity is told, should this one end in the middle.
    """
    task = asyncio.create_task(_beat(every, details))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def waiting_since() -> float:
    """The monotonic clock's reading when the step was ordered: earlier tries of it have waited too.

    The server's clock says how long that is before this try, so ours need not agree with it.
    """
    info = activity.info()
    return time.monotonic() - (info.started_time - info.scheduled_time).total_seconds()


def hand_over_at_shutdown() -> None:
    """A watch has no end to wait for: when its worker stops, the next one takes it over at once.

    Raises:
        ApplicationError: retried at once by Temporal, elsewhere.
    """
    if activity.is_worker_shutdown():
        raise ApplicationError(
            "the worker is stopping; another one goes on",
            type=ErrorType.HANDED_OVER,
            category=ApplicationErrorCategory.BENIGN,  # no failure to log, nor to count
        )


async def _beat(every: timedelta, details: Callable[[], Sequence[Any]]) -> None:
    while True:
        activity.heartbeat(*details())
        await asyncio.sleep(every.total_seconds())
