"""Processes for work that keeps a CPU busy: opened when there is some, closed when there has been none for a while.

An event loop that computes for seconds answers nobody; a process that computes may be killed, by the kernel for its
memory or by a fault in a library, and takes nobody with it.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from multiprocessing.connection import wait
from typing import Final, Generic, TypeVar

from holdfast.contracts.forecasts import HourlyPrices, RecordedForecast

Task = TypeVar("Task")
Answer = TypeVar("Answer")
REST: Final = timedelta(minutes=1)
"""Without work for so long, the processes end: an hour lies between two surveys, and each holds some 100 MB."""
WITHIN: Final = timedelta(minutes=1)
"""One task takes some milliseconds, and a cold start of a process some seconds."""
_NICE: Final = 10


class TookTooLong(Exception):
    """A task did not end, and its process was killed."""


class Fitters(Generic[Task, Answer]):
    """Does `work` on one task after another, in at most `processes` at once. For one event loop."""

    def __init__(
        self,
        work: Callable[[Task], Answer],
        *,
        processes: int,
        rest: timedelta = REST,
        within: timedelta = WITHIN,
    ) -> None:
        self._work = work
        self._processes = processes
        self._rest = rest
        self.within = within
        self._pool: ProcessPoolExecutor | None = None
        self._busy = 0
        self._closed = False
        self._closing: asyncio.TimerHandle | None = None
        self._alone = asyncio.Lock()

    async def __call__(self, task: Task) -> Answer:
        """The answer to one task.

        Raises:
            BrokenProcessPool: its process died of it.
            TookTooLong: it did not end.
            Exception: whatever the work raised.
        """
        try:
            return await self._run(task)
        except BrokenProcessPool:  # of this task or of another one: only alone does that show
            if self._closed:
                raise
            async with self._alone:
                return await self._run(task)

    async def close(self) -> None:
        """End the processes, for good; what is under way is lost."""
        self._closed = True
        if self._closing is not None:
            self._closing.cancel()
        if (pool := self._pool) is not None:
            self._pool = None
            _kill()
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    async def _run(self, task: Task) -> Answer:
        pool = self._open()
        self._busy += 1
        try:
            async with asyncio.timeout(self.within.total_seconds()):
                return await asyncio.wrap_future(pool.submit(self._work, task))
        except BrokenProcessPool:
            self._drop(pool)
            raise
        except TimeoutError as err:
            _kill()
            self._drop(pool)
            raise TookTooLong(f"no answer within {self.within.total_seconds():.0f} s") from err
        finally:
            self._busy -= 1
            if not self._busy:
                self._closing = asyncio.get_running_loop().call_later(self._rest.total_seconds(), self._idle)

    def _open(self) -> ProcessPoolExecutor:
        if self._closed:
            raise BrokenProcessPool("it is closed")
        if self._closing is not None:
            self._closing.cancel()
        if self._pool is None:
            # Not forked: a copy of a process with threads may wait for ever for a lock that one of them held.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, mp_context=context, initializer=_begin)
        return self._pool

    def _idle(self) -> None:
        if not self._busy and self._pool is not None:
            self._drop(self._pool)

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        pool.shutdown(wait=False, cancel_futures=True)
        if self._pool is pool:
            self._pool = None


def _kill() -> None:
    """End them all: nothing else in a worker has children of this kind."""
    for child in multiprocessing.active_children():
        child.kill()


def _begin() -> None:
    """In a new process: let others go first, leave Ctrl-C to the worker, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


def forecast_of(prices: HourlyPrices) -> RecordedForecast:
    """The work of analysis workers."""
    from holdfast.market.fitting import fit  # noqa: PLC0415 (numpy: only the process that computes needs it)

    return fit(prices)
