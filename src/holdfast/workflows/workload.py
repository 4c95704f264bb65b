"""The guardian of one workload, from the first rent to the last destroy.

    WAITING ◀─▶ PLACING ──▶ RUNNING ──▶ FINISHED | FAILED
                             ▲ │ ▲
                             │ │ └──── RESUMING ◀── PAUSED ◀── PAUSING
                             │ ▼
                  FAILING_OVER ◀── SUSPECT                     any phase ──▶ STOPPING ──▶ STOPPED

1. Open the record and place the work on a first machine.
2. Guard it: a watch that ends, a word from the provider or a wish of the operator is what wakes us.
3. Weigh evidence before believing in a loss; answer a loss with one `failover` child.
4. At the end save, and let the machine go; only then say that it is over.

Each phase is a function in `phases/`; what they share is in `life.py`.

Holds throughout: at most one lease is current, and it is `life.lease`; every machine that was ever rented is in the
hands of a `release` workflow before this one ends; a wish is taken up in the phase that can grant it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.disks import DiskWord
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import NO_NEWS, Instance
from holdfast.contracts.workload import (
    Ack,
    Event,
    FailoverRequest,
    PauseRequest,
    Phase,
    SaveAnswer,
    StopRequest,
    Upshot,
    Want,
    WorkloadInput,
    WorkloadResult,
    WorkloadStatus,
)
from holdfast.policy import ladder
from holdfast.workflows import changes
from holdfast.workflows.budgeting import keep_budget
from holdfast.workflows.cancelling import heed_cancel
from holdfast.workflows.errands import Errands
from holdfast.workflows.failures import kind_of
from holdfast.workflows.hours import keep_hours
from holdfast.workflows.life import Life
from holdfast.workflows.owner import keep_owner_told, tell_owner
from holdfast.workflows.phases import ending, guarding, moving, pausing, placing
from holdfast.workflows.wishes import Wish

PHASES: dict[Phase, Callable[[Life], Awaitable[None]]] = {
    Phase.PLACING: placing.place,
    Phase.WAITING: placing.wait_for_market,
    Phase.RUNNING: guarding.guard,
    Phase.SUSPECT: guarding.weigh,
    Phase.FAILING_OVER: moving.fail_over,
    Phase.PAUSING: pausing.pause,
    Phase.PAUSED: pausing.sleep,
    Phase.RESUMING: pausing.resume,
    Phase.STOPPING: ending.stop,
}


@workflow.defn(name=names.WORKLOAD)
class WorkloadWorkflow:
    @workflow.init
    def __init__(self, order: WorkloadInput) -> None:
        self._life = Life(order)
        self._errands = Errands()

    @workflow.run
    async def run(self, order: WorkloadInput) -> WorkloadResult:
        changes.begin()
        life = self._life
        keeping = asyncio.create_task(keep_budget(life)) if changes.knows("budgets-are-kept") else None
        telling = asyncio.create_task(keep_owner_told(life)) if life.owner else None
        hibernates = life.spec.hibernate
        sleeping = asyncio.create_task(keep_hours(life, hibernates)) if hibernates and hibernates.awake else None
        try:
            if order.resume is None:
                await placing.open_record(life)
            while not life.face.phase.is_final:
                heed_cancel()
                await PHASES[life.face.phase](life)
        except (asyncio.CancelledError, FailureError) as err:
            if not life.face.phase.is_final:  # whatever it was that nobody foresaw, no machine is left behind
                life.upshot = life.upshot or _upshot_of(err)
                await life.end(*_unforeseen(err))
            raise
        finally:
            for task in (keeping, sleeping):
                if task is not None:
                    task.cancel()
            if telling is not None:
                telling.cancel()
                if life.face.phase.is_final:
                    await tell_owner(life)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return life.result()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.update
    async def pause(self, request: PauseRequest | None = None) -> Ack:
        """Save, stop the work, and stop the machine at its provider, whose disk is kept and billed; or let it go."""
        self._life.wishes.pause = request or PauseRequest()
        return await self._wish(Wish.PAUSE)

    @workflow.update
    async def resume(self) -> Ack:
        return await self._wish(Wish.RESUME)

    @workflow.update
    async def failover(self, request: FailoverRequest) -> Ack:
        """Leave the machine for another one."""
        self._life.wishes.failover = request
        return await self._wish(Wish.FAILOVER)

    @workflow.update
    async def stop(self, request: StopRequest) -> Ack:
        """End the work and let the machine go. A second call with `save=False` hurries the first."""
        if not request.save:
            self._life.saver.give_up()
        self._life.wishes.stop = request
        return await self._wish(Wish.STOP)

    @workflow.update
    async def checkpoint(self) -> CheckpointRef:
        """Save now; returns when the checkpoint is committed."""
        return await self._errands.do(self._life.saver.save, SaveReason.REQUESTED)

    @pause.validator
    def _can_pause(self, request: PauseRequest | None = None) -> None:
        self._expect("pause", Phase.RUNNING)
        self._expect_no_other_wish("pause")

    @resume.validator
    def _can_resume(self) -> None:
        self._expect("resume", Phase.PAUSED)
        self._expect_no_other_wish("resume")

    @failover.validator
    def _can_fail_over(self, request: FailoverRequest) -> None:
        if request.drill is not None:
            self._expect("rehearse a loss", Phase.RUNNING)
            if request.drill <= 0 or not request.save_first:
                message = "a drill needs a budget above zero, and saves first"
                raise ApplicationError(message, type=ErrorType.REQUEST_REJECTED)
        if not self._life.holding:
            self._expect("fail over", Phase.RUNNING, Phase.SUSPECT)
        self._expect_no_other_wish("fail over")
        saves = request.save_first and not self._life.holding  # the machine is gone then
        has_checkpoint = saves or self._life.head is not None
        situation = ladder.Situation(
            cause=Cause.REQUESTED if request.drill is None else Cause.DRILL,
            has_checkpoint=has_checkpoint,
            region=self._life.lease.region if self._life.lease else "",
        )
        found = ladder.ladder(self._life.spec.failover, situation, only=request.strategy)
        if not found.rungs:
            message = f"cannot fail over: the policy permits no way to another machine ({found.why_none})"
            raise ApplicationError(message, type=ErrorType.INVALID_STATE)

    @checkpoint.validator
    def _can_save(self) -> None:
        self._expect("save", Phase.RUNNING)

    @stop.validator
    def _can_stop(self, request: StopRequest) -> None:
        if self._life.face.phase.is_final:
            raise ApplicationError(f"it is over already: {self._life.face.phase}", type=ErrorType.INVALID_STATE)

    @workflow.signal
    def provider_said(self, instance: Instance) -> None:
        """The watch over the provider saw a change of our machine. It wakes us; it is not believed unasked."""
        if self._life.lease and instance.instance_id == self._life.lease.instance_id:
            self._life.word = instance if instance.state not in NO_NEWS else None

    @workflow.signal
    def want(self, want: Want) -> None:
        """What the owner wants from now on; the newest counts."""
        if want.owner in ("", self._life.owner):
            self._life.take_want(want)

    @workflow.signal
    def end(self, request: StopRequest) -> None:
        """As the update `stop`, for the workflow that owns it, which cannot send one."""
        if not self._life.face.phase.is_final:
            if not request.save:
                self._life.saver.give_up()
            self._life.wishes.stop = request
            self._life.wishes.make(Wish.STOP)

    @workflow.signal
    def unused(self, what: str) -> None:
        """Nobody uses the machine; it is told before its work is put to sleep for that."""
        self._life.face.note(what)

    @workflow.signal
    async def progressed(self, at: datetime) -> None:
        """The first progress on a machine that took over: only now is the incident over."""
        if self._life.pending is not None and self._life.started_at and at >= self._life.started_at:
            await moving.close_incident(self._life, at)

    @workflow.signal
    def checkpointed(self, checkpoint: CheckpointRef) -> None:
        self._life.saved(checkpoint)

    @workflow.signal
    def save_answered(self, answer: SaveAnswer) -> None:
        self._life.saver.answered(answer)

    @workflow.signal
    def disk_said(self, word: DiskWord) -> None:
        """`disk_copies` has a newer copy of the disk, or cannot have one."""
        self._life.heard_of_disk(word)

    @workflow.signal
    def budget_changed(self) -> None:
        """Somebody has set a budget: look at once."""
        self._life.budgets_changed = True

    @workflow.query
    def status(self) -> WorkloadStatus:
        return self._life.status()

    @workflow.query
    def timeline(self) -> list[Event]:
        return list(self._life.face.timeline)

    def _expect(self, verb: str, *phases: Phase) -> None:
        if self._life.face.phase not in phases:
            allowed = " or ".join(phases)
            message = f"cannot {verb} while {self._life.face.phase}; it must be {allowed}"
            raise ApplicationError(message, type=ErrorType.INVALID_STATE)

    def _expect_no_other_wish(self, verb: str) -> None:
        if waiting := self._life.wishes.current:
            message = f"cannot {verb}: it was asked to {waiting} just now"
            raise ApplicationError(message, type=ErrorType.INVALID_STATE)

    async def _wish(self, wish: Wish) -> Ack:
        """Hand the wish to the phase that runs now, and answer when it was taken up."""
        self._life.wishes.make(wish)
        await workflow.wait_condition(lambda: self._life.wishes.current is not wish)
        if wish is not Wish.STOP and self._life.wishes.current is Wish.STOP:
            raise ApplicationError(f"cannot {wish}: it is being stopped", type=ErrorType.INVALID_STATE)
        return Ack(phase=self._life.face.phase, detail=self._life.face.reason)


def _upshot_of(err: BaseException) -> Upshot:
    if is_cancelled_exception(err):
        return Upshot.CANCELLED
    return Upshot.SETUP if kind_of(err) == ErrorType.SETUP_FAILED else Upshot.UNFORESEEN


def _unforeseen(err: BaseException) -> tuple[Phase, str]:
    if is_cancelled_exception(err):
        return Phase.STOPPED, "cancelled"
    return Phase.FAILED, str(err.__cause__ or err)
