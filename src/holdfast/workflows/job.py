"""A job: work that runs to its end inside a deadline and a budget, and whose outputs are safe before its machine goes.

    PREPARING ──▶ QUEUED ──▶ STARTING ──▶ RUNNING ◀──▶ MOVING       any phase ──▶ STOPPING ──▶ CANCELLED | STOPPED
        │           ▲           ▲            │
        └▶ WAITING ─┘           └─ RETRYING ◀┴──▶ SUCCEEDED | FAILED

1. Bring the inputs to the store and prove them; make one checkpoint zero of them and of the job's files.
2. With `start: when_cheap`, look at prices every hour, and wait as long as a cheaper one is to be expected. Then wait
   for a place in the tenant's queue.
3. Start a workload, which is an attempt. It knows by itself how to come by a machine, how to move when that is lost,
   and how to prove what it saved before it lets the machine go.
4. When it has ended, see what follows: another attempt, or the end. At the end cut the outputs out of what was saved.

Holds throughout: at most one workload is under way, and the job is not over before that is; whatever asks for the end
is taken up in every phase.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.activities import KeepOutputsInput
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.jobs import (
    CancelJob,
    ChangeBudget,
    JobAttempt,
    JobCause,
    JobInput,
    JobOutputs,
    JobPhase,
    JobState,
    JobStatus,
    StagedInput,
    StartFrom,
    StartNow,
    Waiting,
)
from holdfast.contracts.market import AdviseStartInput, StartWord
from holdfast.contracts.workload import ReplicaWord, StopRequest, Upshot
from holdfast.policy import jobs as policy
from holdfast.workflows import attempts, steps
from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.errands import marked
from holdfast.workflows.failures import words_of
from holdfast.workflows.job_face import JobFace

ASK_AGAIN = timedelta(minutes=10)
"""For a place in the queue: one that was ended by force has forgotten who waits."""
LOOK_AGAIN = timedelta(hours=1)
"""At prices: they are on record by the hour."""
_UNDER_WAY = (JobPhase.STARTING, JobPhase.RUNNING, JobPhase.MOVING, JobPhase.PAUSED, JobPhase.STOPPING)


@workflow.defn(name=names.JOB)
class JobWorkflow:
    @workflow.init
    def __init__(self, order: JobInput) -> None:
        now = workflow.now()
        self._is_newer = marked()  # older runs go on as they began
        self._order = order
        self._spec = order.spec
        self._state = order.resume or JobState(
            phase=JobPhase.PREPARING, reason="begins", since=now, submitted_at=now, budget=order.spec.budget
        )
        self._face = JobFace(order.spec.name, order.resume)
        self._cause: JobCause | None = None
        self._outputs: JobOutputs | None = None
        self._ended_at: datetime | None = None
        self._cancel: CancelJob | None = None
        self._start_now: StartNow | None = None
        self._word: ReplicaWord | None = None  # the newest of the attempt that is under way
        self._has_news = False  # of the attempt
        self._child: attempts.Child | None = None
        self._told: bool | None = None  # to save before its end; None: the attempt was not told to end
        self._budget_told = self._state.budget
        self._said: JobStatus | None = None  # to the owner

    @workflow.run
    async def run(self, order: JobInput) -> JobStatus:
        telling = asyncio.create_task(self._keep_owner_told()) if order.owner else None
        try:
            while not self._state.phase.is_final:
                await self._turn()
        except FailureError as err:
            await to_its_end(self._give_up(words_of(err)))
        finally:
            if telling is not None:
                telling.cancel()
        if order.owner:
            await attempts.tell(order.owner, self.progress())
        await workflow.wait_condition(workflow.all_handlers_finished)
        if workflow.cancellation_reason() is not None and self._state.phase is JobPhase.CANCELLED:
            raise asyncio.CancelledError
        return self.progress()

    async def _turn(self) -> None:
        """One phase. A cancel from outside is a wish like any other: it is seen by the next."""
        try:
            await self._phase()()
        except (asyncio.CancelledError, ActivityError) as err:
            if not is_cancelled_exception(err):
                raise

    def _phase(self) -> Callable[[], Awaitable[None]]:
        if self._state.phase in _UNDER_WAY:
            return self._guard
        return {
            JobPhase.PREPARING: self._prepare,
            JobPhase.WAITING: self._wait_for_price,
            JobPhase.QUEUED: self._wait_for_place,
            JobPhase.RETRYING: self._wait_to_retry,
        }[self._state.phase]

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.update
    async def cancel(self, request: CancelJob) -> JobStatus:
        """End the job. Answers when that has begun; a second one with `save=False` hurries the first."""
        self._cancel = request
        await workflow.wait_condition(lambda: self._state.stopping is not None or self._state.phase.is_final)
        return self.progress()

    @cancel.validator
    def _can_cancel(self, request: CancelJob) -> None:
        self._refuse_if_over()

    @workflow.signal
    def cancel_job(self, request: CancelJob) -> None:
        """The same, for workflows."""
        self._cancel = request

    @workflow.update
    async def start_now(self, request: StartNow) -> JobStatus:
        """Wait for no cheaper hour any more. Answers when it waits for none."""
        self._start_now = request
        await workflow.wait_condition(lambda: self._state.phase not in (JobPhase.PREPARING, JobPhase.WAITING))
        return self.progress()

    @start_now.validator
    def _can_start_now(self, request: StartNow) -> None:
        if self._state.phase not in (JobPhase.PREPARING, JobPhase.WAITING):
            raise ApplicationError(
                f"it waits for no cheaper hour: it is {self._state.phase}", type=ErrorType.INVALID_STATE
            )

    @workflow.update
    def change_budget(self, change: ChangeBudget) -> JobStatus:
        """For the whole job. The attempt that is under way hears of it next."""
        self._state = replace(self._state, budget=change.amount)
        self._has_news = True
        return self.progress()

    @change_budget.validator
    def _can_change_budget(self, change: ChangeBudget) -> None:
        self._refuse_if_over()
        if change.amount is not None and change.amount < 0:
            raise ApplicationError("a budget is not below zero", type=ErrorType.REQUEST_REJECTED)

    @workflow.signal
    def admitted(self) -> None:
        """There is a place for it."""
        self._state = replace(self._state, admitted=True)

    @workflow.signal
    def replica_said(self, word: ReplicaWord) -> None:
        """The attempt that is under way is in another phase."""
        if self._state.attempts and word.workload == self._state.attempts[-1].workload:
            self._word, self._has_news = word, True

    @workflow.query
    def progress(self) -> JobStatus:
        return self._status(self._state)

    def _status(self, state: JobState) -> JobStatus:
        spec = self._spec
        return JobStatus(
            name=spec.name,
            phase=state.phase,
            reason=state.reason,
            since=state.since,
            submitted_at=state.submitted_at,
            tenant=spec.tenant,
            priority=spec.queue.priority,
            fairness_key=spec.fairness_key,
            cause=self._cause,
            exit_code=next((each.exit_code for each in reversed(state.attempts) if each.exit_code is not None), None),
            attempts=state.attempts,
            errors=policy.errors(state.attempts),
            lease=state.lease,
            inputs=state.staged,
            outputs=self._outputs,
            budget=state.budget,
            spent=policy.spent(state.attempts),
            ends_by=policy.deadline_of(spec, state.submitted_at),
            again_at=state.again_at,
            advice=state.advice,
            starts_by=policy.latest_start(spec, state.submitted_at),
            place=self._order.place,
            ended_at=self._ended_at,
        )

    def _refuse_if_over(self) -> None:
        if self._state.phase.is_final:
            raise ApplicationError(f"it is over already: {self._state.phase}", type=ErrorType.INVALID_STATE)

    # --- phases --------------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """A source that says no, or has other files than are pinned, ends the job before anything is rented."""
        if self._wants_to_stop():
            return await self._end_as_wanted()
        self._enter(JobPhase.PREPARING, "its inputs are fetched" if self._spec.inputs else "begins")
        if self._spec.inputs or not self._is_newer:  # else it waits for a place at once, and that is written down
            await to_its_end(self._record())
        preparing = asyncio.create_task(self._made_ready())
        try:
            await self._until(preparing.done)
        finally:
            preparing.cancel()
            (outcome,) = await asyncio.gather(preparing, return_exceptions=True)
        if self._wants_to_stop():
            return await self._end_as_wanted()
        if isinstance(outcome, ActivityError):
            return await self._end(JobPhase.FAILED, JobCause.INPUT, words_of(outcome))
        if isinstance(outcome, BaseException):
            raise outcome
        staged, zero = outcome
        self._state = replace(self._state, staged=staged, zero=zero)
        if policy.latest_start(self._spec, self._state.submitted_at) is None:
            self._enter(JobPhase.QUEUED, "waits for a place")
        else:
            self._enter(JobPhase.WAITING, "looks at prices")
        return await to_its_end(self._record())

    async def _made_ready(self) -> tuple[tuple[StagedInput, ...], CheckpointRef | None]:
        local = {each.at: each for each in self._order.local}
        name, lacking = self._spec.name, [each for each in self._spec.inputs if each.at not in local]
        fetched = await asyncio.gather(*(steps.stage_input(name, each) for each in lacking))
        known = local | {each.at: each for each in fetched}
        staged = tuple(known[each.at] for each in self._spec.inputs)
        if not staged:
            return (), self._order.workdir
        return staged, await steps.lay_out(name, self._order.workdir, staged)

    async def _wait_for_price(self) -> None:
        """One look, and the hour after it. Whatever is not known is no reason to wait."""
        if self._wants_to_stop():
            return await self._end_as_wanted()
        latest = policy.latest_start(self._spec, self._state.submitted_at)
        if self._start_now is not None:
            return await self._wait_no_longer(self._start_now.reason)
        if latest is None or workflow.now() >= latest:
            return await self._wait_no_longer("it could wait no longer")
        asked = asyncio.create_task(self._asked_whether_to_start(latest))
        try:
            await self._until(lambda: asked.done() or self._start_now is not None)
        finally:
            heard = asked.done()
            asked.cancel()
            (advice,) = await asyncio.gather(asked, return_exceptions=True)
        if self._wants_to_stop() or self._start_now is not None or not heard:
            return None  # the next turn sees to it
        if not isinstance(advice, StartWord):
            if isinstance(advice, BaseException) and not isinstance(advice, ActivityError):
                raise advice
            return await self._wait_no_longer(f"prices cannot be looked at: {words_of(advice)}")
        again_at = min(workflow.now() + LOOK_AGAIN, latest) if advice.wait else None
        self._state = replace(self._state, advice=advice, again_at=again_at)
        if again_at is None:
            return await self._wait_no_longer(advice.reason)
        self._enter(JobPhase.WAITING, advice.reason)
        await to_its_end(self._record())
        if self._is_tired():
            workflow.continue_as_new(self._next_run())
        await self._until(
            lambda: self._start_now is not None,
            within=again_at - workflow.now(),
            summary="before it looks at prices again",
        )
        return None

    async def _asked_whether_to_start(self, latest: datetime) -> StartWord:
        wanted = self._spec.resources
        return await steps.advise_start(
            AdviseStartInput(
                gpu=wanted.gpu or "",
                kind=wanted.terms,
                latest=latest,
                providers=self._spec.providers,
                regions=wanted.regions,
            )
        )

    async def _wait_no_longer(self, why: str) -> None:
        self._state = replace(self._state, again_at=None)
        self._enter(JobPhase.QUEUED, f"waits for a place; {why}")
        return await to_its_end(self._record())

    async def _wait_for_place(self) -> None:
        spec, place = self._spec, self._order.place
        if not self._state.admitted:
            wanted = Waiting(
                job=spec.name,
                priority=spec.queue.priority,
                key=spec.fairness_key,
                weight=spec.queue.weight,
                since=self._state.since,
                array=place.array if place else "",
                at_once=place.at_once if place else None,
            )
            await to_its_end(attempts.enqueue(spec.tenant, wanted))
            await self._until(lambda: self._state.admitted, within=ASK_AGAIN, summary="before it asks again")
        if self._wants_to_stop():
            return await self._end_as_wanted()
        if self._state.admitted:
            self._enter(JobPhase.STARTING, "may run")
        elif self._is_tired():
            workflow.continue_as_new(self._next_run())
        return None

    async def _guard(self) -> None:
        """One attempt, from its start to its end."""
        if self._child is None and not self._is_under_way():
            if self._wants_to_stop():
                return await self._end_as_wanted()
            if (taken := await to_its_end(self._begin_attempt())) is not None:
                why = f"a workload named {taken} runs already, which is not this job's; stop it"
                return await to_its_end(self._end(JobPhase.FAILED, JobCause.INTERNAL, why))
        await self._until_over(self._watched())
        return await to_its_end(self._settle())

    def _is_under_way(self) -> bool:
        return bool(self._state.attempts) and self._state.attempts[-1].ended_at is None

    async def _begin_attempt(self) -> str | None:
        """The name that it would have, where that is somebody else's."""
        state, number = self._state, len(self._state.attempts) + 1
        spec = policy.workload_of(
            self._spec,
            number,
            submitted_at=state.submitted_at,
            budget=policy.budget_left(state.budget, state.attempts),
            place=self._order.place,
        )
        begun = JobAttempt(number=number, workload=spec.name, began_at=workflow.now())
        zero = self._begins_with()
        self._word, self._told, self._budget_told = None, None, state.budget
        self._state = replace(state, attempts=(*state.attempts, begun), opened=False, again_at=None)
        self._child = await attempts.start(spec, self._spec.name, zero)
        if self._child is None:
            self._state = replace(self._state, attempts=state.attempts)
            return spec.name
        self._enter(JobPhase.STARTING, f"attempt {number} begins")
        return None

    def _begins_with(self) -> CheckpointRef | None:
        """A machine that was lost costs no work; after an error it is as the spec wants."""
        last = self._state.attempts[-1] if self._state.attempts else None
        if last is None or last.head is None:
            return self._state.zero
        anew = last.upshot is not Upshot.LOST and self._spec.retries.start_from is StartFrom.BEGINNING
        return self._state.zero if anew else last.head

    def _watched(self) -> Callable[[], bool]:
        """Whether the workload is over, said or not: one that is ended by force says nothing."""
        child = self._child
        if child is not None:
            return lambda: self._has_last_word() or child.done()
        workload = names.workload_id(self._state.attempts[-1].workload)
        ended = asyncio.create_task(steps.until_ended((workload,)))  # of an earlier run: nobody holds it any more
        steps.unheard(ended)
        return lambda: self._has_last_word() or ended.done()

    def _has_last_word(self) -> bool:
        return self._word is not None and self._word.upshot is not None

    async def _until_over(self, over: Callable[[], bool]) -> None:
        while not over():
            self._has_news = False
            self._show_word()
            await to_its_end(self._tell_attempt())
            if over():
                return
            if self._is_tired():
                workflow.continue_as_new(self._next_run())
            await self._until(lambda: over() or self._has_news, told=self._told)

    def _show_word(self) -> None:
        if (word := self._word) is None:
            return
        self._state = replace(self._state, opened=True, lease=word.lease)
        if (phase := policy.phase_of(word.phase)) is not None:
            self._enter(phase, word.reason)

    async def _tell_attempt(self) -> None:
        """What is wanted of its end, and what is left of its money. That it hears once it has opened its record."""
        workload = self._state.attempts[-1].workload
        self._take_wish()
        if self._state.stopping is not None and self._told is not self._state.saves:
            self._told = self._state.saves
            await attempts.end(workload, StopRequest(reason=self._state.why_stopping, save=self._state.saves))
        if self._state.opened and self._budget_told != self._state.budget:
            self._budget_told = self._state.budget
            before = self._state.attempts[:-1]
            await attempts.change_budget(workload, policy.budget_left(self._state.budget, before))

    async def _settle(self) -> None:
        """The attempt is over: what it came to, what it cost, and what follows."""
        last, word = self._state.attempts[-1], self._word
        upshot = word.upshot if word and word.upshot else Upshot.UNFORESEEN
        ended = replace(
            last,
            ended_at=workflow.now(),
            upshot=upshot,
            exit_code=word.exit_code if word else None,
            reason=word.reason if word and word.upshot else "its workload was ended by force",
            losses=word.incidents if word else 0,
            head=word.head if word else None,
            cost=await steps.cost_of_attempt(last.workload),
        )
        self._child = None
        self._state = replace(self._state, attempts=(*self._state.attempts[:-1], ended), lease=None)
        self._take_wish()
        found = policy.verdict(self._state.attempts, stopping=self._state.stopping, retries=self._spec.retries)
        if found.phase is JobPhase.RETRYING:
            again_at = workflow.now() + found.wait
            self._state = replace(self._state, again_at=again_at)
            self._enter(JobPhase.RETRYING, f"attempt {ended.number}: {ended.reason}")
            return await self._record()
        assert found.cause is not None, "an end has one"
        stopped = found.cause is self._state.stopping
        return await self._end(found.phase, found.cause, self._state.why_stopping if stopped else ended.reason)

    async def _wait_to_retry(self) -> None:
        left = (self._state.again_at or workflow.now()) - workflow.now()
        if left > timedelta():
            await self._until(lambda: False, within=left, summary="before the next attempt")
        if self._wants_to_stop():
            return await self._end_as_wanted()
        if workflow.now() >= (self._state.again_at or workflow.now()):
            self._enter(JobPhase.STARTING, "the next attempt")
        elif self._is_tired():
            workflow.continue_as_new(self._next_run())
        return None

    # --- the end -------------------------------------------------------------------------------------------------

    def _wish(self) -> tuple[JobCause, str, bool] | None:
        """Why it should end now, if it should, and whether what it has done is saved first."""
        if self._cancel is not None:
            return JobCause.ASKED, self._cancel.reason, self._cancel.save
        if workflow.cancellation_reason() is not None:
            return JobCause.ASKED, "cancelled", True
        stopped_at = policy.stopped_at(self._spec, self._state.submitted_at)
        if stopped_at is not None and workflow.now() >= stopped_at:
            return JobCause.LATE, f"it was to be over by {stopped_at:%Y-%m-%d %H:%M:%S} UTC", True
        return None

    def _wants_to_stop(self) -> bool:
        self._take_wish()
        return self._state.stopping is not None

    def _take_wish(self) -> None:
        """The first reason stands; that nothing is to be saved may still come."""
        if (wish := self._wish()) is None:
            return
        cause, why, saves = wish
        if self._state.stopping is None:
            self._state = replace(self._state, stopping=cause, why_stopping=why, saves=saves)
        elif not saves:
            self._state = replace(self._state, saves=False)

    async def _until(
        self,
        happened: Callable[[], bool],
        *,
        within: timedelta | None = None,
        summary: str = "until it is late",
        told: bool | None = None,
    ) -> None:
        """Wait for that, for a wish to end it that is news, or for so long.

        `told`: what the attempt knows of its end already; then only a wish to end without a save is news.
        """
        stopped_at = policy.stopped_at(self._spec, self._state.submitted_at)
        late_in = None if stopped_at is None or self._state.stopping else stopped_at - workflow.now()
        limits = [each for each in (within, late_in) if each is not None]
        is_tired = self._is_tired()  # else whoever waits for something in a tired run would not wait at all

        def wish_is_news() -> bool:
            if told is not None:
                return self._cancel is not None and not self._cancel.save and told
            return self._cancel is not None or workflow.cancellation_reason() is not None

        try:
            await workflow.wait_condition(
                lambda: happened() or wish_is_news() or (not is_tired and self._is_tired()),
                timeout=max(min(limits), timedelta(milliseconds=1)) if limits else None,
                timeout_summary=summary,
            )
        except TimeoutError:
            return

    async def _end_as_wanted(self) -> None:
        """There is no workload: nothing is to be saved, and nothing to be let go."""
        cause = self._state.stopping or JobCause.ASKED
        phase = JobPhase.CANCELLED if cause is JobCause.ASKED else JobPhase.STOPPED
        await to_its_end(self._end(phase, cause, self._state.why_stopping))

    async def _give_up(self, why: str) -> None:
        """Whatever it was that nobody foresaw, no machine is left behind."""
        if self._is_under_way():
            await attempts.end(self._state.attempts[-1].workload, StopRequest(reason=why))
        await self._end(JobPhase.FAILED, JobCause.INTERNAL, why)

    async def _end(self, phase: JobPhase, cause: JobCause, reason: str) -> None:
        """Give the place back, keep what there is, write it down; only then say that it is over."""
        await attempts.leave_queue(self._spec.tenant, self._spec.name)
        try:
            self._outputs = await self._kept_outputs()
        except ActivityError as err:
            if phase is JobPhase.SUCCEEDED:
                phase, cause = JobPhase.FAILED, JobCause.STORE
            reason = f"{reason}; its outputs cannot be kept: {words_of(err)}"
        if phase is JobPhase.SUCCEEDED and self._outputs is not None and self._outputs.missing:
            lacking = ", ".join(self._outputs.missing)[:300]
            phase, cause = JobPhase.FAILED, JobCause.OUTPUT
            reason = f"{reason}; and there is no {lacking}"
        self._cause, self._ended_at = cause, workflow.now()
        final = replace(self._state, phase=phase, reason=reason, since=workflow.now(), lease=None, again_at=None)
        await steps.record_job(self._status(final), self._spec, [self._outputs.manifest] if self._outputs else [])
        self._state = final
        self._face.show(self._state)

    async def _kept_outputs(self) -> JobOutputs | None:
        """Of the newest attempt that saved something; what it began with is none of its outputs."""
        saved = [each for each in self._state.attempts if each.head and each.head.reason is not SaveReason.WORKDIR]
        if not saved or saved[-1].head is None:
            return None
        return await steps.keep_outputs(
            KeepOutputsInput(
                job=self._spec.name,
                attempt=saved[-1].number,
                head=saved[-1].head,
                patterns=self._spec.outputs,
                inputs=tuple(each.at for each in self._spec.inputs),
            )
        )

    # --- what others see -----------------------------------------------------------------------------------------

    def _enter(self, phase: JobPhase, reason: str) -> None:
        since = self._state.since if phase is self._state.phase else workflow.now()
        self._state = replace(self._state, phase=phase, reason=reason, since=since)
        self._face.show(self._state)

    async def _record(self) -> None:
        zero = [self._state.zero.manifest] if self._state.zero else []
        given = [each.manifest for each in self._order.local]
        files = [self._order.workdir.manifest] if self._order.workdir else []
        await steps.record_job(self.progress(), self._spec, zero or [*files, *given])

    async def _keep_owner_told(self) -> None:
        """For ever; to be cancelled with the end, of which the owner is told last."""
        while True:
            await workflow.wait_condition(lambda: self._said is None or self._said.phase is not self._state.phase)
            self._said = self.progress()
            await attempts.tell(self._order.owner, self._said)

    def _is_tired(self) -> bool:
        return workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()

    def _next_run(self) -> JobInput:
        return replace(self._order, resume=replace(self._state, lines=self._face.lines))
