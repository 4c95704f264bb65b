"""Output of the work, kept in segments whose keys carry their epoch and first offset."""

import asyncio
from dataclasses import dataclass

from holdfast.checkpoints.format import LOGS
from holdfast.checkpoints.stores.base import Store

_AT_ONCE = 64
"""Pieces of one page, read side by side: quiet work makes a thousand small ones, too many for one after another."""


@dataclass(frozen=True, kw_only=True)
class LogPage:
    """A piece of output. `cursor` asks for what comes after it."""

    data: bytes
    cursor: str
    epoch: int | None  # None: there is no output yet


@dataclass(frozen=True, order=True)
class _Segment:
    epoch: int
    offset: int
    size: int
    key: str

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True)
class _Piece:
    key: str
    skip: int  # of the segment
    length: int
    end: int  # in the epoch's output


class LogBook:
    """The segments of all workloads in one store, below one prefix."""

    def __init__(self, store: Store, prefix: str = LOGS) -> None:
        self._store = store
        self._prefix = prefix

    async def append(self, workload: str, epoch: int, offset: int, data: bytes) -> int:
        """See `CheckpointEngine.append_log`."""
        if not data:
            return offset
        key = f"{self._prefix}{workload}/{epoch:08d}/{offset:016d}"
        if await self._store.put(key, data):
            return offset + len(data)
        # An earlier try got through, perhaps with less: what stands there counts, and the rest follows it.
        found = await self._store.head(key)
        return offset + (found.size if found else 0)

    async def end(self, workload: str, epoch: int) -> int:
        """See `CheckpointEngine.log_end`."""
        return max((each.end for each in await self._segments(workload) if each.epoch == epoch), default=0)

    async def forget(self, workload: str) -> int:
        """See `CheckpointEngine.forget_logs`."""
        segments = await self._segments(workload)
        await self._store.delete(each.key for each in segments)
        return len(segments)

    async def read(self, workload: str, cursor: str, max_bytes: int) -> LogPage:
        """See `CheckpointEngine.read_logs`. Raises ValueError for a cursor that is not one of ours."""
        epoch, offset = _parse(cursor)
        segments = sorted(await self._segments(workload))
        ahead = [each for each in segments if (each.epoch, each.end) > (epoch, offset)]
        if not ahead:
            return LogPage(data=b"", cursor=cursor, epoch=segments[-1].epoch if segments else None)
        if ahead[0].epoch != epoch:
            epoch, offset = ahead[0].epoch, 0
        pieces = _cut([each for each in ahead if each.epoch == epoch], offset, max_bytes)
        read = await asyncio.gather(*map(self._piece, pieces))
        return LogPage(data=b"".join(read), cursor=f"{epoch}:{pieces[-1].end if pieces else offset}", epoch=epoch)

    async def _piece(self, piece: _Piece) -> bytes:
        return await self._store.get(piece.key, start=piece.skip, length=piece.length) or b""

    async def _segments(self, workload: str) -> list[_Segment]:
        prefix = f"{self._prefix}{workload}/"
        found = []
        for stored in await self._store.list(prefix):
            epoch, _, offset = stored.key.removeprefix(prefix).partition("/")
            found.append(_Segment(int(epoch), int(offset), stored.size, stored.key))
        return found


def _cut(segments: list[_Segment], offset: int, room: int) -> list[_Piece]:
    """What to read, in order, of one epoch's output: at most so many bytes, and pieces."""
    pieces: list[_Piece] = []
    for segment in segments:
        if room <= 0 or len(pieces) == _AT_ONCE:
            break
        if segment.end <= offset:  # two couriers cut the same output in different places
            continue
        start = max(offset, segment.offset)  # a gap is output that no machine had time to send
        length = min(segment.end - start, room)
        pieces.append(_Piece(segment.key, start - segment.offset, length, start + length))
        offset, room = start + length, room - length
    return pieces


def _parse(cursor: str) -> tuple[int, int]:
    if not cursor:
        return -1, 0
    epoch, _, offset = cursor.partition(":")
    return int(epoch), int(offset)
