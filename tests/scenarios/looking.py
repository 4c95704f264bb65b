"""Wait until something is so, while servers come and go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast.client.errors import HoldfastError

GLANCE = 0.1  # seconds between two looks at a status
Status = TypeVar("Status")


async def look_until(
    ask: Callable[[], Awaitable[Status]],
    reached: Callable[[Status], bool],
    what: str,
    *,
    within: float,
    is_over: Callable[[Status], bool] = lambda _: False,
) -> Status:
    """Until the status is so. Servers may be down meanwhile: then nobody knows, and we look again.

    `is_over`: of a status after which nothing else comes.
    """
    last: object = "nothing is known"
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    last = status = await ask()
                except HoldfastError as nobody_knows:
                    last = nobody_knows
                else:
                    if reached(status):
                        return status
                    assert not is_over(status), f"it ended before {what}: {status}"
                await asyncio.sleep(GLANCE)
    except TimeoutError:
        raise AssertionError(f"not within {within:g} s: {what}; last: {last}") from None
