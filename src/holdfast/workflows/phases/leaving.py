"""Leave a machine that nobody wished to leave: before it is taken, or for one that costs less."""

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.incidents import Cause
from holdfast.contracts.workload import Phase
from holdfast.policy.leaving import LastSave, last_save
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.life import Life
from holdfast.workflows.phases.parting import stop_and_save
from holdfast.workflows.wishes import Loss


async def leave(life: Life, cause: Cause, reason: str, *, until: datetime) -> None:
    """Save what the time `until` the machine is taken is enough for, then move; nothing is waited for beyond it."""
    began = workflow.now()
    life.enter(Phase.FAILING_OVER, f"{cause}: {reason}")
    plan = last_save(until - began, stop_grace=life.spec.stop_grace)
    outcome = await _save_within(life, plan) if plan.within else "there is no time for a last save"
    life.lose(Loss(cause, f"{reason}; {outcome}", silent_since=began, decided_at=began))


async def leave_for_better(life: Life, cause: Cause, reason: str) -> None:
    """All is well here: without a last save nothing is left."""
    life.enter(Phase.FAILING_OVER, f"{cause}: {reason}")
    began = workflow.now()
    try:
        await stop_and_save(life)
    except (ApplicationError, ActivityError) as err:
        if is_cancelled_exception(err):
            raise
        return life.suspect(f"not left, because the last save fails: {words_of(err)}")
    return life.lose(Loss(cause, reason, silent_since=began, decided_at=began))


async def _save_within(life: Life, plan: LastSave) -> str:
    """What came of it, in words."""
    saving = asyncio.create_task(_in_a_hurry(life, plan))
    try:
        await workflow.wait_condition(saving.done, timeout=plan.within, timeout_summary="for the last save")
        return saving.result()
    except TimeoutError:
        return f"the last save took longer than {plan.within.total_seconds():.0f} s"
    finally:
        if not saving.done():
            saving.cancel()
            steps.unheard(saving)


async def _in_a_hurry(life: Life, plan: LastSave) -> str:
    """Work that cannot be stopped is saved as it runs."""
    try:
        await steps.stop_work(life.machine(), plan.grace)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        life.face.say(f"saving without stopping the work: {words_of(err)}")
    try:
        saved = await life.saver.save(SaveReason.NOTICE)
    except (ApplicationError, ActivityError) as err:
        if is_cancelled_exception(err):
            raise
        return f"no last save: {words_of(err)}"
    return f"saved as checkpoint {saved.sequence}"
