"""PAUSING, PAUSED and RESUMING: stop the machine at its provider and start it again, state untouched."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.incidents import Cause
from holdfast.contracts.workload import Phase
from holdfast.workflows import steps
from holdfast.workflows.life import Life
from holdfast.workflows.phases.granting import grant
from holdfast.workflows.wishes import Loss


async def pause(life: Life) -> None:
    lease = life.machine()
    try:
        await steps.stop_work(lease, life.spec.stop_grace)
        await life.saver.save(SaveReason.PAUSE)
        await life.saver.detach()
        await steps.stop_instance(lease)
    except (ApplicationError, ActivityError) as err:
        return life.suspect(f"could not be paused: {err.cause or err}")
    return life.enter(Phase.PAUSED, "its disk is kept and billed")


async def sleep(life: Life) -> None:
    tired = workflow.info().is_continue_as_new_suggested
    await workflow.wait_condition(lambda: life.wishes.current is not None or tired())
    if wish := life.wishes.take():
        return await grant(life, wish)
    return await life.continue_as_new()


async def resume(life: Life) -> None:
    """The same machine if its GPU is still free, else the ladder, from the checkpoint made at the pause."""
    lease, asked = life.machine(), workflow.now()
    settler = life.settler("resume", asked)
    settled = await settler.on_same_machine(lease, "resume")
    life.epoch = settler.epoch
    if settled:
        return await life.work_runs(settled.lease, settled.started_at, "resumed", head=settled.head, base=settled.head)
    return life.lose(Loss(Cause.OUTBID, "its GPU was taken while it was paused", silent_since=asked, decided_at=asked))
