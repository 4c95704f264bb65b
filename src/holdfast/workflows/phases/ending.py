"""The end of the work, and STOPPING: what was done is safe before the machine goes."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.activities import MachineReport
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.workload import Phase, StopRequest
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.life import Life
from holdfast.workflows.phases.moving import close_incident
from holdfast.workflows.phases.parting import stop_and_save

LAST_SAVES_TRIED = 5


async def work_ended(life: Life, report: MachineReport) -> None:
    """A machine that dies before the last save is a loss like any other, whatever the work's exit code was."""
    try:
        await life.saver.save(SaveReason.FINISH)
    except ApplicationError as err:
        return await _not_saved(
            life, f"the command ended with code {report.exit_code}; its last save fails: {err.message}"
        )
    life.exit_code = report.exit_code
    await close_incident(life, report.last_sign)
    reason = f"the command ended with code {report.exit_code}"
    if report.exit_code == 0:
        return await life.end(Phase.FINISHED, reason)
    await life.end(Phase.FAILED, reason)
    raise ApplicationError(reason, type=ErrorType.WORK_FAILED, non_retryable=True)


async def _not_saved(life: Life, reason: str) -> None:
    """A store that is down is waited for elsewhere; what else fails over and over on a living machine will not mend."""
    if life.failed_saves >= LAST_SAVES_TRIED:
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
    if life.lease is not None and life.saver.attached:
        try:
            await (stop_and_save(life) if request.save else steps.stop_work(life.lease, timedelta(seconds=1)))
        except (ApplicationError, ActivityError) as err:
            if is_cancelled_exception(err):
                raise
            life.face.say(f"stopping without a last save: {words_of(err)}")
    await life.end(Phase.STOPPED, request.reason)
