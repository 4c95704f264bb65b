"""Meet a deadline: ask the policy on what the work should run, and rent accordingly."""

from contextlib import suppress
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.machines import Lease, Terms
from holdfast.contracts.spec import DeadlineSpec
from holdfast.contracts.workload import DeadlineState
from holdfast.policy import keeping, leaving
from holdfast.policy.deadline import Answer, Holds, Use
from holdfast.workflows import changes
from holdfast.workflows.life import Life
from holdfast.workflows.ranking import best_below
from holdfast.workflows.releasing import release


async def ask(life: Life, *, using: Use) -> Answer:
    """What the work should run on now; machines of that kind are searched for from here on."""
    wanted, state = _kept(life)
    spot_up = using is Use.SPOT or await _spot_is_up(life, using)
    now = workflow.now()
    state = replace(state, seen=keeping.saw(state.seen, at=now, up=spot_up))
    answer = keeping.answer(life.spec, wanted, state, keeping.At(now, life.saved_work(), using, spot_up))
    again = now + keeping.review(wanted) if answer.holds is Holds.REVIEW else None
    life.deadline = replace(state, next_review=again, slack=answer.slack, reason=answer.reason)
    life.wanted = answer.use
    if answer.use is not Use.WAIT:
        life.spec = keeping.with_terms(life.spec, answer.use)
    return answer


async def turns(life: Life) -> str:
    """Why to leave the machine for one of another kind; "": it is kept.

    What is missing may be no more than a save: then that is all it takes.
    """
    using = Use.SPOT if life.machine().terms is Terms.INTERRUPTIBLE else Use.ON_DEMAND
    answer = await ask(life, using=using)
    if using is Use.SPOT and answer.use is not using:
        try:
            await life.saver.save(SaveReason.REQUESTED)
        except ApplicationError as err:
            life.face.say(f"no save to gain slack by: {err.message}")
        answer = await ask(life, using=using)
    return answer.reason if answer.use is not using else ""


async def until_wanted(life: Life, lost: Lease) -> bool:
    """After a loss, wait while the policy wants no machine, or a stop ends the wait; whether the lost one is let go."""
    released = False
    while (answer := await ask(life, using=Use.WAIT)).use is Use.WAIT and life.wishes.stop is None:
        if not released:
            await release(lost, "lost, and none is wanted for a while")
            released = True
        life.face.say(answer.reason)
        wanted, _ = _kept(life)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: life.wishes.stop is not None,
                timeout=keeping.review(wanted),
                timeout_summary="until the deadline is looked at again",
            )
    return released


async def _spot_is_up(life: Life, using: Use) -> bool:
    """Whether an interruptible machine that meets the spec can be had now; if nobody can tell, it cannot.

    Not one for which a machine on demand would be left for nothing, and not the one that was lost.
    """
    spot = keeping.with_terms(life.spec, Use.SPOT)
    limit, avoid = spot.price.max_hourly, frozenset[str]()
    if life.lease is not None and changes.fewer_steps():
        avoid = frozenset((life.lease.machine_id,))
        if using is Use.ON_DEMAND:
            limit = min(limit, life.lease.hourly * leaving.CLEARLY_CHEAPER)
    return await best_below(spot, limit, avoid=avoid) is not None


def _kept(life: Life) -> tuple[DeadlineSpec, DeadlineState]:
    wanted, state = life.spec.policy.deadline, life.deadline
    assert wanted is not None and state is not None, "only a workload with a deadline comes here"
    return wanted, state
