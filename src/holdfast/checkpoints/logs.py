"""Output of the work, kept in segments whose keys carry their epoch and first offset."""

from dataclasses import dataclass

from holdfast.checkpoints.format import LOGS
from holdfast.checkpoints.stores.base import Store


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


class LogBook:
    """The segments of all workloads in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def append(self, workload: str, epoch: int, offset: int, data: bytes) -> int:
        """See `CheckpointEngine.append_log`."""
        if not data:
            return offset
        key = f"{LOGS}{workload}/{epoch:08d}/{offset:016d}"
        if await self._store.put(key, data):
            return offset + len(data)
        # An earlier try got through, perhaps with less: what stands there counts, and the rest follows it.
        found = await self._store.head(key)
        return offset + (found.size if found else 0)

    async def end(self, workload: str, epoch: int) -> int:
        """See `CheckpointEngine.log_end`."""
        return max((each.end for each in await self._segments(workload) if each.epoch == epoch), default=0)

    async def read(self, workload: str, cursor: str, max_bytes: int) -> LogPage:
        """See `CheckpointEngine.read_logs`. Raises ValueError for a cursor that is not one of ours."""
        epoch, offset = _parse(cursor)
        segments = sorted(await self._segments(workload))
        ahead = [each for each in segments if (each.epoch, each.end) > (epoch, offset)]
        if not ahead:
            return LogPage(data=b"", cursor=cursor, epoch=segments[-1].epoch if segments else None)
        if ahead[0].epoch != epoch:
            epoch, offset = ahead[0].epoch, 0
        data = bytearray()
        for segment in ahead:
            if segment.epoch != epoch or len(data) >= max_bytes:
                break
            if segment.end <= offset:  # two couriers cut the same output in different places
                continue
            offset = max(offset, segment.offset)  # a gap is output that no machine had time to send
            piece = await self._piece(segment, offset - segment.offset, max_bytes - len(data))
            data += piece
            offset += len(piece)
        return LogPage(data=bytes(data), cursor=f"{epoch}:{offset}", epoch=epoch)

    async def _piece(self, segment: _Segment, skip: int, limit: int) -> bytes:
        return await self._store.get(segment.key, start=skip, length=min(segment.size - skip, limit)) or b""

    async def _segments(self, workload: str) -> list[_Segment]:
        prefix = f"{LOGS}{workload}/"
        found = []
        for stored in await self._store.list(prefix):
            epoch, _, offset = stored.key.removeprefix(prefix).partition("/")
            found.append(_Segment(int(epoch), int(offset), stored.size, stored.key))
        return found


def _parse(cursor: str) -> tuple[int, int]:
    if not cursor:
        return -1, 0
    epoch, _, offset = cursor.partition(":")
    return int(epoch), int(offset)
