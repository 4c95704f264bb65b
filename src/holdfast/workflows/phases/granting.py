"""Take up what the operator wants, in a phase that can grant it."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.incidents import Cause
from holdfast.contracts.workload import Phase
from holdfast.workflows import steps
from holdfast.workflows.life import Life
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
    try:
        await steps.stop_work(lease, life.spec.stop_grace)
        if request.save_first:  # now, so that what the work writes on SIGTERM is saved too
            await life.saver.save(SaveReason.STOP)
    except (ApplicationError, ActivityError) as err:
        life.face.say(f"leaving without a last save: {err}")
    now = workflow.now()
    life.lose(Loss(Cause.REQUESTED, request.reason, silent_since=now, decided_at=now))
