"""Take up what the operator wants, in a phase that can grant it."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.incidents import Cause
from holdfast.contracts.workload import Phase
from holdfast.workflows import changes, steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.life import Life
from holdfast.workflows.phases.parting import TRIES, stop_and_save
from holdfast.workflows.wishes import Loss, Wish


async def grant(life: Life, wish: Wish) -> None:
    match wish:
        case Wish.PAUSE:
            life.enter(Phase.PAUSING, "asked to pause")
        case Wish.RESUME:
            life.enter(Phase.RESUMING, "asked to resume")
        case Wish.FAILOVER:
            await _leave_machine(life)
        case Wish.STOP:
            life.enter(Phase.STOPPING, life.wishes.why_stop())


async def _leave_machine(life: Life) -> None:
    """The operator wants another machine: save before it goes, unless told not to."""
    lease, request = life.machine(), life.wishes.failover
    doubted = life.face.phase is Phase.SUSPECT  # then leaving it is what matters
    cause = Cause.REQUESTED if request.drill is None else Cause.DRILL
    if changes.knows("leaving-is-failing-over"):
        life.enter(Phase.FAILING_OVER, f"{cause}: {request.reason}")
    began = workflow.now()
    try:
        if request.save_first:
            await stop_and_save(life, tries=1 if doubted else TRIES)
        else:
            await steps.stop_work(lease, life.spec.stop_grace)
    except (ApplicationError, ActivityError) as err:
        if is_cancelled_exception(err):
            raise
        if request.save_first and not doubted:
            return life.suspect(f"not left, because the last save fails: {words_of(err)}")
        life.face.say(f"leaving without a last save: {words_of(err)}")
    now = workflow.now()
    return life.lose(
        Loss(
            cause,
            request.reason,
            silent_since=now if request.drill is None else began,
            decided_at=now,
            only=request.strategy,
            drill=request.drill,
        )
    )
