"""Keep a workload within its budgets: look at them while it has a machine, and end the work before the money ends.

It acts as an operator would, by the wish to stop, which every phase knows how to grant: the work is saved, the machine
goes, and the reason says which budget it was. A last save that outlasts the money is given up.
"""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

from holdfast.contracts.workload import Phase, StopRequest
from holdfast.policy import budget
from holdfast.workflows import steps
from holdfast.workflows.life import Life
from holdfast.workflows.wishes import Wish

_NOTHING_TO_KEEP = (Phase.WAITING, Phase.STOPPING, Phase.STOPPED, Phase.FINISHED, Phase.FAILED)
Stand = tuple[bool, str, int] | None


async def keep_budget(life: Life) -> None:
    """Until a budget is used up, or for ever. To be cancelled with the workload's end."""
    stood: Stand = None
    wait = budget.LOOK_EVERY
    while True:
        await _until_news(life, stood, wait)
        stood, life.budgets_changed = _stand(life), False
        if life.face.phase in _NOTHING_TO_KEEP:
            wait = budget.LOOK_EVERY
            continue
        word = await steps.keep_budget(life.spec.name)
        wait = word.look_again_after
        if word.used_up and life.face.phase not in _NOTHING_TO_KEEP:
            return await _end_work(life, word.used_up)


async def _until_news(life: Life, stood: Stand, wait: timedelta) -> None:
    """A machine that takes the work, or runs again, costs other money than the one before."""
    with suppress(TimeoutError):
        await workflow.wait_condition(
            lambda: life.budgets_changed or _stand(life) != stood,
            timeout=wait,
            timeout_summary="before the budget is looked at again",
        )


def _stand(life: Life) -> Stand:
    lease = life.lease
    return (life.face.phase is Phase.PAUSED, lease.label, lease.epoch) if lease else None


async def _end_work(life: Life, why: str) -> None:
    if life.wishes.stop is None:
        life.wishes.stop = StopRequest(reason=why, for_budget=True)
        life.wishes.make(Wish.STOP)
    await workflow.sleep(budget.TICK, summary="before a last save is given up, for want of money")
    life.saver.give_up()
