"""The end of the work, and STOPPING: what was done is safe before the machine goes."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.activities import MachineReport
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.workload import Phase, StopRequest, Upshot
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.life import Life
from holdfast.workflows.phases.moving import close_incident
from holdfast.workflows.phases.parting import stop_and_save

LAST_SAVES_TRIED = 5


async def work_ended(life: Life, report: MachineReport) -> None:
    """A machine that dies before the last save is a loss like any other, whatever the work's exit code was."""
    try:
        saved = await life.saver.save(SaveReason.FINISH)
        life.saved(saved)
        if life.spec.checkpoint.verify_last:
            await steps.require_sound(life.spec.name, saved)
            await steps.mark_verified(life.spec.name, saved)
    except (ApplicationError, ActivityError) as err:
        if is_cancelled_exception(err):
            raise
        return await _not_saved(
            life, f"the command ended with code {report.exit_code}; its last save fails: {words_of(err)}"
        )
    life.exit_code = report.exit_code
    life.upshot = Upshot.CODE if report.exit_code else Upshot.FINISHED
    await close_incident(life, report.last_sign)
    reason = f"the command ended with code {report.exit_code}"
    if report.exit_code == 0:
        return await life.end(Phase.FINISHED, reason)
    await life.end(Phase.FAILED, reason)
    raise ApplicationError(reason, type=ErrorType.WORK_FAILED, non_retryable=True)


async def _not_saved(life: Life, reason: str) -> None:
    """A store that is down is waited for elsewhere; what else fails over and over on a living machine will not mend."""
    if life.failed_saves >= LAST_SAVES_TRIED:
        life.upshot = Upshot.NOT_SAVED
        await life.end(Phase.FAILED, reason)
        raise ApplicationError(reason, type=ErrorType.WORK_FAILED, non_retryable=True)
    life.face.say(reason)
    with suppress(TimeoutError):
        await workflow.wait_condition(
            lambda: life.wishes.current is not None,
            timeout=life.patience_with_saves(),
            timeout_summary="before the last save is tried again",
        )
    life.suspect(reason)


async def stop(life: Life) -> None:
    request = life.wishes.stop or StopRequest()
    life.upshot = Upshot.BUDGET if request.for_budget else Upshot.ASKED
    if life.lease is not None and life.saver.attached:
        try:
            await (stop_and_save(life) if request.save else steps.stop_work(life.lease, timedelta(seconds=1)))
        except (ApplicationError, ActivityError) as err:
            if is_cancelled_exception(err):
                raise
            life.face.say(f"stopping without a last save: {words_of(err)}")
    await life.end(Phase.STOPPED, request.reason)
