"""What an order asks for is done by the run of a workflow, never by the handler of the order.

A worker with nothing of a workflow in its memory may hear an order together with what came before it, and every worker
after it hears them one after the other (temporalio/sdk-python, issue 1591). So a handler leaves an errand, and waits
for what comes of it. The architecture tests see to it that none does more.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from temporalio import workflow

Given = ParamSpec("Given")
Outcome = TypeVar("Outcome")

KNOWS_ERRANDS = "handlers-leave-errands"


def marked() -> bool:
    """Let tasks of this run that come to nothing leave marks. False: it began before there were any.

    For the `__init__` of a workflow that hears orders and leaves no errands.
    """
    return workflow.patched(KNOWS_ERRANDS)


class _Errand:
    def __init__(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.begin = begin
        self.outcome: asyncio.Task[Any] | None = None


class Errands:
    """Each is begun as soon as it is left, and waits for no other."""

    def __init__(self) -> None:
        self.known = marked()  # False: this run goes on as it began, before there were errands
        self._left = deque[_Errand]()
        self._running = asyncio.create_task(self._run()) if self.known else None

    async def do(
        self, errand: Callable[Given, Coroutine[Any, Any, Outcome]], *args: Given.args, **kwargs: Given.kwargs
    ) -> Outcome:
        """Return, or raise, what comes of it. In runs that are older than errands the handlers do it themselves."""
        if not self.known:
            return await errand(*args, **kwargs)
        mine = _Errand(lambda: errand(*args, **kwargs))
        self._left.append(mine)
        await workflow.wait_condition(lambda: mine.outcome is not None)
        assert mine.outcome is not None, "that was waited for"
        outcome: Outcome = await mine.outcome
        return outcome

    async def _run(self) -> None:
        while True:
            await workflow.wait_condition(lambda: bool(self._left))
            while self._left:
                errand = self._left.popleft()
                errand.outcome = asyncio.create_task(errand.begin())
