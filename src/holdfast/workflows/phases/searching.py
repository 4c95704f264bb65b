"""Search for a machine, with an ear for the operator's stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from temporalio import workflow

from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.life import Life
from holdfast.workflows.settling import Settled, Settler


async def unless_stopped(life: Life, settler: Settler, search: Coroutine[Any, Any, Settled | None]) -> Settled | None:
    """The outcome of a search; None, and `settler.called_off`, when a stop came first. A cancel is passed on.

    Called off, the settler gives back what it is renting. What works already becomes the workload's lease: whoever
    ends the workload lets it go like any other machine.
    """
    task = asyncio.create_task(search)
    try:
        await workflow.wait_condition(lambda: task.done() or life.wishes.stop is not None)
        if task.done():
            return task.result()
    except asyncio.CancelledError:
        await _call_off(life, settler, task)
        raise
    finally:
        life.epoch = max(life.epoch, settler.epoch)
    await _call_off(life, settler, task)
    return None


async def _call_off(life: Life, settler: Settler, task: "asyncio.Task[Settled | None]") -> None:
    settler.call_off()
    task.cancel()
    await to_its_end(_keep_what_works(life, settler, task))


async def _keep_what_works(life: Life, settler: Settler, task: "asyncio.Task[Settled | None]") -> None:
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    life.epoch = max(life.epoch, settler.epoch)
    if isinstance(outcome, Settled):
        life.lease = outcome.lease
