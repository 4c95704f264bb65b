"""Get the work running on a machine: rank, claim an epoch, rent, reach, restore, start.

Placement and every strategy of a failover use this one road, so a machine is never rented in two ways.

Holds throughout: each machine has an epoch of its own, raised in the records before anything is rented; a try
that fails hands its label to a `release` workflow, which ends whatever the label rented, even if we never learnt
its id; the time of failed tries counts as deciding.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeGuard, TypeVar, TypeVarTuple

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import Decision, ReleaseInput
from holdfast.contracts.incidents import Attempt, Phases
from holdfast.contracts.machines import Instance, InstanceState, Lease, Offer
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy import placement
from holdfast.workflows import steps
from holdfast.workflows.weighing import answers_again

Outcome = TypeVar("Outcome")
More = TypeVarTuple("More")
SETUPS_TRIED = 2
CONVERSATIONS_TRIED = 5
_HOPELESS = (
    ErrorType.SECRET_MISSING,
    ErrorType.CREDENTIALS_REFUSED,
    ErrorType.OUT_OF_CREDIT,
    ErrorType.NO_CHECKPOINT,
    ErrorType.CHECKPOINT_CORRUPT,
    ErrorType.FENCED,
)


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The work runs."""

    lease: Lease
    head: CheckpointRef | None
    phases: Phases  # `detect` and `progress` are for the caller to fill in
    started_at: datetime
    restored: CheckpointRef | None  # None: it began with an empty workspace, or with what was on the machine


class Settler:
    """One search for a machine. Keeps what the tries taught: the epoch, the machines to avoid, the attempts."""

    def __init__(
        self,
        spec: WorkloadSpec,
        *,
        epoch: int,
        head: CheckpointRef | None,
        occasion: str,
        decided_at: datetime,
        say: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self.epoch = epoch
        self.head = head
        self._occasion = occasion
        self._decided_at = decided_at
        self._say = say
        self._earlier: tuple[CheckpointRef, ...] = ()
        self._avoid: set[str] = set()
        self._failed_setups = 0
        self.market_answered = True  # False: the last search reached no provider, which is not an empty market
        self.attempts: list[Attempt] = []

    def avoid(self, machine_id: str) -> None:
        """Rent this machine no more during this search."""
        self._avoid.add(machine_id)

    async def on_new_machine(self, strategy: str, *, with_state: bool) -> Settled | None:
        """Rent the best machine that takes us; None when there is none or each try failed."""
        for offer in await self._rank(strategy):
            if settled := await self._try_offer(offer, strategy, with_state=with_state):
                return settled
        return None

    async def on_same_machine(self, lease: Lease, strategy: str) -> Settled | None:
        """Start the machine again, if it was stopped, and the work on it with the state that is on its disk."""
        began = workflow.now()
        self.epoch += 1
        self.head = (await steps.claim_epoch(self._spec.name, self.epoch, None)).head
        lease = replace(lease, epoch=self.epoch)
        self._say(f"starting {lease.label} again in place")
        settled = None
        try:
            answer = await steps.start_instance(lease)
            if answer.state is not InstanceState.WAITING:
                settled = await self._bring_up(lease, began, with_state=False, restarted=True)
        except ActivityError as err:
            self._note(lease, strategy, "", began, outcome=_why(err))
            if is_cancelled_exception(err):
                raise
            return None
        self._note(lease, strategy, "", began, outcome="running" if settled else "did not start again in time")
        return settled

    async def _rank(self, strategy: str) -> tuple[Offer, ...]:
        """Ask every provider at once, rank the answers and keep the ranking on record."""
        needs = self._spec.requirements()
        self._say("searching offers")
        searches = (steps.search_offers(provider, needs) for provider in self._spec.providers)
        answers = await asyncio.gather(*searches, return_exceptions=True)
        failures = [answer for answer in answers if _failed(answer)]
        self.market_answered = len(failures) < len(answers)
        if failures and not self.market_answered and _is_final(failures[0]):
            raise failures[0]  # no key is accepted, say: that will not mend by itself
        offers = [offer for answer in answers if not isinstance(answer, BaseException) for offer in answer]
        silent = [str(name) for name, answer in zip(self._spec.providers, answers, strict=True) if _failed(answer)]
        ranking = placement.rank(offers, needs, avoid_machines=frozenset(self._avoid), now=workflow.now())
        await steps.record_decision(self._decision(ranking, strategy, silent))
        return ranking.best[: self._spec.failover.tries]

    def _decision(self, ranking: placement.Ranking, strategy: str, silent: list[str]) -> Decision:
        reason = f"{len(ranking.best)} offers fit, {ranking.rejected_total} do not"
        if silent:
            reason += f"; no answer from {', '.join(silent)}"
        return Decision(
            workload=self._spec.name,
            epoch=self.epoch + 1,
            made_at=workflow.now(),
            occasion=self._occasion,
            strategy=strategy,
            reason=reason,
            chosen=ranking.chosen,
            rejected=ranking.rejected,
            rejected_total=ranking.rejected_total,
        )

    async def _try_offer(self, offer: Offer, strategy: str, *, with_state: bool) -> Settled | None:
        self.epoch += 1
        began = workflow.now()
        label = names.label(self._spec.name, self.epoch)
        self._say(f"trying {offer.gpu_count} x {offer.gpu} at {offer.provider}, {offer.place}, ${offer.hourly:.3f}/h")
        lease = _lease_of(offer, self._spec.name, self.epoch, label, began)
        settled, outcome = None, "did not boot in time"
        await self._claim(offer, lease)
        try:
            launched = await _to_its_end(steps.launch(offer, label=label, spec=self._spec))
            if launched.instance is None:
                outcome = f"refused: {launched.refusal}"
            else:
                lease = _taken(lease, launched.instance)
                await steps.record_lease(lease)
                settled = await self._bring_up(lease, began, with_state=with_state)
        except ActivityError as err:
            outcome = _why(err)
            if is_cancelled_exception(err) or self._is_hopeless(err):
                await self._give_back(lease, outcome)
                raise
        except asyncio.CancelledError:
            await self._give_back(lease, "cancelled")
            raise
        self._note(lease, strategy, offer.offer_id, began, outcome="running" if settled else outcome)
        if settled is None:
            self._say(f"{label} is given back: {outcome}")
            self.avoid(offer.machine_id)
            await self._give_back(lease, outcome)
        return settled

    async def _claim(self, offer: Offer, lease: Lease) -> None:
        """Raise the fence and open the cost line; a cancel closes what was opened."""
        claiming = asyncio.create_task(steps.claim_epoch(self._spec.name, self.epoch, offer))
        try:
            claimed = await _to_its_end(claiming)
        except asyncio.CancelledError:
            if claiming.done() and not claiming.cancelled() and claiming.exception() is None:
                await self._give_back(lease, "cancelled")
            raise
        self.head, self._earlier = claimed.head, claimed.earlier

    async def _bring_up(
        self, lease: Lease, began: datetime, *, with_state: bool, restarted: bool = False
    ) -> Settled | None:
        """From an accepted order to running work; None when the machine never came up."""
        accepted = workflow.now()
        self._say(f"{lease.label} is booting")
        instance = await steps.await_running(lease, self._spec.failover.boot_timeout, restarted=restarted)
        if instance.state is not InstanceState.RUNNING or instance.ssh is None:
            return None
        lease = _taken(lease, instance)
        booted = workflow.now()
        met = await self._persist(steps.settle_in, lease, self._spec)
        lease = replace(lease, host_key=met.host_key)
        connected = workflow.now()
        await steps.record_lease(lease)
        restored = await self._restore(lease) if with_state and self.head else None
        ready = workflow.now()
        self._say(f"starting the work on {lease.label}")
        started_at = await self._persist(steps.start_work, lease, self._spec, restored)
        phases = Phases(
            decide=began - self._decided_at,
            provision=accepted - began,
            boot=booted - accepted + met.reachable_after,
            connect=connected - booted - met.reachable_after,
            restore=ready - connected,
            start=max(started_at - ready, timedelta()),
        )
        return Settled(lease=lease, head=self.head, phases=phases, started_at=started_at, restored=restored)

    async def _restore(self, lease: Lease) -> CheckpointRef:
        """Restore the head, or the newest earlier checkpoint that is sound, and return which it was."""
        assert self.head is not None, "without a head there is nothing to restore"
        for checkpoint in (self.head, *self._earlier):
            self._say(f"restoring checkpoint {checkpoint.sequence} on {lease.label}")
            try:
                await self._persist(steps.restore, lease, self._spec, checkpoint)
            except ActivityError as err:
                if not is_rotten(err):
                    raise
                self._say(f"checkpoint {checkpoint.sequence} cannot be restored: {err.cause}")
                last = err
            else:
                return checkpoint
        raise last

    async def _persist(self, step: Callable[[Lease, *More], Awaitable[Outcome]], lease: Lease, *more: *More) -> Outcome:
        """A conversation that breaks is no dead machine: repeat the step while the evidence does not say that it is."""
        for _ in range(CONVERSATIONS_TRIED - 1):
            try:
                return await step(lease, *more)
            except ActivityError as err:
                if not _is_broken_off(err) or not await answers_again(lease, silence=self._spec.failover.silence):
                    raise
                self._say(f"{lease.label} answers again: {err.activity_type} goes on")
        return await step(lease, *more)

    def _is_hopeless(self, err: ActivityError) -> bool:
        """No other machine can mend it. A setup that fails on a second machine is the spec's fault, not theirs."""
        kind = err.cause.type if isinstance(err.cause, ApplicationError) else None
        never_started = err.activity_type == "start_work" and kind == ErrorType.AGENT_FAILED
        self._failed_setups += never_started or kind == ErrorType.SETUP_FAILED
        return kind in _HOPELESS or self._failed_setups >= SETUPS_TRIED

    def _note(self, lease: Lease, strategy: str, offer_id: str, began: datetime, *, outcome: str) -> None:
        attempt = Attempt(
            epoch=self.epoch,
            strategy=strategy,
            provider=lease.provider,
            offer_id=offer_id,
            machine_id=lease.machine_id,
            hourly=lease.hourly,
            outcome=outcome,
            took=workflow.now() - began,
        )
        self.attempts.append(attempt)
        workflow.logger.info("tried %s: %s", lease.label, outcome)

    async def _give_back(self, lease: Lease, reason: str) -> None:
        """Hand the label over, whatever happens to us meanwhile."""
        await asyncio.shield(asyncio.create_task(_release_and_forget(lease, reason)))


async def _to_its_end(step: Coroutine[Any, Any, Outcome] | asyncio.Task[Outcome]) -> Outcome:
    """A cancel waits for the answer: a machine that is rented while nobody listens would be found by nobody."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def release(lease: Lease, reason: str) -> workflow.ChildWorkflowHandle[Any, None] | None:
    """Start the workflow that lets this machine go; it outlives its caller. None when one is at it already."""
    order = ReleaseInput(
        workload=lease.workload,
        provider=lease.provider,
        label=lease.label,
        instance_id=lease.instance_id,
        reason=reason[:200],
        lease=lease if lease.host_key else None,
    )
    try:
        started = await workflow.start_child_workflow(
            names.RELEASE,
            order,
            id=names.release_id(lease.label),
            task_queue=names.CONTROL_QUEUE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"let {lease.label} go: {order.reason}",
            search_attributes=workflow.info().typed_search_attributes,
        )
        steps.unheard(started)
        return started
    except WorkflowAlreadyStartedError:
        workflow.logger.info("%s is being let go already", lease.label)
        return None


async def _release_and_forget(lease: Lease, reason: str) -> None:
    await release(lease, reason)


def _lease_of(offer: Offer, workload: str, epoch: int, label: str, since: datetime) -> Lease:
    return Lease(
        workload=workload,
        epoch=epoch,
        label=label,
        provider=offer.provider,
        instance_id="",
        machine_id=offer.machine_id,
        host_id=offer.host_id,
        gpu=offer.gpu,
        gpu_count=offer.gpu_count,
        region=offer.region,
        terms=offer.terms,
        hourly=offer.hourly,
        since=since,
        contract_ends=offer.contract_ends,
    )


def _taken(lease: Lease, instance: Instance) -> Lease:
    """The lease with what the provider has told by now; its price is the one that is billed."""
    return replace(
        lease,
        instance_id=instance.instance_id,
        machine_id=instance.machine_id or lease.machine_id,
        host_id=instance.host_id or lease.host_id,
        hourly=instance.hourly or lease.hourly,
        ssh=instance.ssh or lease.ssh,
        contract_ends=instance.contract_ends or lease.contract_ends,
    )


def _failed(answer: object) -> TypeGuard[BaseException]:
    if isinstance(answer, BaseException) and is_cancelled_exception(answer):
        raise answer
    return isinstance(answer, BaseException)


def _is_final(err: BaseException) -> bool:
    cause = err.cause if isinstance(err, ActivityError) else None
    return isinstance(cause, ApplicationError) and cause.type in _HOPELESS


def _is_broken_off(err: ActivityError) -> bool:
    return isinstance(err.cause, ApplicationError) and err.cause.type == ErrorType.HOST_UNREACHABLE


def is_rotten(err: ActivityError) -> bool:
    """The checkpoint itself is damaged or missing: another machine would find it the same."""
    cause = err.cause
    return isinstance(cause, ApplicationError) and cause.type in (ErrorType.CHECKPOINT_CORRUPT, ErrorType.NO_CHECKPOINT)


def _why(err: ActivityError) -> str:
    cause = err.cause
    return f"{err.activity_type}: {cause.message if isinstance(cause, ApplicationError) else cause or err}"
