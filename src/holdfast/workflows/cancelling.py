"""A cancel is heard once, by whatever is awaited at that moment, and some of that swallows it."""

import asyncio

from temporalio import workflow


def heed_cancel() -> None:
    """Raise CancelledError if this workflow was asked to end and goes on all the same.

    A signal on its way to another workflow is such a swallower, and so is a wait that ends in the very same moment.
    """
    if workflow.cancellation_reason() is not None and workflow.patched("heed-swallowed-cancels"):
        raise asyncio.CancelledError
