"""Several machines are tried at once, and the first that is ready takes the work.

Holds throughout: at most one of them goes past the moment of being ready; the others are called off at that moment,
and hand over what they rented before the race returns. Tries are kept in the order in which they began: a set of
tasks has another order at each replay.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from holdfast.workflows.cancelling import to_its_end

Outcome = TypeVar("Outcome")
MOST = 4
"""Machines at once, however long it takes."""


class Race(Generic[Outcome]):
    """One race. A try is begun when there is room for it: when another one failed, or when it takes too long."""

    def __init__(self, *, width: int, hedge: timedelta | None, say: Callable[[str], None]) -> None:
        self._width = width
        self._hedge = hedge
        self._say = say
        self._winner: asyncio.Task[Outcome | None] | None = None
        self._running: list[asyncio.Task[Outcome | None]] = []

    @property
    def is_won(self) -> bool:
        """One of them is ready."""
        return self._winner is not None

    def lead(self) -> None:
        """To be called by a try whose machine is ready. Raises CancelledError when another one was first."""
        mine = next(each for each in self._running if each is asyncio.current_task())
        if self._winner is not None and self._winner is not mine:
            raise asyncio.CancelledError
        self._winner = mine
        for task in self._running:
            if task is not mine:
                task.cancel()

    async def run(self, attempts: Iterable[Coroutine[Any, Any, Outcome | None]]) -> Outcome | None:
        """What the first successful try comes to; None when there is none. An error of one ends them all."""
        coming = iter(attempts)
        try:
            while self._fill(coming):
                done, _ = await workflow.wait(
                    self._running, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    self._width += 1
                    self._say("no machine is ready yet: one more is tried beside")
                for task in done:
                    if (outcome := self._outcome(task)) is not None:
                        return outcome
            return None
        finally:
            await self._call_off()

    def _outcome(self, task: "asyncio.Task[Outcome | None]") -> Outcome | None:
        self._running.remove(task)
        if _is_called_off(task):
            return None  # another one was first
        outcome = task.result()
        if outcome is None and task is self._winner:
            self._winner = None  # it was ready, and failed after all
        return outcome

    def _fill(self, coming: "Iterator[Coroutine[Any, Any, Outcome | None]]") -> bool:
        """Begin as many tries as there is room for; whether any goes on."""
        while len(self._running) < min(self._width, MOST) and not self.is_won:
            attempt = next(coming, None)
            if attempt is None:
                break
            self._running.append(asyncio.create_task(attempt))
        return bool(self._running)

    def _patience(self) -> float | None:
        if self._hedge is None or self._width >= MOST or self.is_won:
            return None
        return self._hedge.total_seconds()

    async def _call_off(self) -> None:
        """Whatever they rented is handed over before this returns, also while we are cancelled ourselves."""
        for task in self._running:
            task.cancel()
        await to_its_end(asyncio.gather(*self._running, return_exceptions=True))


def _is_called_off(task: asyncio.Task[Any]) -> bool:
    if task.cancelled():
        return True
    err = task.exception()
    return err is not None and is_cancelled_exception(err)
