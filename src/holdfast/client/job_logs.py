"""Read what a job's attempts wrote, from any of their machines, dead ones included."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from temporalio.client import Client

from holdfast.client.calls import ask
from holdfast.client.errors import UnknownWorkload
from holdfast.client.logs import CHUNK, LONG_POLL
from holdfast.client.reports import read as read_report
from holdfast.contracts import activities, names
from holdfast.contracts.activities import ReadLogsInput, ReadLogsResult
from holdfast.contracts.jobs import JobAttempt, JobStatus
from holdfast.contracts.reports import Part
from holdfast.policy.series import Piece

_LOOK_EVERY = 1.0  # seconds, while there is no attempt to read from
_ALL = ""  # the cursor before everything: where the first epoch is not known, rather too much than too little


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
            if not await self._go_to(attempt):
                continue
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
            over = attempt.ended_at is not None or status.phase.is_final
            if not await self._go_to(attempt):
                if over:
                    self._number, self._within = attempt.number + 1, ""
                else:
                    await asyncio.sleep(_LOOK_EVERY)
                continue
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

    async def _go_to(self, attempt: JobAttempt) -> bool:
        """Be where its output begins, or was read to; False while it has none."""
        if attempt.number != self._number:
            self._number, self._within = attempt.number, ""
        if not self._within:
            begins = await _beginning(self._client, attempt)
            if begins is None:
                return False
            self._within = begins
        return True

    async def _read(self, attempt: JobAttempt, wait: timedelta) -> ReadLogsResult:
        answer = await _page(self._client, attempt.workload, self._within, wait=wait)
        self._within = answer.cursor
        return answer


async def pieces_of(client: Client, status: JobStatus) -> AsyncIterator[Piece]:
    """What the work wrote of itself in numbers, by attempt and machine."""
    for attempt in status.attempts:
        by_epoch: dict[int, list[str]] = {}
        cursor = await _beginning(client, attempt)
        if cursor is None:
            continue
        while True:
            page = await _page(client, attempt.workload, cursor, series=True)
            if not page.text:
                break
            cursor = page.cursor
            by_epoch.setdefault(page.epoch or 0, []).append(page.text)
        for epoch, texts in by_epoch.items():
            yield Piece(attempt=attempt.number, epoch=epoch, text="".join(texts))


async def _beginning(client: Client, attempt: JobAttempt) -> str | None:
    """The cursor of its first epoch; None while its workload has not begun.

    Whoever submits a job under the name of one that is over has attempts of the same names, and epochs that go on.
    """
    goes_on = attempt.ended_at is None
    try:
        report = await read_report(client, attempt.workload, part=Part.LEASES)
    except UnknownWorkload:
        return None if goes_on else _ALL
    closed_at = report.closed_at
    earlier = goes_on and closed_at is not None and closed_at <= attempt.began_at
    if earlier or not report.leases:
        return None
    if report.total(Part.LEASES) > len(report.leases):
        return _ALL
    return f"{min(each.epoch for each in report.leases)}:0"


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
