"""What is done about work that runs and gets nowhere."""

from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.incidents import Cause
from holdfast.contracts.spec import WhenStalled
from holdfast.contracts.workload import Phase
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.life import Life
from holdfast.workflows.phases.parting import stop_and_save
from holdfast.workflows.wishes import Loss


def was_restarted(life: Life) -> bool:
    """The work stalled before, and has made no progress since it was started again for that."""
    return life.pending is not None and life.pending.cause is Cause.STALLED


async def answer(life: Life, reason: str, *, since: datetime) -> None:
    """As the policy says; a restart that did not help is followed by a move."""
    policy = life.spec.failover.when_stalled
    if policy is WhenStalled.NOTIFY:
        life.stalled_since = since
        return life.enter(Phase.RUNNING, f"stalled: {reason}")
    leave = policy is WhenStalled.MOVE or was_restarted(life)
    life.enter(Phase.FAILING_OVER, f"{Cause.STALLED}: {reason}")
    try:
        if leave:
            await stop_and_save(life, tries=1)
        else:
            await steps.stop_work(life.machine(), life.spec.stop_grace)
    except (ApplicationError, ActivityError) as err:
        if is_cancelled_exception(err):
            raise
        life.face.say(
            f"{'leaving without a last save' if leave else 'starting it again all the same'}: {words_of(err)}"
        )
    since = max(since, life.started_at or since)  # the progress may be that of an earlier start
    return life.lose(Loss(Cause.STALLED, reason, silent_since=since, decided_at=workflow.now(), leave=leave))
