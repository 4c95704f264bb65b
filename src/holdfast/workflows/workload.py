"""The guardian of one workload, from the first rent to the last destroy.

    PLACING ──▶ RUNNING ──▶ FINISHED | FAILED
                 ▲ │ ▲
                 │ │ └──── RESUMING ◀── PAUSED ◀── PAUSING
                 │ ▼
      FAILING_OVER ◀── SUSPECT                     any phase ──▶ STOPPING ──▶ STOPPED

1. Open the record and place the work on a first machine.
2. Guard it: a watch that ends, a word from the provider or a wish of the operator is what wakes us.
3. Weigh evidence before believing in a loss; answer a loss with one `failover` child.
4. At the end save, and let the machine go; only then say that it is over.

Holds throughout: at most one lease is current, and it is `self._lease`; every machine that was ever rented is in the
hands of a `release` workflow before this one ends; a wish is taken up in the phase that can grant it.

This file is longer than most because it is the one place where the phases of a life can be read in order.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError

from holdfast.contracts import names
from holdfast.contracts.activities import MachineReport, OpenWorkloadInput
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import FailoverInput, FailoverResult
from holdfast.contracts.incidents import Cause, Incident, Judgement, Reach, Verdict
from holdfast.contracts.machines import Instance, InstanceState, Lease
from holdfast.contracts.workload import (
    Ack,
    Event,
    FailoverRequest,
    Phase,
    SaveAnswer,
    StopRequest,
    WorkloadInput,
    WorkloadResult,
    WorkloadState,
    WorkloadStatus,
)
from holdfast.policy import verdicts
from holdfast.workflows import steps
from holdfast.workflows.face import Face
from holdfast.workflows.saver import Saver
from holdfast.workflows.settling import Settled, Settler, release
from holdfast.workflows.weighing import gather_evidence
from holdfast.workflows.wishes import Loss, Wish, Wishes

FIRST_LOOK_AGAIN = timedelta(milliseconds=500)
LONGEST_LOOK_AGAIN = timedelta(seconds=5)
MARKET_WAIT = timedelta(seconds=30)
_NO_NEWS = (InstanceState.RUNNING, InstanceState.STARTING, InstanceState.UNKNOWN)


@workflow.defn(name=names.WORKLOAD)
class WorkloadWorkflow:
    @workflow.init
    def __init__(self, order: WorkloadInput) -> None:
        past = order.resume
        self._spec = order.spec
        self._workdir = order.workdir
        self._lease: Lease | None = past.lease if past else None
        self._epoch = past.epoch if past else 0
        self._head = past.head if past else None
        self._started_at = past.started_at if past else None
        self._incidents = past.incidents if past else 0
        self._pending = past.pending_incident if past else None
        self._face = Face(
            self._spec.name,
            past.phase if past else Phase.PLACING,
            past.since if past else workflow.now(),
            past.timeline if past else (),
            self._lease,
        )
        self._saver = Saver(self._spec, attached=self._face.phase is Phase.RUNNING)
        self._wishes = Wishes()
        self._word: Instance | None = None
        self._last_sign = workflow.now()
        self._loss: Loss | None = None
        self._exit_code: int | None = None
        self._failed_saves = 0

    @workflow.run
    async def run(self, order: WorkloadInput) -> WorkloadResult:
        try:
            if order.resume is None:
                await self._open()
            while not self._face.phase.is_final:
                await self._live_one_phase()
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.create_task(self._end(Phase.STOPPED, "cancelled")))
            raise
        except FailureError as err:
            if not self._face.phase.is_final:  # nobody foresaw this: at least no machine is left behind
                await self._end(Phase.FAILED, str(err))
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._result()

    async def _live_one_phase(self) -> None:
        match self._face.phase:
            case Phase.PLACING:
                await self._place()
            case Phase.RUNNING:
                await self._guard()
            case Phase.SUSPECT:
                await self._weigh()
            case Phase.FAILING_OVER:
                await self._fail_over()
            case Phase.PAUSING:
                await self._pause()
            case Phase.PAUSED:
                await self._sleep()
            case Phase.RESUMING:
                await self._resume()
            case _:
                await self._stop()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.update
    async def pause(self) -> Ack:
        """Save, stop the work, and stop the machine at its provider; its disk is kept and billed."""
        return await self._wish(Wish.PAUSE)

    @workflow.update
    async def resume(self) -> Ack:
        return await self._wish(Wish.RESUME)

    @workflow.update
    async def failover(self, request: FailoverRequest) -> Ack:
        """Leave the machine for another one."""
        self._wishes.failover = request
        return await self._wish(Wish.FAILOVER)

    @workflow.update
    async def stop(self, request: StopRequest) -> Ack:
        """End the work and let the machine go. A second call with `save=False` hurries the first."""
        if not request.save:
            self._saver.give_up()
        self._wishes.stop = request
        return await self._wish(Wish.STOP)

    @workflow.update
    async def checkpoint(self) -> CheckpointRef:
        """Save now; returns when the checkpoint is committed."""
        return await self._saver.save(SaveReason.REQUESTED)

    @pause.validator
    def _can_pause(self) -> None:
        self._expect("pause", Phase.RUNNING)

    @resume.validator
    def _can_resume(self) -> None:
        self._expect("resume", Phase.PAUSED)

    @failover.validator
    def _can_fail_over(self, request: FailoverRequest) -> None:
        self._expect("fail over", Phase.RUNNING, Phase.SUSPECT)

    @checkpoint.validator
    def _can_save(self) -> None:
        self._expect("save", Phase.RUNNING)

    @stop.validator
    def _can_stop(self, request: StopRequest) -> None:
        if self._face.phase.is_final:
            raise ApplicationError(f"it is over already: {self._face.phase}", type=ErrorType.INVALID_STATE)

    @workflow.signal
    def provider_said(self, instance: Instance) -> None:
        """The watch over the provider saw a change of our machine. It wakes us; it is not believed unasked."""
        if self._lease and instance.instance_id == self._lease.instance_id:
            self._word = instance if instance.state not in _NO_NEWS else None

    @workflow.signal
    async def progressed(self, at: datetime) -> None:
        """The first progress on a machine that took over: only now is the incident over."""
        if self._pending is not None and self._started_at and at >= self._started_at:
            await self._close_incident(at)

    @workflow.signal
    def checkpointed(self, checkpoint: CheckpointRef) -> None:
        if self._head is None or checkpoint.sequence > self._head.sequence:
            self._head = checkpoint
            self._face.saved(checkpoint)

    @workflow.signal
    def save_answered(self, answer: SaveAnswer) -> None:
        self._saver.answered(answer)

    @workflow.query
    def status(self) -> WorkloadStatus:
        return WorkloadStatus(
            name=self._spec.name,
            phase=self._face.phase,
            reason=self._face.reason,
            since=self._face.since,
            epoch=self._epoch,
            lease=self._lease,
            head=self._head,
            incidents=self._incidents,
            started_at=self._started_at,
        )

    @workflow.query
    def timeline(self) -> list[Event]:
        return list(self._face.timeline)

    def _expect(self, verb: str, *phases: Phase) -> None:
        if self._face.phase not in phases:
            allowed = " or ".join(phases)
            message = f"cannot {verb} while {self._face.phase}; it must be {allowed}"
            raise ApplicationError(message, type=ErrorType.INVALID_STATE)

    async def _wish(self, wish: Wish) -> Ack:
        """Hand the wish to the phase that runs now, and answer when it was taken up."""
        self._wishes.make(wish)
        await workflow.wait_condition(lambda: self._wishes.current is not wish)
        return Ack(phase=self._face.phase, detail=self._face.reason)

    # --- a first machine -----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        order = OpenWorkloadInput(spec=self._spec, workdir=self._workdir, run_id=workflow.info().first_execution_run_id)
        opened = await steps.open_workload(order)
        self._epoch, self._head = opened.epoch, opened.head
        if not self._spec.providers:
            self._spec = self._spec.model_copy(update={"providers": opened.providers})
        await self._saver.open(self._spec)
        self._face.enter(Phase.PLACING, "looking for a machine", None)

    async def _place(self) -> None:
        search = asyncio.create_task(self._first_machine())
        await workflow.wait_condition(lambda: search.done() or self._wishes.stop is not None)
        if not search.done():
            search.cancel()  # the settler gives back what it was about to rent
            await asyncio.gather(search, return_exceptions=True)
            self._wishes.take()
            self._face.enter(Phase.STOPPING, "stopped before it ran", None)
            return
        settled = search.result()
        if settled is None:
            await self._end(Phase.FAILED, "no offer meets the spec")
            raise ApplicationError("no offer meets the spec", type=ErrorType.NO_OFFERS, non_retryable=True)
        await self._work_runs(settled.lease, settled.head, settled.started_at, "placed")

    async def _first_machine(self) -> Settled | None:
        """None when the market has nothing at the first look; offers that refuse us are waited out."""
        opened_at = self._epoch
        while True:
            settler = self._settler("placement", workflow.now())
            settled = await settler.on_new_machine("placement", with_state=True)
            nothing_was_tried = settler.epoch == opened_at
            self._epoch = settler.epoch
            if settled or nothing_was_tried:
                return settled
            again = f"no machine could be had; searching again in {MARKET_WAIT.total_seconds():g} s"
            self._face.enter(Phase.WAITING, again, None)
            await workflow.sleep(MARKET_WAIT, summary="wait for the market")
            self._face.enter(Phase.PLACING, "searching again", None)

    def _settler(self, occasion: str, decided_at: datetime) -> Settler:
        return Settler(
            self._spec,
            epoch=self._epoch,
            head=self._head,
            occasion=occasion,
            decided_at=decided_at,
            say=self._face.say,
        )

    async def _work_runs(self, lease: Lease, head: CheckpointRef | None, started_at: datetime, how: str) -> None:
        self._lease, self._epoch, self._head = lease, max(self._epoch, lease.epoch), head
        self._started_at = self._last_sign = started_at
        self._word = self._loss = None
        await self._saver.attach(lease, head)
        self._face.enter(Phase.RUNNING, f"{how} on {lease.label}", lease)

    # --- guarding ------------------------------------------------------------------------------------------------

    async def _guard(self) -> None:
        """Wait until something happens to the work, the machine or the operator's mind."""
        lease, started_at = self._current()
        watch = steps.watch_machine(
            lease, self._spec, started_at=started_at, announce_progress=self._pending is not None
        )
        tired = workflow.info().is_continue_as_new_suggested
        await workflow.wait_condition(
            lambda: watch.done() or self._wishes.current is not None or self._word is not None or tired()
        )
        if not watch.done():
            watch.cancel()
            return await self._look_up()
        try:
            report = await watch
        except ActivityError as err:
            return self._suspect(f"the watch failed: {err.cause or err}")
        self._last_sign = max(self._last_sign, report.last_sign)
        if report.finished:
            return await self._work_ended(report)
        return self._suspect(report.detail or f"the machine is {report.reach}")

    async def _look_up(self) -> None:
        """The machine is fine as far as we know; something else wants attention."""
        if wish := self._wishes.take():
            return await self._grant(wish)
        if self._word is not None:
            return self._suspect(f"the provider says {self._word.state}: {self._word.detail}")
        return await self._continue_as_new()

    async def _grant(self, wish: Wish) -> None:
        match wish:
            case Wish.PAUSE:
                self._face.enter(Phase.PAUSING, "asked to pause", self._lease)
            case Wish.FAILOVER:
                await self._leave_machine()
            case Wish.STOP:
                self._face.enter(Phase.STOPPING, self._wishes.why_stop(), self._lease)
            case Wish.RESUME:
                self._face.enter(Phase.RESUMING, "asked to resume", self._lease)

    def _suspect(self, reason: str) -> None:
        self._word = None
        self._face.enter(Phase.SUSPECT, reason, self._lease)

    async def _weigh(self) -> None:
        """Look again and again, patiently, until the evidence says alive or lost. Unknown never does."""
        lease, _ = self._current()
        wait = FIRST_LOOK_AGAIN
        while True:
            evidence = await gather_evidence(lease, last_sign=self._last_sign)
            if evidence.reach in (Reach.ANSWERS, Reach.NO_AGENT):
                self._last_sign = workflow.now()
            judgement = verdicts.judge(evidence, silence=self._spec.failover.silence, terms=lease.terms)
            if judgement.verdict is Verdict.ALIVE:
                return self._face.enter(Phase.RUNNING, judgement.reason, lease)
            if judgement.verdict in (Verdict.LOST, Verdict.STALLED):
                return self._lose(judgement)
            self._face.say(f"{judgement.verdict}: {judgement.reason}")
            if await self._wished_within(wait):
                return await self._grant(self._wishes.take() or Wish.STOP)
            wait = min(wait * 2, LONGEST_LOOK_AGAIN)

    async def _wished_within(self, wait: timedelta) -> bool:
        """Wait to look again; a new word from the provider ends the wait, a wish ends the weighing."""
        self._word = None
        try:
            await workflow.wait_condition(
                lambda: self._wishes.current is not None or self._word is not None,
                timeout=wait,
                timeout_summary="look again",
            )
        except TimeoutError:
            return False
        return self._wishes.current is not None

    # --- losing and moving ---------------------------------------------------------------------------------------

    def _lose(self, judgement: Judgement) -> None:
        cause = judgement.cause or Cause.SILENT
        self._loss = Loss(cause, judgement.reason, silent_since=self._last_sign, decided_at=workflow.now())
        self._face.enter(Phase.FAILING_OVER, f"{cause}: {judgement.reason}", self._lease)

    async def _leave_machine(self) -> None:
        """The operator wants another machine: save first, unless told not to."""
        lease, _ = self._current()
        request = self._wishes.failover
        try:
            if request.save_first:
                await self._saver.save(SaveReason.REQUESTED)
            await steps.stop_work(lease, self._spec.stop_grace)
        except (ApplicationError, ActivityError) as err:
            self._face.say(f"leaving without a last save: {err}")
        now = workflow.now()
        self._loss = Loss(Cause.REQUESTED, request.reason, silent_since=now, decided_at=now)
        self._face.enter(Phase.FAILING_OVER, request.reason, lease)

    async def _fail_over(self) -> None:
        lease, started_at = self._current()
        loss = self._loss
        assert loss is not None, "only a loss leads here"
        await self._saver.detach()
        self._pending = None  # a machine lost before it made progress: its incident stays without a recovery
        try:
            result = await self._climb(lease, loss)
        except ChildWorkflowError as err:
            return await self._not_saved(lease, err)
        self._incidents += 1
        self._pending = _incident(lease, loss, result, started_at)
        await steps.record_incident(self._pending)
        await self._work_runs(result.lease, result.head, result.started_at, f"{result.strategy} after {loss.cause}")
        self._epoch = max(self._epoch, result.epoch)
        return None

    async def _climb(self, lease: Lease, loss: Loss) -> FailoverResult:
        order = FailoverInput(
            spec=self._spec,
            lost=lease,
            cause=loss.cause,
            reason=loss.reason,
            silent_since=loss.silent_since,
            decided_at=loss.decided_at,
            epoch=self._epoch,
            head=self._head,
        )
        child = await workflow.start_child_workflow(
            names.FAILOVER,
            order,
            id=names.failover_id(self._spec.name, lease.epoch),
            result_type=FailoverResult,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            static_summary=f"{loss.cause}: {loss.reason}"[:200],
            search_attributes=workflow.info().typed_search_attributes,
        )
        await workflow.wait_condition(lambda: child.done() or self._wishes.stop is not None)
        if not child.done():
            child.cancel()
        result: FailoverResult = await child
        return result

    async def _not_saved(self, lease: Lease, err: ChildWorkflowError) -> None:
        """The climb ended without a machine: the operator stopped it, or the policy permits nothing."""
        await release(lease, "lost")
        self._lease = None
        if self._wishes.stop is not None:
            self._wishes.take()
            return self._face.enter(Phase.STOPPING, "stopped during the failover", None)
        cause = err.cause
        message = cause.message if isinstance(cause, ApplicationError) else str(cause or err)
        await self._end(Phase.FAILED, message)
        raise ApplicationError(message, type=ErrorType.LADDER_EXHAUSTED, non_retryable=True)

    async def _close_incident(self, recovered_at: datetime) -> None:
        incident, self._pending = self._pending, None
        if incident is None:
            return
        progress = max(recovered_at - (self._started_at or recovered_at), timedelta())
        closed = replace(
            incident,
            recovered_at=recovered_at,
            recovery_time=recovered_at - incident.silent_since,
            phases=replace(incident.phases, progress=progress),
        )
        await steps.record_incident(closed)
        self._face.say(f"recovered in {(recovered_at - incident.silent_since).total_seconds():.1f} s")

    # --- pausing -------------------------------------------------------------------------------------------------

    async def _pause(self) -> None:
        lease, _ = self._current()
        try:
            await self._saver.save(SaveReason.PAUSE)
            await steps.stop_work(lease, self._spec.stop_grace)
            await self._saver.detach()
            await steps.stop_instance(lease)
        except (ApplicationError, ActivityError) as err:
            return self._suspect(f"could not be paused: {err.cause or err}")
        return self._face.enter(Phase.PAUSED, "its disk is kept and billed", lease)

    async def _sleep(self) -> None:
        tired = workflow.info().is_continue_as_new_suggested
        await workflow.wait_condition(lambda: self._wishes.current is not None or tired())
        if wish := self._wishes.take():
            return await self._grant(wish)
        return await self._continue_as_new()

    async def _resume(self) -> None:
        """The same machine if its GPU is still free, else the ladder, from the checkpoint made at the pause."""
        lease, _ = self._current()
        asked = workflow.now()
        settler = self._settler("resume", asked)
        settled = await settler.on_same_machine(lease, "resume")
        self._epoch = settler.epoch
        if settled:
            return await self._work_runs(settled.lease, settled.head, settled.started_at, "resumed")
        self._loss = Loss(Cause.OUTBID, "its GPU was taken while it was paused", silent_since=asked, decided_at=asked)
        return self._face.enter(Phase.FAILING_OVER, self._loss.reason, lease)

    # --- ending --------------------------------------------------------------------------------------------------

    async def _work_ended(self, report: MachineReport) -> None:
        """The outputs are safe before the machine goes; a machine that dies meanwhile is a loss like any other."""
        try:
            await self._saver.save(SaveReason.FINISH)
        except ApplicationError as err:
            await workflow.sleep(self._patience_with_saves(), summary="before the last save is tried again")
            return self._suspect(f"the work ended with code {report.exit_code}, and could not be saved: {err.message}")
        self._exit_code = report.exit_code
        if self._pending is not None:
            await self._close_incident(report.last_sign)
        if report.exit_code == 0:
            return await self._end(Phase.FINISHED, "the command ended with code 0")
        reason = f"the command ended with code {report.exit_code}"
        await self._end(Phase.FAILED, reason)
        raise ApplicationError(reason, type=ErrorType.WORK_FAILED, non_retryable=True)

    def _patience_with_saves(self) -> timedelta:
        self._failed_saves += 1
        return min(timedelta(seconds=2 * self._failed_saves), timedelta(minutes=1))

    async def _stop(self) -> None:
        request = self._wishes.stop or StopRequest()
        if self._lease is not None:
            try:
                if request.save and self._saver.attached:
                    await self._saver.save(SaveReason.STOP)
                await steps.stop_work(self._lease, self._spec.stop_grace if request.save else timedelta(seconds=1))
            except (ApplicationError, ActivityError) as err:
                self._face.say(f"stopping without a last save: {err}")
        await self._end(Phase.STOPPED, request.reason)

    async def _end(self, phase: Phase, reason: str) -> None:
        """Let everything go, then say that it is over."""
        await self._saver.finish()
        if self._lease is not None:
            going = await release(self._lease, f"{phase}: {reason}")
            if going is not None:
                await going
        self._lease = None
        await steps.close_workload(self._spec.name, phase, reason)
        self._wishes.drop()
        self._face.enter(phase, reason, None)

    async def _continue_as_new(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        state = WorkloadState(
            epoch=self._epoch,
            lease=self._lease,
            head=self._head,
            phase=self._face.phase,
            since=self._face.since,
            started_at=self._started_at,
            incidents=self._incidents,
            timeline=tuple(self._face.timeline),
            pending_incident=self._pending,
        )
        workflow.continue_as_new(WorkloadInput(spec=self._spec, workdir=self._workdir, resume=state))

    def _current(self) -> tuple[Lease, datetime]:
        if self._lease is None:
            raise ApplicationError(f"no machine while {self._face.phase}", type=ErrorType.INVALID_STATE)
        return self._lease, self._started_at or workflow.now()

    def _result(self) -> WorkloadResult:
        return WorkloadResult(
            name=self._spec.name,
            phase=self._face.phase,
            exit_code=self._exit_code,
            reason=self._face.reason,
            epoch=self._epoch,
            incidents=self._incidents,
            head=self._head,
        )


def _incident(lost: Lease, loss: Loss, result: FailoverResult, started_at: datetime) -> Incident:
    return Incident(
        workload=lost.workload,
        epoch_lost=lost.epoch,
        epoch_gained=result.lease.epoch,
        cause=loss.cause,
        reason=loss.reason,
        strategy=result.strategy,
        silent_since=loss.silent_since,
        decided_at=loss.decided_at,
        recovered_at=None,
        phases=replace(result.phases, detect=loss.decided_at - loss.silent_since),
        recovery_time=None,
        work_lost=_work_lost(loss, result, started_at),
        cost=sum((each.hourly * _hours(each.took) for each in result.attempts), Decimal(0)).quantize(Decimal("1e-6")),
        attempts=result.attempts,
    )


def _work_lost(loss: Loss, result: FailoverResult, started_at: datetime) -> timedelta | None:
    """Work is lost from the newest of: the restored checkpoint, and the start of the work on the lost machine."""
    if result.kept_state:
        return None
    restored_to = result.head.taken_at if result.head and result.restored else started_at
    return max(loss.silent_since - max(restored_to, started_at), timedelta())


def _hours(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / Decimal(3_600_000_000)
