"""A cancel is heard once, by whatever is awaited at that moment, and some of that swallows it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow

Outcome = TypeVar("Outcome")


def heed_cancel() -> None:
    """Raise CancelledError if this workflow was asked to end and goes on all the same.

    A signal on its way to another workflow is such a swallower, and so is a wait that ends in the very same moment.
    """
    if workflow.cancellation_reason() is not None and workflow.patched("heed-swallowed-cancels"):
        raise asyncio.CancelledError


async def to_its_end(step: Coroutine[Any, Any, Outcome] | asyncio.Future[Outcome]) -> Outcome:
    """A cancel waits for the answer: a machine that is rented while nobody listens would be found by nobody."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
