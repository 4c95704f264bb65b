"""No more moves in a day than the policy allows: what is lost so often has something that a move does not mend."""

from contextlib import suppress
from dataclasses import replace

from temporalio import workflow

from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import Lease
from holdfast.workflows import changes
from holdfast.workflows.life import DAY, Life
from holdfast.workflows.releasing import release
from holdfast.workflows.wishes import Loss, Wish

_WANTED = (Cause.REQUESTED, Cause.DRILL, Cause.DEADLINE)  # on purpose, and not for nothing
_IN_PLACE = (Cause.REBOOTED, Cause.STALLED)  # the machine goes on, which is no move


async def hold_back(life: Life, lost: Lease, loss: Loss) -> Loss | None:
    """Wait until the policy allows another move, or a person wants it or a stop. None: it allows one now.

    Returns the loss as it is to be answered then, its machine let go; a person may have said by which strategy.

    Nothing bills meanwhile, and nothing saved is lost.
    """
    in_place = loss.cause in _IN_PLACE and not loss.leave
    if in_place or loss.cause in _WANTED or len(life.moves_of_a_day()) < life.spec.failover.per_day:
        return None
    if not changes.knows("moves-are-counted"):
        return None
    await release(lost, f"lost: {loss.cause}")
    life.holding = True
    try:
        while not _wanted(life) and len(moves := life.moves_of_a_day()) >= life.spec.failover.per_day:
            goes_on = moves[0] + DAY
            life.enter(life.face.phase, _why(len(moves), goes_on.strftime("%Y-%m-%d %H:%M")))
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: _wanted(life), timeout=goes_on - workflow.now(), timeout_summary="the moves of a day"
                )
    finally:
        life.holding = False
    if life.wishes.current is Wish.FAILOVER:
        life.wishes.take()
        loss = replace(loss, only=life.wishes.failover.strategy)
    return loss


def _wanted(life: Life) -> bool:
    return life.wishes.current in (Wish.FAILOVER, Wish.STOP)


def _why(moves: int, goes_on: str) -> str:
    counted = f"{moves} move{'s' if moves > 1 else ''} in 24 hours"
    return f"{counted}, as many as the policy allows: goes on at {goes_on} UTC, or by `holdfast failover`"
