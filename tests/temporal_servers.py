"""Start Temporal's development server, however long a busy computer takes over it."""

from collections.abc import Awaitable, Callable
from typing import Final

from temporalio.testing import WorkflowEnvironment

_TRIES: Final = 8


async def started(start: Callable[[], Awaitable[WorkflowEnvironment]]) -> WorkflowEnvironment:
    """The SDK gives a server five seconds, in which a cold disk may not even have read its program: try again."""
    for _ in range(_TRIES - 1):
        try:
            return await start()
        except RuntimeError as err:
            if "did not start within" not in str(err):
                raise
    return await start()
