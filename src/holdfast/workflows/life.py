"""What one workload's phases share: the facts of its life, and the few changes that more than one phase makes."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.disks import DiskWord
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Incident, Phases
from holdfast.contracts.machines import Conduct, Instance, InstanceState, Lease
from holdfast.contracts.workload import (
    AttachMessage,
    DeadlineState,
    DeadlineStatus,
    PauseRequest,
    Phase,
    Upshot,
    Want,
    WorkloadInput,
    WorkloadResult,
    WorkloadState,
    WorkloadStatus,
)
from holdfast.policy import keeping
from holdfast.policy.deadline import Use
from holdfast.workflows import changes, disks, steps
from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.face import Face
from holdfast.workflows.releasing import release, until_nothing_is_open
from holdfast.workflows.saver import Saver
from holdfast.workflows.settling import Settler
from holdfast.workflows.wishes import Loss, Wish, Wishes

DAY = timedelta(days=1)
"""In which moves are counted."""


class Life:
    """Lives in one run of the `workload` workflow; `carried` is what goes on into the next run."""

    def __init__(self, order: WorkloadInput) -> None:
        past = order.resume
        self.spec = order.spec
        self.workdir = order.workdir
        self.owner = order.owner
        self.want: Want | None = past.want if past else None  # of the owner, until it has come true
        self.owner_asks = False  # it wants what is so already, and waits for a word
        self.phases: Phases | None = None  # where the time went before the work last began to run
        self.lease: Lease | None = past.lease if past else None
        self.epoch = past.epoch if past else 0
        self.head: CheckpointRef | None = past.head if past else None
        self.started_at: datetime | None = past.started_at if past else None
        self.incidents = past.incidents if past else 0
        self.moves: list[datetime] = list(past.moves) if past else []  # to another machine, the newest last
        self.holding = False  # no more moves today, unless somebody wants one
        self.pending: Incident | None = past.pending_incident if past else None
        self.face = Face(
            self.spec.name,
            past.phase if past else Phase.PLACING,
            past.since if past else workflow.now(),
            past.timeline if past else (),
            self.lease,
            reason=past.reason if past else "",
        )
        self.saver = Saver(self.spec, attachment=past.attached or _attachment(past) if past else None)
        self.disk = past.disk if past else None  # the newest copy of it
        self.wishes = Wishes()
        self.word: Instance | None = None  # news of our machine from the provider
        self.last_sign = (past.last_sign if past else None) or workflow.now()  # of life, from the machine
        self.loss: Loss | None = None
        self.exit_code: int | None = None
        self.upshot: Upshot | None = None  # once it is clear that it ends
        self.stalled_since = past.stalled_since if past else None  # as the owner was told
        self.looked_around = workflow.now()  # for a cheaper machine
        self.deadline = past.deadline if past else self._first_deadline()
        self.wanted: Use | None = None  # by the deadline, when it was last asked in this run
        self.failed_saves = past.failed_saves if past else 0
        self.searches = past.searches if past else 0  # for a first machine
        self.wanted_at = past.wanted_at if past else None  # when it was told to wake, while it has no machine yet
        self.metered = past.metered if past else InstanceState.RUNNING  # as the machine is charged for
        self.budgets_changed = False  # since they were looked at
        self._ending: asyncio.Task[None] | None = None

    def _first_deadline(self) -> DeadlineState | None:
        return DeadlineState(begun_at=workflow.now()) if self.spec.policy.deadline is not None else None

    def saved_work(self) -> timedelta:
        """The work that no loss takes away, of a workload with a deadline."""
        assert self.deadline is not None, "only a deadline counts it"
        return keeping.done(self.deadline.earned, head=self.head, started_at=self.started_at)

    def enter(self, phase: Phase, reason: str) -> None:
        self.face.enter(phase, reason, self.lease)
        self.heed_want()

    def heed_want(self) -> None:
        """Turn what the owner wants into a wish, as soon as the phase can grant it; what anybody asked for goes first.

        A pause that fails, or a machine that cannot be had, is the owner's to think about: it is not tried for ever.
        """
        if self.want is None or self.wishes.current is not None:
            return
        if self.want.awake and self.face.phase is Phase.PAUSED:
            self.wishes.make(Wish.RESUME)
        elif not self.want.awake and self.face.phase in (Phase.RUNNING, Phase.WAITING):
            self.wishes.pause = PauseRequest(mode=self.want.mode, reason=self.want.reason, careful=True)
            self.wishes.make(Wish.PAUSE)
        elif self.face.phase is (Phase.RUNNING if self.want.awake else Phase.PAUSED):
            self.owner_asks = True
        else:
            return
        self.want = None

    def take_want(self, want: Want) -> None:
        """The owner has made up its mind. A sleep that it does not want any more, and that has not begun, is off."""
        self.want = want
        if want.awake and self.wishes.current is Wish.PAUSE:
            self.wishes.drop()
        self.heed_want()

    def is_wanted_awake(self) -> bool:
        """Whether the owner has changed its mind: a sleep that has touched nothing yet is off."""
        return self.want is not None and self.want.awake

    def suspect(self, reason: str) -> None:
        """Something is odd with the machine: look before anything is believed."""
        self.word = None
        self.enter(Phase.SUSPECT, reason)

    def lose(self, loss: Loss) -> None:
        """The machine is given up. A wish to leave it has come true by this, and is not meant for the next one."""
        self.loss = loss
        if self.wishes.current is Wish.FAILOVER:
            self.wishes.take()
        self.enter(Phase.FAILING_OVER, f"{loss.cause}: {loss.reason}")

    def moved(self, in_place: bool) -> None:
        if not in_place:
            self.moves = [*self.moves_of_a_day(), workflow.now()]

    def moves_of_a_day(self) -> list[datetime]:
        """When the work moved to another machine in the last 24 hours, oldest first."""
        return [each for each in self.moves if workflow.now() - each < DAY]

    def machine(self) -> Lease:
        """The current lease, in a phase that has one."""
        if self.lease is None:
            raise ApplicationError(f"no machine while {self.face.phase}", type=ErrorType.INVALID_STATE)
        return self.lease

    def settler(self, occasion: str, decided_at: datetime) -> Settler:
        return Settler(
            self.spec,
            epoch=self.epoch,
            head=self.head,
            occasion=occasion,
            decided_at=decided_at,
            say=self.face.say,
            wanted_at=self.wanted_at,
        )

    async def work_runs(
        self,
        lease: Lease,
        started_at: datetime,
        how: str,
        *,
        head: CheckpointRef | None,
        base: CheckpointRef | None,
        phases: Phases,
    ) -> None:
        """A machine has taken the work. Saves build on `base`, which is sound: a rotten head would pass on its rot."""
        if self.deadline is not None:
            earned = keeping.earned(self.deadline.earned, head=head, base=base, started_at=self.started_at)
            self.deadline = replace(self.deadline, earned=earned)
        self.lease, self.epoch, self.head = lease, max(self.epoch, lease.epoch), head
        self.started_at = self.last_sign = started_at
        self.phases = phases
        self.word = self.loss = self.stalled_since = self.wanted_at = None
        self.failed_saves = 0
        self.metered = InstanceState.RUNNING
        await self.saver.attach(lease, head, base=base)
        await disks.attach(self.spec, lease)
        self.enter(Phase.RUNNING, f"{how} on {lease.label}")

    async def meter(self, state: InstanceState, *, charged: Decimal | None = None) -> None:
        """The machine is in another state by its provider's word, and costs something else from now on."""
        if state in (self.metered, InstanceState.UNKNOWN) or self.lease is None:
            return
        if changes.knows("metered-by-state"):
            self.metered = state
            await steps.meter_lease(self.lease, state, charged=charged)

    async def end(self, phase: Phase, reason: str) -> None:
        """Let everything go, then say that it is over. An end that has begun is carried through as it began."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(phase, reason))
        await to_its_end(self._ending)

    async def _end(self, phase: Phase, reason: str) -> None:
        await self.saver.finish()
        if self.started_at is not None:
            await disks.finish(self.spec)
        self.disk = None
        if self.lease is not None:
            going = await release(self.lease, f"{phase}: {reason}", Conduct.GOOD)
            if going is not None:
                with suppress(ChildWorkflowError):  # somebody ended it by hand
                    await going
        self.lease = None
        if changes.knows("nothing-stays-open"):
            await until_nothing_is_open(self.spec.name, f"{phase}: {reason}")
        await steps.close_workload(self.spec.name, phase, reason)
        self.wishes.drop()
        self.enter(phase, reason)

    def saved(self, checkpoint: CheckpointRef) -> None:
        """There is a newer checkpoint. Whoever asked for it, and whoever is told of all, may hear of it first."""
        if self.head is None or checkpoint.sequence > self.head.sequence:
            self.head = checkpoint
            self.saver.saved(checkpoint)
            self.face.saved(checkpoint)

    def heard_of_disk(self, word: DiskWord) -> None:
        """`disk_copies` has something to tell. What it tells of a machine that was let go meanwhile is history."""
        if self.face.phase.is_final:
            return
        self.disk = word.copy or self.disk
        if word.what:
            self.face.note(word.what)

    def patience_with_saves(self) -> timedelta:
        """How long to wait before a last save is tried again; grows with every failure."""
        self.failed_saves += 1
        return min(timedelta(seconds=self.failed_saves), timedelta(minutes=1))

    def status(self) -> WorkloadStatus:
        return WorkloadStatus(
            name=self.spec.name,
            phase=self.face.phase,
            reason=self.face.reason,
            since=self.face.since,
            epoch=self.epoch,
            lease=self.lease,
            head=self.head,
            incidents=self.incidents,
            started_at=self.started_at,
            deadline=self._deadline_status(),
            disk=self.disk,
        )

    def _deadline_status(self) -> DeadlineStatus | None:
        wanted, state = self.spec.policy.deadline, self.deadline
        if wanted is None or state is None:
            return None
        return DeadlineStatus(
            ends_at=keeping.ends_at(wanted, state.begun_at),
            work=wanted.work,
            done=min(self.saved_work(), wanted.work),
            slack=state.slack,
            reason=state.reason,
        )

    def result(self) -> WorkloadResult:
        return WorkloadResult(
            name=self.spec.name,
            phase=self.face.phase,
            exit_code=self.exit_code,
            reason=self.face.reason,
            epoch=self.epoch,
            incidents=self.incidents,
            head=self.head,
        )

    def is_tired(self) -> bool:
        """It is time for a new run, and nobody waits for an answer of this one, for which it may need our phases."""
        return workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()

    def continue_as_new(self) -> NoReturn:
        """Go on in a new run with a short history; nothing outside notices. Only for those who are tired."""
        state = WorkloadState(
            epoch=self.epoch,
            lease=self.lease,
            head=self.head,
            phase=self.face.phase,
            reason=self.face.reason,
            since=self.face.since,
            started_at=self.started_at,
            incidents=self.incidents,
            timeline=tuple(self.face.timeline),
            pending_incident=self.pending,
            searches=self.searches,
            failed_saves=self.failed_saves,
            last_sign=self.last_sign,
            attached=self.saver.attachment,
            metered=self.metered,
            moves=tuple(self.moves),
            stalled_since=self.stalled_since,
            deadline=self.deadline,
            disk=self.disk,
            want=self.want,
            wanted_at=self.wanted_at,
        )
        again = WorkloadInput(spec=self.spec, workdir=self.workdir, resume=state, owner=self.owner)
        workflow.continue_as_new(again)


def _attachment(past: WorkloadState) -> AttachMessage | None:
    """As an older version carried it: by the phase alone."""
    if past.phase is not Phase.RUNNING or past.lease is None:
        return None
    return AttachMessage(lease=past.lease, head=past.head, base=past.head)
