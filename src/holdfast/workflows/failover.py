"""One answer to one loss: climb the ladder of strategies until the work runs again.

1. Ask policy which rungs this loss leaves, and whether the lost machine still holds anything that is needed.
2. Let the lost machine go, at once or as soon as it is no longer needed.
3. Climb; each rung has its time box. When every rung failed, wait and climb again: markets change. Only a cancel, or a
   policy that permits nothing, ends the climb without a machine.

Holds throughout: the id is the lock, so one loss has one answer; each machine tried has an epoch of its own, higher
than the lost one's, so the lost machine can commit nothing from the first try on.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import FailoverInput, FailoverResult
from holdfast.contracts.incidents import TAKEN_BACK, Cause
from holdfast.contracts.machines import Lease, Terms
from holdfast.contracts.memory import StrategyRecord
from holdfast.contracts.spec import Order, Strategy, WorkloadSpec
from holdfast.policy import drills, host_memory, ladder
from holdfast.workflows import changes, steps
from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.failures import kind_of, words_of
from holdfast.workflows.moving_in import is_rotten
from holdfast.workflows.settling import Settled, Settler, give_back
from holdfast.workflows.strategies import coldstart, regional, snapshot, warmpool

CLIMB: dict[Strategy, Callable[[Settler, Lease, ladder.Rung], Coroutine[Any, Any, Settled | None]]] = {
    Strategy.WARMPOOL: warmpool.climb,
    Strategy.REGIONAL: regional.climb,
    Strategy.SNAPSHOT: snapshot.climb,
    Strategy.COLDSTART: coldstart.climb,
}
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=5)
ATTEMPTS_KEPT = 20


@workflow.defn(name=names.FAILOVER)
class FailoverWorkflow:
    @workflow.init
    def __init__(self, order: FailoverInput) -> None:
        self._order = order
        self._phase = "deciding"
        self._released = order.released
        self._climbs = order.climbs
        self._rotten: set[Strategy] = set()  # strategies for which no checkpoint is left that can be read
        self._drill = order.drill
        self._aborted = ""
        self._changed = False
        self._settler = self._new_settler(order.epoch)
        self._settler.attempts = list(order.attempts)

    @workflow.run
    async def run(self, order: FailoverInput) -> FailoverResult:
        changes.begin()
        found = self._ladder(await self._record())
        rungs = found.rungs
        if not rungs:
            message = f"the policy permits no way to go on: {found.why_none}"
            raise ApplicationError(message, type=ErrorType.LADDER_EXHAUSTED, non_retryable=True)
        if self._drill is not None:
            if result := await self._rehearse(rungs, self._drill):
                return result
            rungs = self._ladder(await self._record()).rungs
        while True:
            for rung in rungs:
                if settled := await self._climb(rung):
                    return await self._done(rung, settled)
            rungs = tuple(rung for rung in rungs if rung.strategy not in self._rotten)
            if not rungs:
                message = f"no checkpoint can be restored, and the policy permits nothing else: {self._phase}"
                raise ApplicationError(message, type=ErrorType.LADDER_EXHAUSTED, non_retryable=True)
            await self._wait_for_market()

    async def _rehearse(self, rungs: tuple[ladder.Rung, ...], budget: Decimal) -> FailoverResult | None:
        """A climb that costs no more than the budget, and ends where it began if it leads nowhere else.

        None: the machine on which the work was is lost in earnest meanwhile; what was saved before is not.
        """
        for rung in rungs:
            try:
                if settled := await self._climb(rung):
                    return await self._done(rung, settled)
            except ApplicationError as err:
                if err.type != ErrorType.BUDGET_EXCEEDED:
                    raise
                self._aborted = err.message
            if self._aborted:
                break
        self._aborted = self._aborted or self._phase
        if settled := await self._climb(ladder.BACK):
            return await self._done(ladder.BACK, settled)
        self._aborted += f"; then the machine that was left did not take the work back: {self._phase}"
        self._drill = None
        self._order = replace(self._order, cause=Cause.SILENT, drill=None, leave=True)
        return None

    @workflow.signal
    def change_spec(self, spec: WorkloadSpec) -> None:
        """Search for another kind of machine from the next climb on; whoever waits for the market climbs at once."""
        self._order = replace(self._order, spec=spec)
        self._changed = True

    @workflow.query
    def phase(self) -> str:
        return self._phase

    async def _climb(self, rung: ladder.Rung) -> Settled | None:
        self._say(f"{rung.strategy}: {rung.reason}")
        if rung.release_lost:
            await self._let_go_of_lost_machine()
        if self._released:
            rung = replace(rung, in_place=False)  # nothing is started on a machine that is being destroyed
        try:
            return await self._within_its_time(rung)
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            if kind_of(err) == ErrorType.BUDGET_EXCEEDED:
                raise ApplicationError(words_of(err), type=ErrorType.BUDGET_EXCEEDED, non_retryable=True) from err
            if is_rotten(err):
                self._rotten.add(rung.strategy)
            # Nothing that another machine would mend, such as a key that was revoked: a person can mend it meanwhile.
            self._say(f"{rung.strategy} cannot go on: {err.cause or err}")
            return None

    async def _within_its_time(self, rung: ladder.Rung) -> Settled | None:
        climbing = CLIMB[rung.strategy](self._settler, self._order.lost, rung)
        if self._drill is not None and rung != ladder.BACK:
            return await self._within_its_budget(rung, climbing, self._drill)
        if not changes.knows("rungs-have-time-boxes"):
            return await climbing
        task, box = asyncio.create_task(climbing), self._order.spec.failover.rung_timeout
        try:
            await workflow.wait_condition(
                task.done, timeout=box, timeout_summary=f"the time that {rung.strategy} may take"
            )
            return task.result()
        except TimeoutError:
            if settled := await self._call_off(task):
                return settled
            self._say(f"{rung.strategy} took longer than {self._box_in_words()}")
            return None
        except asyncio.CancelledError:
            if settled := await self._call_off(task):
                await give_back(settled.lease, "cancelled")  # nobody will hear of it
            raise

    async def _within_its_budget(
        self, rung: ladder.Rung, climbing: Coroutine[Any, Any, Settled | None], budget: Decimal
    ) -> Settled | None:
        """As long as the rung may take, and no longer than the drill is paid for at what is paid just now."""
        task, ends = asyncio.create_task(climbing), workflow.now() + self._order.spec.failover.rung_timeout
        try:
            while not task.done():
                held = dict(self._settler.held)

                def is_news(seen: dict[str, drills.Held] = held) -> bool:
                    return task.done() or self._settler.held != seen

                dear = drills.dear_at(self._held(), budget=budget, now=workflow.now())
                until = min(ends, dear) if dear is not None else ends
                try:
                    await workflow.wait_condition(
                        is_news,
                        timeout=max(until - workflow.now(), timedelta(milliseconds=1)),
                        timeout_summary=f"the time and money that {rung.strategy} may take",
                    )
                except TimeoutError:
                    if settled := await self._call_off(task):
                        return settled
                    self._settler.let_all_go()
                    if until == dear:
                        self._aborted = f"its budget of ${budget:f} is used up"
                    self._say(self._aborted or f"{rung.strategy} took longer than {self._box_in_words()}")
                    return None
            return task.result()
        except asyncio.CancelledError:
            if settled := await self._call_off(task):
                await give_back(settled.lease, "cancelled")  # nobody will hear of it
            raise

    def _held(self) -> tuple[drills.Held, ...]:
        """What is paid for while the work stands still: the machine that was left, and those that are tried."""
        left = drills.Held(hourly=self._order.lost.hourly, since=self._order.decided_at)
        return (left, *self._settler.held.values())

    def _box_in_words(self) -> str:
        return f"{self._order.spec.failover.rung_timeout.total_seconds():g} s"

    async def _call_off(self, task: "asyncio.Task[Settled | None]") -> Settled | None:
        """What it rents is handed over before this returns; the machine on which the work runs by now, if it does."""
        self._settler.call_off()
        task.cancel()
        await to_its_end(asyncio.gather(task, return_exceptions=True))
        self._settler.call_on()
        return task.result() if not task.cancelled() and task.exception() is None else None

    async def _record(self) -> list[StrategyRecord]:
        """How earlier recoveries went, where the order depends on that."""
        if self._order.spec.failover.order is Order.WRITTEN:
            return []
        return await steps.strategy_records()

    def _ladder(self, record: list[StrategyRecord]) -> ladder.Ladder:
        order = self._order
        situation = ladder.Situation(
            cause=order.cause,
            has_checkpoint=order.head is not None,
            region=order.lost.region,
            leave=order.leave,
        )
        return ladder.ladder(order.spec.failover, situation, record=record, only=order.only)

    async def _done(self, rung: ladder.Rung, settled: Settled) -> FailoverResult:
        in_place = settled.lease.instance_id == self._order.lost.instance_id
        if not in_place:
            await self._let_go_of_lost_machine(or_else=settled.lease)
        self._say(f"the work runs again on {settled.lease.label}")
        return FailoverResult(
            lease=settled.lease,
            epoch=self._settler.epoch,
            strategy=rung.strategy,
            head=settled.head,
            phases=settled.phases,
            started_at=settled.started_at,
            attempts=tuple(self._settler.attempts),
            restored_from=settled.restored,
            kept_state=in_place,
            aborted=self._aborted,
        )

    async def _let_go_of_lost_machine(self, *, or_else: Lease | None = None) -> None:
        """Once. A cancel in the meantime lets the machine `or_else` go as well: nobody will hear of it."""
        if self._released:
            return
        self._released = True
        try:
            await give_back(
                self._order.lost, f"lost: {self._order.cause}", host_memory.conduct_of_loss(self._order.cause), "run"
            )
        except asyncio.CancelledError:
            if or_else is not None:
                await give_back(or_else, "cancelled")
            raise

    async def _wait_for_market(self) -> None:
        """Wait longer after each climb. Machines that failed us a while ago may then be tried again."""
        self._climbs += 1
        wait = min(FIRST_WAIT * 2 ** min(self._climbs - 1, 5), LONGEST_WAIT)
        self._say(f"no machine could be had; climbing again in {wait.total_seconds():g} s")
        self._changed = False
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._changed, timeout=wait, timeout_summary="wait for the market")
        attempts = self._settler.attempts[-ATTEMPTS_KEPT:]
        if workflow.info().is_continue_as_new_suggested():
            order = replace(
                self._order,
                epoch=self._settler.epoch,
                climbs=self._climbs,
                attempts=tuple(attempts),
                released=self._released,
            )
            workflow.continue_as_new(order)
        self._settler = self._new_settler(self._settler.epoch)
        self._settler.attempts = attempts

    def _new_settler(self, epoch: int) -> Settler:
        settler = Settler(
            self._order.spec,
            epoch=epoch,
            head=self._order.head,
            occasion=f"failover: {self._order.cause}",
            decided_at=self._order.decided_at,
            say=self._say,
        )
        if self._order.cause in TAKEN_BACK and self._order.lost.terms is Terms.INTERRUPTIBLE:
            settler.was_taken(self._order.lost)
        return settler

    def _say(self, phase: str) -> None:
        self._phase = phase
        workflow.set_current_details(f"**{self._order.cause}** · {self._order.reason}\n\n{phase}")
