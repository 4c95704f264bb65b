"""PAUSING, PAUSED and RESUMING: stop the machine at its provider, or let it go, and go on later, state untouched."""

from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import Conduct, InstanceState, Lease
from holdfast.contracts.spec import PauseMode
from holdfast.contracts.workload import PauseRequest, Phase
from holdfast.workflows import changes, disks, steps
from holdfast.workflows.failures import kind_of, words_of
from holdfast.workflows.life import Life
from holdfast.workflows.phases.granting import grant
from holdfast.workflows.phases.searching import unless_stopped
from holdfast.workflows.releasing import release
from holdfast.workflows.weighing import provider_word
from holdfast.workflows.wishes import Loss

TRY_AGAIN = timedelta(seconds=30)
_AT_THE_PROVIDER = ("start_instance", "await_running")
_FOR_A_PERSON = (ErrorType.CREDENTIALS_REFUSED, ErrorType.OUT_OF_CREDIT, ErrorType.REQUEST_REJECTED)


async def pause(life: Life) -> None:
    """Save, and stop the machine or let it go. Nothing goes before what it holds is committed, and read back."""
    if life.lease is None:
        return life.enter(Phase.PAUSED, "there was no machine")
    request = life.wishes.pause
    try:
        if request.mode is PauseMode.STOP and changes.knows("asks-before-it-pauses"):
            await steps.require_pausing(life.lease.provider)
        if request.careful:
            await life.saver.save(SaveReason.BEFORE_PAUSE, unless=life.is_wanted_awake)
    except (ApplicationError, ActivityError) as err:
        if is_cancelled_exception(err):
            raise
        return _goes_on(life, err, untouched=request.careful)
    if request.careful and life.is_wanted_awake():
        return life.enter(Phase.RUNNING, "is wanted awake again")
    try:
        await _fall_asleep(life, life.lease, request)
    except (ApplicationError, ActivityError) as err:
        if is_cancelled_exception(err):
            raise
        life.suspect(f"could not be paused: {words_of(err)}")


def _goes_on(life: Life, err: ApplicationError | ActivityError, *, untouched: bool) -> None:
    """It was not paused, and its work has not been touched."""
    why = f"could not be paused: {words_of(err)}"
    if untouched and life.is_wanted_awake():
        life.enter(Phase.RUNNING, "is wanted awake again")
    elif untouched:
        life.enter(Phase.RUNNING, why)
    else:
        life.suspect(why)


async def _fall_asleep(life: Life, lease: Lease, request: PauseRequest) -> None:
    await steps.stop_work(lease, life.spec.stop_grace)
    saved = await life.saver.save(SaveReason.BEFORE_PAUSE if request.careful else SaveReason.PAUSE)
    if request.mode is PauseMode.STOP:
        await life.saver.detach()
        await steps.stop_instance(lease)
        await life.meter(InstanceState.STOPPED)
        return life.enter(Phase.PAUSED, "its disk is kept and billed")
    await steps.require_sound(life.spec.name, saved)
    await life.saver.detach()
    await disks.finish(life.spec)
    life.disk = None
    await release(lease, f"paused, with checkpoint {saved.sequence}", Conduct.GOOD, asleep=True)
    life.lease = None
    return life.enter(Phase.PAUSED, f"saved as checkpoint {saved.sequence}, and its machine let go")


async def sleep(life: Life) -> None:
    await workflow.wait_condition(lambda: life.wishes.current is not None or life.is_tired())
    if wish := life.wishes.take():
        await grant(life, wish)
    else:
        life.continue_as_new()


async def resume(life: Life) -> None:
    """The same machine if its GPU is still free, else the ladder, from the checkpoint made at the pause.

    Where the machine was let go, a new one is looked for, for as long as it takes.
    """
    if life.lease is None:
        life.wanted_at = life.wanted_at or workflow.now()
        life.searches = max(life.searches, 1)  # it has had a machine: that there is none at the moment is no error
        return life.enter(Phase.PLACING, "looking for a machine to go on")
    lease, asked = life.machine(), workflow.now()
    settler = life.settler("resume", asked)
    try:
        settled = await unless_stopped(life, settler, settler.on_same_machine(lease, "resume"))
    except ActivityError as err:
        if kind_of(err) != ErrorType.BUDGET_EXCEEDED:
            raise
        return life.enter(Phase.PAUSED, f"could not be resumed: {words_of(err)}")
    if settler.called_off:
        life.wishes.take()
        return life.enter(Phase.STOPPING, "stopped while it was being resumed")
    if settled:
        return await life.work_runs(
            settled.lease, settled.started_at, "resumed", head=settled.head, base=settled.head, phases=settled.phases
        )
    if settler.obstacle is None:
        why = "its GPU was taken while it was paused"
        return life.lose(_loss(life, Cause.OUTBID, why, asked))
    if settler.obstacle.activity_type in _AT_THE_PROVIDER:
        return await _not_started(life, settler.obstacle, asked)
    why = f"it was started again and cannot take the work: {words_of(settler.obstacle)}"
    return life.lose(_loss(life, Cause.SILENT, why, asked))


def _loss(life: Life, cause: Cause, why: str, asked: datetime) -> Loss:
    """A recovery is timed from when the work was asked for; it had worked until the pause, and no longer."""
    worked_until = life.head.taken_at if life.head else asked
    return Loss(cause, why, silent_since=asked, decided_at=workflow.now(), worked_until=min(worked_until, asked))


async def _not_started(life: Life, obstacle: ActivityError, asked: datetime) -> None:
    """The provider did not do it. That says nothing of the machine, whose disk holds the work, unless it is gone."""
    why = words_of(obstacle)
    if changes.knows("a-paused-machine-may-be-gone"):
        word = await provider_word(life.machine())
        if word is not None and word.state is InstanceState.GONE:
            gone = "the provider no longer knows the machine, which was paused"
            life.lose(_loss(life, Cause.GONE, gone, asked))
            return
    if kind_of(obstacle) in _FOR_A_PERSON:
        life.enter(Phase.PAUSED, f"could not be resumed: {why}")
        return
    life.face.say(f"could not be started yet, trying again: {why}")
    with suppress(TimeoutError):
        await workflow.wait_condition(
            lambda: life.wishes.current is not None, timeout=TRY_AGAIN, timeout_summary="before it is started again"
        )
    if wish := life.wishes.take():
        await grant(life, wish)
    elif life.is_tired():
        life.continue_as_new()
