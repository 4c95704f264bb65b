"""The queue of a tenant's jobs: as many run at a time as may, and who goes next is fair.

1. A job asks for a place, and waits for a word.
2. `policy/fair_queue` says who goes when a place is free; the job is told.
3. A job that is over, or wants to run no more, gives its place back. Of one that was ended by force a look tells.

Holds throughout: no more run than may, a job that asks again loses nothing, and the queue outlives all of its jobs.
"""

import asyncio
from datetime import timedelta
from itertools import groupby

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from holdfast.contracts import names
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.jobs import MOST_AT_ONCE, QueueInput, QueueStatus, Waiting
from holdfast.policy import fair_queue
from holdfast.workflows import steps
from holdfast.workflows.errands import marked

LOOK_AGAIN = timedelta(minutes=10)
"""For jobs that were ended by force, while others wait for their places."""
_SHOWN = 20


@workflow.defn(name=names.JOB_QUEUE)
class JobQueueWorkflow:
    @workflow.init
    def __init__(self, order: QueueInput) -> None:
        self._is_newer = marked()  # older runs go on as they began
        self._tenant = order.tenant
        self._state = order.resume
        self._news = True
        # Who wants to run, and who does not any more, in the order of their words.
        self._heard: list[Waiting | str] = []
        self._again: set[str] = set()  # jobs that may run and have not heard it

    @workflow.run
    async def run(self, order: QueueInput) -> None:
        while True:
            self._news = False
            self._take_words()
            await self._admit()
            self._paint()
            if self._is_tired():
                workflow.continue_as_new(QueueInput(tenant=self._tenant, resume=self._state))
            if not await self._waited():
                await self._forget_gone()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.signal
    def enqueue(self, job: Waiting) -> None:
        """A job wants to run. One that may already has not heard it, and is told again."""
        self._heard.append(job)
        self._news = True

    @workflow.signal
    def leave(self, job: str) -> None:
        """A job is over, or wants to run no more."""
        self._heard.append(job)
        self._news = True

    @workflow.update
    def set_limit(self, at_once: int) -> QueueStatus:
        """How many may run at a time from now on. Those that run are left alone."""
        self._state = fair_queue.limited(self._state, at_once)
        self._news = True
        return self.status()

    @set_limit.validator
    def _can_be_limited(self, at_once: int) -> None:
        if not 1 <= at_once <= MOST_AT_ONCE:
            message = f"between 1 and {MOST_AT_ONCE} jobs may run at a time, not {at_once}"
            raise ApplicationError(message, type=ErrorType.REQUEST_REJECTED)

    @workflow.query
    def status(self) -> QueueStatus:
        return QueueStatus(
            tenant=self._tenant,
            at_once=self._state.at_once,
            running=tuple(each.job for each in self._state.admitted),
            waiting=fair_queue.in_order(self._state, workflow.now())[:MOST_AT_ONCE],
            waits=len(self._state.waiting),
            done=self._state.done,
        )

    # --- phases --------------------------------------------------------------------------------------------------

    def _take_words(self) -> None:
        """Words of a kind that came together are taken together: there may be a thousand."""
        heard, self._heard = self._heard, []
        for leaves, words in groupby(heard, key=lambda each: isinstance(each, str)):
            if leaves:
                gone = [each for each in words if isinstance(each, str)]
                self._state = fair_queue.done(self._state, gone, workflow.now())
                self._again -= set(gone)
            else:
                wanting = [each for each in words if isinstance(each, Waiting)]
                admitted = {each.job for each in self._state.admitted}
                self._again |= {each.job for each in wanting if each.job in admitted}
                now, by_charge = workflow.now(), not self._is_newer
                self._state = fair_queue.enqueue(self._state, wanting, now, by_charge=by_charge)

    async def _admit(self) -> None:
        """Tell those that may go. One that cannot be told is over."""
        self._state, going = fair_queue.admit(self._state, workflow.now())
        told = [each.job for each in going] + sorted(self._again)
        self._again.clear()
        for job, heard in zip(told, await asyncio.gather(*map(_tell, told)), strict=True):
            if not heard:
                self.leave(job)

    async def _waited(self) -> bool:
        """Until there is news; False: for so long that somebody may have been ended by force."""
        others_wait = bool(self._state.waiting) and bool(self._state.admitted)
        try:
            await workflow.wait_condition(
                lambda: self._news,
                timeout=LOOK_AGAIN if others_wait else None,
                timeout_summary="before it is looked whether all that run do run",
            )
        except TimeoutError:
            return False
        return True

    async def _forget_gone(self) -> None:
        running = [each.job for each in self._state.admitted]
        try:
            gone = await steps.gone_jobs(running)
        except ActivityError as err:
            workflow.logger.warning("nobody could tell which jobs run: %s", err.cause or err)
            return
        for job in gone:
            self.leave(job)

    def _is_tired(self) -> bool:
        """What is news by then is looked at by the next run, which begins with a look."""
        return (
            workflow.info().is_continue_as_new_suggested()
            and workflow.all_handlers_finished()
            and not (self._again or self._heard)
        )

    def _paint(self) -> None:
        state = self._state
        lines = [
            f"## jobs of {self._tenant}: {len(state.admitted)} of {state.at_once} run, {len(state.waiting)} wait, "
            f"{state.done} done",
            "",
            *(f"- {each.job} ({each.key}), since {each.since:%H:%M:%S}" for each in state.admitted[:_SHOWN]),
        ]
        workflow.set_current_details("\n".join(lines))


async def _tell(job: str) -> bool:
    try:
        await workflow.get_external_workflow_handle(names.job_id(job)).signal("admitted")
    except FailureError:
        return False
    return True
