"""PLACING and WAITING: open the record, find the first machine, or wait until the market has one."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.contracts.activities import OpenWorkloadInput
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.workload import Phase, Upshot
from holdfast.policy import keeping
from holdfast.policy.deadline import Use
from holdfast.workflows import changes, steps
from holdfast.workflows.failures import kind_of, words_of
from holdfast.workflows.life import Life
from holdfast.workflows.phases import meeting
from holdfast.workflows.phases.granting import grant
from holdfast.workflows.phases.searching import unless_stopped
from holdfast.workflows.releasing import release_whatever_is_open

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(minutes=5)


async def open_record(life: Life) -> None:
    """Before anything else: the epoch to count on from, the providers, and the workflow that saves."""
    run_id = workflow.info().first_execution_run_id
    opened = await steps.open_workload(OpenWorkloadInput(spec=life.spec, workdir=life.workdir, run_id=run_id))
    life.epoch, life.head = opened.epoch, opened.head
    if not life.spec.providers:
        life.spec = life.spec.model_copy(update={"providers": opened.providers})
    await life.saver.open(life.spec)
    if changes.knows("leftovers-are-released"):
        await release_whatever_is_open(life.spec.name, "left by an earlier run, which was terminated")
    life.enter(Phase.PLACING, "looking for a machine")


async def place(life: Life) -> None:
    """Search once. An empty market at the first search is an error; offers that refuse us are waited out."""
    before = life.epoch
    life.searches += 1
    if life.deadline is not None and (answer := await meeting.ask(life, using=Use.WAIT)).use is Use.WAIT:
        return life.enter(Phase.WAITING, answer.reason)
    settler = life.settler("placement", workflow.now())
    try:
        settled = await unless_stopped(life, settler, settler.on_new_machine("placement", with_state=True))
    except ActivityError as err:
        if kind_of(err) != ErrorType.BUDGET_EXCEEDED:
            raise
        life.upshot = Upshot.BUDGET
        return await life.end(Phase.STOPPED, words_of(err))
    if settler.called_off:
        life.wishes.take()
        return life.enter(Phase.STOPPING, "stopped before it ran")
    if settled:
        return await life.work_runs(
            settled.lease,
            settled.started_at,
            "placed",
            head=settled.head,
            base=settled.restored,
            phases=settled.phases,
        )
    if life.searches == 1 and life.epoch == before and settler.market_answered:
        life.upshot = Upshot.NO_MACHINE
        await life.end(Phase.FAILED, "no offer meets the spec")
        raise ApplicationError("no offer meets the spec", type=ErrorType.NO_OFFERS, non_retryable=True)
    why = "no machine could be had" if settler.market_answered else "no provider answers"
    return life.enter(Phase.WAITING, why)


async def wait_for_market(life: Life) -> None:
    """Wait longer after each search, in a history that stays short."""
    wait = min(FIRST_WAIT * life.searches, LONGEST_WAIT)
    if life.spec.policy.deadline is not None:
        wait = min(wait, keeping.review(life.spec.policy.deadline))
    none_wanted = life.deadline is not None and life.face.reason == life.deadline.reason
    why = life.face.reason if none_wanted else "no machine could be had"
    life.face.say(f"{why}; searching again in {wait.total_seconds():g} s")
    try:
        await workflow.wait_condition(
            lambda: life.wishes.current is not None, timeout=wait, timeout_summary="wait for the market"
        )
    except TimeoutError:
        if life.is_tired():
            life.continue_as_new()
        return life.enter(Phase.PLACING, "searching again")
    if wish := life.wishes.take():
        await grant(life, wish)
    return None
