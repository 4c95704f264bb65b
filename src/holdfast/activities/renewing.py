"""Keep a machine's dead-man lease alive through a step that may take longer than the lease."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from holdfast.contracts.activities import LeftAlone
from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.contracts.machines import Lease
from holdfast.hosts.channel import AgentChannel

_SELDOMEST = timedelta(seconds=20)


def renewed_every(deadman: timedelta) -> timedelta:
    """Often enough that one renewal may be lost, and another come late, before the lease runs out."""
    return min(_SELDOMEST, deadman / 3)


async def begin_lease(channel: AgentChannel, lease: Lease, deadman: timedelta, alone: LeftAlone | None) -> None:
    """A lease from now on, whatever became of an earlier one. For a machine on which nothing runs yet."""
    params: dict[str, Any] = {"for_s": deadman.total_seconds()}
    if alone is not None:
        params["finish_alone"] = alone.finish
        if lease.self_destruct is not None:
            params["self_destruct"] = asdict(lease.self_destruct)
            params["end_after_s"] = alone.end_after.total_seconds()
    await channel.call("lease", params)


async def require_lease(channel: AgentChannel) -> None:
    """Raises AgentError, kind `deadman`, when the lease ran out: what had been started was stopped."""
    if (await channel.heartbeat()).deadman_at is not None:
        raise AgentError("deadman", "nobody renewed the dead-man lease in time: it ran out and stopped the work")


@asynccontextmanager
async def renewing(channel: AgentChannel, deadman: timedelta) -> AsyncIterator[None]:
    """Renew at once, and again and again while the block runs. A lease that ran out before stays so, untold."""
    task = asyncio.create_task(_renew(channel, deadman))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _renew(channel: AgentChannel, deadman: timedelta) -> None:
    with suppress(ChannelLost):  # the block uses the same conversation, and hears of its end itself
        while True:
            # An agent may complain of a full disk, and has moved the deadline all the same.
            with suppress(AgentError):
                await channel.call("renew", {"for_s": deadman.total_seconds()})
            await asyncio.sleep(renewed_every(deadman).total_seconds())
