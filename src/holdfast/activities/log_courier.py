"""Carry a machine's log to the store while it grows, so that it outlives the machine."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from temporalio import activity

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import CheckpointError
from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.contracts.machines import Lease
from holdfast.hosts.channel import AgentChannel

_EVERY = 2.0  # seconds between two segments while there is something new
_SEGMENT = 512 * 1024  # bytes read at once


class LogCourier:
    """Works in the background while entered; leaving it carries what is left, if the machine still answers."""

    def __init__(self, engine: CheckpointEngine, channel: AgentChannel, lease: Lease) -> None:
        self._engine = engine
        self._channel = channel
        self._lease = lease
        self._task: asyncio.Task[None] | None = None
        self._offset: int | None = None  # unknown until the store was asked

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._carry_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if error is None:
            await self._carry_all()

    async def _carry_on(self) -> None:
        while True:
            await self._carry_all()
            await asyncio.sleep(_EVERY)

    async def _carry_all(self) -> None:
        """Send what is new. A store or machine that fails costs nothing: the log waits on the machine."""
        workload, epoch = self._lease.workload, self._lease.epoch
        try:
            if self._offset is None:
                self._offset = await self._engine.log_end(workload, epoch)
            while data := await self._read(self._offset):
                self._offset = await self._engine.append_log(workload, epoch, self._offset, data)
        except (CheckpointError, AgentError, ChannelLost) as err:
            activity.logger.warning("the log of %s was not carried on: %s", self._lease.label, err)

    async def _read(self, offset: int) -> bytes:
        """What comes next; a log that was cut at its size cap goes on where the machine still has it."""
        answer = await self._channel.call("read_log", {"offset": offset, "max_bytes": _SEGMENT})
        self._offset = answer["offset"]
        return str(answer["data"]).encode("latin-1")
