"""Read what a job's attempts wrote, from any of their machines, dead ones included."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from temporalio.client import Client

from holdfast.client.calls import ask
from holdfast.client.logs import CHUNK, LONG_POLL
from holdfast.contracts import activities, names
from holdfast.contracts.activities import ReadLogsInput, ReadLogsResult
from holdfast.contracts.jobs import JobAttempt, JobStatus
from holdfast.policy.series import Piece

_LOOK_EVERY = 1.0  # seconds, while there is no attempt to read from


class JobLogReader:
    """One pass over a job's output. `cursor` may be kept and given to a later reader."""

    def __init__(self, client: Client, status: Callable[[], Awaitable[JobStatus]], *, cursor: str = "") -> None:
        self._client = client
        self._status = status
        number, _, within = cursor.partition("/")
        self._number = int(number) if number.isdecimal() else 1
        self._within = within

    @property
    def cursor(self) -> str:
        """`<attempt>/<its own cursor>`."""
        return f"{self._number}/{self._within}"

    async def so_far(self) -> AsyncIterator[str]:
        """What there is now, piece by piece; ends when no more is there."""
        for attempt in (await self._status()).attempts:
            if attempt.number < self._number:
                continue
            self._go_to(attempt)
            while text := (await self._read(attempt, timedelta())).text:
                yield text

    async def follow(self) -> AsyncIterator[str]:
        """What there is and what comes, until the job has ended and all of it was read."""
        while True:
            status = await self._status()  # asked before reading: the last words come before the end
            attempt = next((each for each in status.attempts if each.number >= self._number), None)
            if attempt is None:
                if status.phase.is_final:
                    return
                await asyncio.sleep(_LOOK_EVERY)
                continue
            self._go_to(attempt)
            over = attempt.ended_at is not None or status.phase.is_final
            text = (await self._read(attempt, timedelta() if over else LONG_POLL)).text
            if text:
                yield text
            elif over:
                self._number, self._within = attempt.number + 1, ""

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

    def _go_to(self, attempt: JobAttempt) -> None:
        if attempt.number != self._number:
            self._number, self._within = attempt.number, ""

    async def _read(self, attempt: JobAttempt, wait: timedelta) -> ReadLogsResult:
        answer = await _page(self._client, attempt.workload, self._within, wait=wait)
        self._within = answer.cursor
        return answer


async def pieces_of(client: Client, status: JobStatus) -> AsyncIterator[Piece]:
    """What the work wrote of itself in numbers, by attempt and machine."""
    for attempt in status.attempts:
        by_epoch: dict[int, list[str]] = {}
        cursor = ""
        while True:
            page = await _page(client, attempt.workload, cursor, series=True)
            if not page.text:
                break
            cursor = page.cursor
            by_epoch.setdefault(page.epoch or 0, []).append(page.text)
        for epoch, texts in by_epoch.items():
            yield Piece(attempt=attempt.number, epoch=epoch, text="".join(texts))


async def _page(
    client: Client, workload: str, cursor: str, *, wait: timedelta = timedelta(), series: bool = False
) -> ReadLogsResult:
    order = ReadLogsInput(workload=workload, cursor=cursor, max_bytes=CHUNK, wait=wait, series=series)
    what = "numbers" if series else "log"
    return await ask(
        client,
        activities.read_logs,
        order,
        queue=names.HOSTS_QUEUE,
        summary=f"{what} of {workload}",
        within=timedelta(seconds=30) + wait,
    )
