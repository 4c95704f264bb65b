"""Read a workload's output, from any of its machines, dead ones included."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from temporalio.client import Client

from holdfast.client.calls import ask
from holdfast.contracts import activities, names
from holdfast.contracts.activities import ReadLogsInput, ReadLogsResult

LONG_POLL = timedelta(seconds=5)
CHUNK = 256 * 1024  # well under Temporal's 2 MiB for one payload


class LogReader:
    """One pass over a workload's output. `cursor` may be kept and given to a later reader."""

    def __init__(
        self, client: Client, name: str, *, still_running: Callable[[], Awaitable[bool]], cursor: str = ""
    ) -> None:
        self._client = client
        self._name = name
        self._still_running = still_running
        self.cursor = cursor

    async def so_far(self) -> AsyncIterator[str]:
        """What there is now, piece by piece; ends when no more is there."""
        while text := (await self._read(timedelta())).text:
            yield text

    async def follow(self) -> AsyncIterator[str]:
        """What there is and what comes, until the workload has ended and all of it was read."""
        while True:
            running = await self._still_running()  # asked before reading: the last words come before the end
            text = (await self._read(LONG_POLL if running else timedelta())).text
            if text:
                yield text
            elif not running:
                return

    async def tail(self, lines: int) -> str:
        """The last `lines` lines of what there is now."""
        kept: deque[str] = deque(maxlen=lines)
        unfinished = ""
        async for text in self.so_far():
            *whole, unfinished = (unfinished + text).split("\n")
            kept.extend(line + "\n" for line in whole)
        if unfinished:
            kept.append(unfinished)
        return "".join(kept)

    async def _read(self, wait: timedelta) -> ReadLogsResult:
        order = ReadLogsInput(workload=self._name, cursor=self.cursor, max_bytes=CHUNK, wait=wait)
        answer = await ask(
            self._client,
            activities.read_logs,
            order,
            queue=names.HOSTS_QUEUE,
            summary=f"log of {self._name}",
            within=timedelta(seconds=30) + wait,
        )
        self.cursor = answer.cursor
        return answer
