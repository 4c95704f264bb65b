"""Standbys that are ready to take over, and hand-overs that are atomic.

1. Open the record; every standby has a cost line under the pool's name there.
2. Look after the standbys, give up the dead, let go what is too many, and rent what is missing; then wait. A claim, a
   resize and a word from a provider wake us at once.
3. At the end let everything go, and only then say that it is over.

Holds throughout: every machine is in `standbys`, or the records say that a workload has taken it, or a `release`
workflow has it in hand; a standby goes to one workload and epoch, and the same one again hears the same answer.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import NO_NEWS, Conduct, Instance
from holdfast.contracts.pools import (
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    HandOverInput,
    PoolInput,
    PoolPhase,
    PoolState,
    PoolStatus,
    ResizeRequest,
    Size,
    Standby,
)
from holdfast.contracts.workload import Phase
from holdfast.policy import budget
from holdfast.workflows import changes, steps
from holdfast.workflows import standbys as care
from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.errands import Errands
from holdfast.workflows.failures import kind_of, words_of
from holdfast.workflows.pool_face import PoolFace, hourly_of
from holdfast.workflows.releasing import release, until_nothing_is_open
from holdfast.workflows.sizing import Sizer

CLAIMS_KEPT = 100
SHORTEST_WAIT = timedelta(seconds=1)
FIRST_RENT_AGAIN, LONGEST_RENT_AGAIN = timedelta(seconds=15), timedelta(minutes=5)
"""Between two searches of which the first found nothing, doubling: each search asks every provider."""


@workflow.defn(name=names.WARM_POOL)
class WarmPoolWorkflow:
    @workflow.init
    def __init__(self, order: PoolInput) -> None:
        past = order.resume or PoolState(epoch=0, target=order.spec.target)
        self._spec = order.spec
        self._rented_as = order.spec.as_workload()
        self._epoch = past.epoch
        self._target = past.target
        self._standbys: list[Standby] = list(past.standbys)
        self._claims: list[Claimed] = list(past.claims)
        self._taken, self._lost = past.taken, past.lost
        self._face = PoolFace(order.spec.name)
        self._claiming = asyncio.Lock()
        self._errands = Errands()
        self._news = False  # there is something to do before the next round is due
        self._over = False
        self._budget_due: datetime | None = None  # when the budgets are to be looked at again
        self._turning: set[str] = set()  # labels of standbys that are being stopped or started: nobody may claim them
        self._failed = 0  # searches in a row that came to nothing
        self._rent_due: datetime | None = None  # when the next may be; None: now
        self._trouble = ""  # why there are not enough
        self._sizer = Sizer(order.spec, by_hand=past.by_hand)

    @workflow.run
    async def run(self, order: PoolInput) -> PoolStatus:
        changes.begin()
        try:
            await self._open(order)
            while not self._over:
                await self._round()
                if self._may_continue_as_new():
                    workflow.continue_as_new(PoolInput(spec=self._spec, resume=self._state()))
                await self._wait()
            await to_its_end(self._end("removed"))
        except (asyncio.CancelledError, FailureError) as err:
            self._over = True  # whatever it was that nobody foresaw, no machine is left behind
            await to_its_end(self._end("cancelled" if is_cancelled_exception(err) else str(err)))
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    def _may_continue_as_new(self) -> bool:
        """Not when it is being removed: the next run would not know."""
        if self._over and changes.fewer_steps():
            return False
        return workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.update
    async def claim(self, request: ClaimRequest) -> ClaimAnswer:
        """Take a standby for a workload's next epoch. It is the workload's by the records when this answers."""
        return await self._errands.do(self._claim, request)

    @workflow.update
    def resize(self, request: ResizeRequest) -> PoolStatus:
        """Keep so many ready from now on, or as many as demand wants."""
        self._sizer.by_hand = request.target is not None
        self._sizer.look_now()
        self._target = self._target if request.target is None else request.target
        self._rent_due = None
        self._news = True
        return self.status()

    @resize.validator
    def _may_resize(self, request: ResizeRequest) -> None:
        if request.target is None:
            if self._spec.size is not Size.DEMAND:
                message = "the spec of this pool does not say `size: demand`"
                raise ApplicationError(message, type=ErrorType.INVALID_STATE)
        elif not self._spec.minimum <= request.target <= self._spec.maximum:
            message = f"{request.target} is not between {self._spec.minimum} and {self._spec.maximum}"
            raise ApplicationError(message, type=ErrorType.INVALID_STATE)

    @workflow.update
    def drain(self) -> PoolStatus:
        """Let every standby go, and keep none until the pool is resized."""
        self._sizer.by_hand = True
        self._target = 0
        self._news = True
        return self.status()

    @workflow.update
    def remove(self) -> PoolStatus:
        """Let every standby go, and end."""
        self._target = 0
        self._over = self._news = True
        return self.status()

    @workflow.signal
    async def provider_said(self, instance: Instance) -> None:
        """Of a standby it is a reason to look; of one that was taken it is for the workload that has it."""
        if instance.state in NO_NEWS:
            return
        for each in reversed(self._claims):
            if each.answer.lease is not None and each.answer.lease.instance_id == instance.instance_id:
                await _tell(each.workload, instance)
                return
        self._news = True

    @workflow.query
    def status(self) -> PoolStatus:
        return PoolStatus(
            name=self._spec.name,
            phase=self._face.phase,
            detail=self._face.detail,
            target=self._target,
            standbys=tuple(self._standbys),
            hourly=hourly_of(self._standbys),
            taken=self._taken,
            lost=self._lost,
            claims=tuple(self._claims),
            target_because=self._sizer.reason,
        )

    # --- phases --------------------------------------------------------------------------------------------------

    async def _open(self, order: PoolInput) -> None:
        if order.resume is not None:
            return
        run_id = workflow.info().first_execution_run_id
        opened = await steps.open_workload(
            acts.OpenWorkloadInput(spec=self._rented_as, workdir=None, run_id=run_id, pool=True)
        )
        self._epoch = opened.epoch
        if not self._rented_as.providers:
            self._rent_at(opened.providers)
        if self._spec.stopped:
            self._rent_at(await care.that_pause(self._spec.providers))

    def _rent_at(self, providers: tuple[str, ...]) -> None:
        self._spec = self._spec.model_copy(update={"providers": providers})
        self._rented_as = self._spec.as_workload()

    async def _round(self) -> None:
        self._news = False
        if self._spec.stopped:
            for each in list(self._standbys):  # one at a time: while one is woken the others can be claimed
                await self._look_after(each)
        else:
            await asyncio.gather(*(self._look_after(each) for each in list(self._standbys)))
        await self._keep_budget()
        wanted = await self._sizer.wanted(self._target)
        self._target = self._target if wanted is None else wanted
        while len(self._standbys) > self._target:
            await self._let_go(self._standbys[-1], "the pool was made smaller")
        await self._fill()
        self._show()

    async def _fill(self) -> None:
        """One after the other: each epoch is claimed after the one before it."""
        while len(self._standbys) < self._target and not self._over:
            if changes.fewer_steps() and self._rent_due is not None and workflow.now() < self._rent_due:
                return
            self._show(PoolPhase.FILLING, f"{len(self._standbys)} of {self._target}")
            if not await self._rent():
                wait = min(FIRST_RENT_AGAIN * 2 ** min(self._failed, 10), LONGEST_RENT_AGAIN)
                self._failed += 1
                self._rent_due = workflow.now() + wait
                return
            self._failed, self._rent_due, self._trouble = 0, None, ""

    async def _rent(self) -> bool:
        renter = care.Renter(self._rented_as, epoch=self._epoch, say=self._face.say)
        mine = {each.lease.machine_id for each in self._standbys}
        try:
            lease = await renter.rent(mine, care.regions_for(self._spec, self._standbys))
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            self._trouble = f"cannot rent: {words_of(err)}"
            return False
        finally:
            self._epoch = renter.epoch
        if lease is None:
            self._trouble = renter.why_none
            return False
        serves = care.served_next(self._spec, self._standbys)
        standby = Standby(lease=lease, ready_at=workflow.now(), seen_at=workflow.now(), serves=serves)
        self._standbys.append(standby)
        self._budget_due = workflow.now() + min(self._spec.sync_every, budget.LOOK_EVERY)
        await self._look_after(standby)
        return True

    async def _look_after(self, standby: Standby) -> None:
        """Whatever comes of it says nothing of one that was taken meanwhile."""
        try:
            if standby.stopped:
                if not await care.wants_waking(standby, self._spec.sync_every) or self._place_of(standby) is None:
                    return
                with self._turned(standby):
                    standby = self._now(await care.wake(standby, self._spec.boot_timeout))
            standby = self._now(await care.look_after(standby, self._rented_as))
            if self._spec.stopped and self._place_of(standby) is not None:
                with self._turned(standby):
                    self._now(await care.put_to_rest(standby))
        except care.Lost as lost:
            if self._place_of(standby) is not None:
                self._lost += 1
                await self._let_go(standby, f"the standby is lost: {lost}", lost.conduct)
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            self._face.say(f"{standby.lease.label} stays as it is for now: {words_of(err)}")

    def _now(self, standby: Standby) -> Standby:
        """Keep what is known of it by now, if it is still ours."""
        if (place := self._place_of(standby)) is not None:
            self._standbys[place] = standby
        return standby

    @contextmanager
    def _turned(self, standby: Standby) -> Iterator[None]:
        """It is being stopped or started. Who claimed it now would be robbed of it, or find it half-way."""
        self._turning.add(standby.lease.label)
        try:
            yield
        finally:
            self._turning.discard(standby.lease.label)

    def _place_of(self, standby: Standby) -> int | None:
        labels = [each.lease.label for each in self._standbys]
        return labels.index(standby.lease.label) if standby.lease.label in labels else None

    async def _let_go(self, standby: Standby, reason: str, conduct: Conduct = Conduct.NEUTRAL) -> None:
        if (place := self._place_of(standby)) is not None:
            del self._standbys[place]
            await to_its_end(release(standby.lease, reason, conduct, "stand_by"))

    async def _keep_budget(self) -> None:
        """Not oftener than the records want: each look is an event or three."""
        due = self._budget_due
        if not self._standbys or (due is not None and workflow.now() < due):
            return
        word = await steps.keep_budget(self._rented_as.name)
        self._budget_due = workflow.now() + word.look_again_after
        if word.used_up:
            self._sizer.by_hand = True
            self._target = 0
            self._face.say(word.used_up)

    async def _wait(self) -> None:
        wait = self._spec.sync_every
        if self._budget_due is not None and self._standbys:
            wait = max(min(wait, self._budget_due - workflow.now()), SHORTEST_WAIT)
        if self._rent_due is not None and len(self._standbys) < self._target and changes.fewer_steps():
            wait = max(min(wait, self._rent_due - workflow.now()), SHORTEST_WAIT)
        wait = min(wait, self._sizer.until_due())
        try:
            await workflow.wait_condition(
                lambda: self._news,
                timeout=wait,
                timeout_summary="before the standbys are looked after",
            )
        except TimeoutError:
            return

    async def _claim(self, request: ClaimRequest) -> ClaimAnswer:
        async with self._claiming:
            for each in self._claims:
                if (each.workload, each.epoch) == (request.workload, request.epoch):
                    return each.answer
            answer = await self._hand_over(request)
            if answer.lease is not None:
                claimed = Claimed(workload=request.workload, epoch=request.epoch, at=workflow.now(), answer=answer)
                self._claims = [*self._claims, claimed][-CLAIMS_KEPT:]
                self._taken += 1
                self._news = True
            return answer

    async def _hand_over(self, request: ClaimRequest) -> ClaimAnswer:
        for fitting in self._fitting(request):
            if (place := self._place_of(fitting)) is None or fitting.lease.label in self._turning:
                continue
            standby = self._standbys[place]
            del self._standbys[place]  # nobody lets it go while it changes hands
            order = HandOverInput(standby=standby.lease.label, workload=request.workload, epoch=request.epoch)
            try:
                label = await _shielded(steps.hand_over_standby(order))
            except ActivityError as err:
                if kind_of(err) == ErrorType.OFFER_TAKEN:
                    continue  # by the records it is the pool's no more
                self._standbys.append(standby)
                return ClaimAnswer(refusal=words_of(err))
            lease = replace(standby.lease, workload=request.workload, epoch=request.epoch, label=label)
            return ClaimAnswer(lease=lease, synced=standby.synced, stopped=standby.stopped)
        return ClaimAnswer(refusal=f"no standby of the pool {self._spec.name} is free")

    def _fitting(self, request: ClaimRequest) -> list[Standby]:
        """The best first: with the workload's own checkpoint, as new as can be, in the region that it prefers."""
        if self._over:
            return []
        unfit = {request.lost_machine, *request.avoid}
        fitting = [
            each
            for each in self._standbys
            if each.lease.machine_id not in unfit and each.lease.label not in self._turning
        ]
        return sorted(
            fitting,
            key=lambda each: (
                each.serves != request.workload,
                -(each.synced.sequence if each.synced else -1),
                each.lease.region != request.region,
                each.stopped,
                each.ready_at,
            ),
        )

    async def _end(self, reason: str) -> None:
        """Nothing is claimed any more: what a hand-over has begun is carried through first."""
        self._over = True
        async with self._claiming:
            self._show(PoolPhase.ENDING, reason)
            for standby in list(self._standbys):
                await self._let_go(standby, f"the pool ends: {reason}")
        await until_nothing_is_open(self._rented_as.name, f"the pool ends: {reason}")
        await steps.close_workload(self._rented_as.name, Phase.STOPPED, reason)
        self._show(PoolPhase.ENDED, reason)

    def _state(self) -> PoolState:
        return PoolState(
            epoch=self._epoch,
            target=self._target,
            standbys=tuple(self._standbys),
            claims=tuple(self._claims),
            taken=self._taken,
            lost=self._lost,
            by_hand=self._sizer.by_hand,
        )

    def _show(self, phase: PoolPhase | None = None, detail: str = "") -> None:
        if phase is None:
            phase = PoolPhase.FILLING if len(self._standbys) < self._target else PoolPhase.READY
            phase = PoolPhase.DRAINED if not self._target and not self._standbys else phase
            detail = f"{len(self._standbys)} of {self._target}"
            if phase is PoolPhase.FILLING and self._trouble:
                detail += f": {self._trouble}"
        self._face.show(phase, detail, self._standbys)


async def _shielded(step: Awaitable[str]) -> str:
    """The records have done it, or not, when this returns: a cancel of the pool waits for that."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task


async def _tell(workload: str, instance: Instance) -> None:
    handle = workflow.get_external_workflow_handle(names.workload_id(workload))
    try:
        await handle.signal("provider_said", instance)
    except ApplicationError as err:
        workflow.logger.info("%s is over: %s", workload, err)
