"""Carry a machine's log, and the numbers of its work, to the store while they grow, so that they outlive it."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from temporalio import activity

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import CheckpointError
from holdfast.contracts.channel import AgentError, ChannelLost, understood
from holdfast.contracts.hearsay import whole
from holdfast.contracts.machines import Lease
from holdfast.hosts.channel import AgentChannel

_EVERY = 2.0  # seconds between two segments while there is something new
_SEGMENT = 512 * 1024  # bytes read at once
_LARGEST = 10**15  # bytes of output; a segment's key has room for no more
_PATIENCE = timedelta(seconds=30)  # with a machine that does not answer
_LAST_WORDS = 30.0  # seconds for what is left when the watch ends


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A piece of output, and how much there is in all."""

    offset: int
    data: bytes
    size: int


@dataclass(kw_only=True)
class _Stream:
    """One of the files that are carried, and how far it was."""

    method: str  # of the agent, that reads it
    series: bool
    offset: int | None = None  # unknown until the store was asked
    unknown: bool = False  # to the agent, which is an older one


def _streams() -> list[_Stream]:
    return [_Stream(method="read_log", series=False), _Stream(method="read_series", series=True)]


class LogCourier:
    """Works in the background while entered; leaving it carries what is left, if the machine still answers."""

    def __init__(self, engine: CheckpointEngine, channel: AgentChannel, lease: Lease) -> None:
        self._engine = engine
        self._channel = channel
        self._lease = lease
        self._task: asyncio.Task[None] | None = None
        self._streams = _streams()

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
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._carry(to_the_end=False)

    async def _carry_on(self) -> None:
        while True:
            await self._carry(to_the_end=True)
            await asyncio.sleep(_EVERY)

    async def _carry(self, *, to_the_end: bool) -> None:
        """Send what is new; to the end, or what there is when we begin: a log may grow as fast as it is read.

        A store or machine that fails costs nothing: the log waits on the machine.
        """
        for stream in self._streams:
            try:
                if not stream.unknown:
                    await self._carry_one(stream, to_the_end=to_the_end)
            except (CheckpointError, AgentError, ChannelLost) as err:
                stream.unknown = isinstance(err, AgentError) and err.kind == "unknown_method"
                activity.logger.warning("%s of %s was not carried on: %s", stream.method, self._lease.label, err)

    async def _carry_one(self, stream: _Stream, *, to_the_end: bool) -> None:
        workload, epoch, series = self._lease.workload, self._lease.epoch, stream.series
        if stream.offset is None:
            stream.offset = await self._engine.log_end(workload, epoch, series=series)
        piece = await self._read(stream.method, stream.offset)
        end = piece.size
        while piece.data and (to_the_end or piece.offset < end):
            stream.offset = await self._engine.append_log(workload, epoch, piece.offset, piece.data, series=series)
            piece = await self._read(stream.method, stream.offset)

    async def _read(self, method: str, offset: int) -> _Piece:
        """What comes next; a log that was cut at its size cap goes on where the machine still has it."""
        order = {"offset": offset, "max_bytes": _SEGMENT}
        answer = await self._channel.call(method, order, timeout=_PATIENCE)
        with understood("the agent's piece of log"):
            data = str(answer["data"]).encode("latin-1")
            whole(len(data), most=_SEGMENT)
            # Never back: what came before is in the store.
            start = whole(answer["offset"], least=offset, most=_LARGEST) if data else offset
            return _Piece(offset=start, data=data, size=whole(answer["size"]))
