"""Before a machine is left on purpose: end the work, and save what it has written until its end."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.checkpoints import SaveReason
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of
from holdfast.workflows.life import Life
from holdfast.workflows.weighing import answers_again

TRIES = 5
FIRST_WAIT = timedelta(seconds=1)


async def stop_and_save(life: Life, *, tries: int = TRIES) -> None:
    """Stop the work, then save. What fails is tried again while the machine answers.

    Raises:
        ApplicationError, ActivityError: there will be no last save: the machine is lost, each try failed, or the
            operator does not want to wait for it any more.
    """
    wait = FIRST_WAIT
    for _ in range(tries - 1):
        try:
            return await _once(life)
        except (ApplicationError, ActivityError) as err:
            if is_cancelled_exception(err) or not await _may_try_again(life):
                raise
            life.face.say(f"no last save yet, trying again: {words_of(err)}")
        await workflow.sleep(wait, summary="before the last save is tried again")
        wait *= 2
    return await _once(life)


async def _once(life: Life) -> None:
    await steps.stop_work(life.machine(), life.spec.stop_grace)
    life.saved(await life.saver.save(SaveReason.STOP))  # now, so that what the work writes on SIGTERM is saved too


async def _may_try_again(life: Life) -> bool:
    given_up = life.saver.is_given_up
    silence = life.spec.failover.silence
    return not given_up() and await answers_again(life.machine(), silence=silence, hurry=given_up)
