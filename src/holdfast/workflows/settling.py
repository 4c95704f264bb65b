"""Get the work running on a machine: claim an epoch, rent, move in; from the best offer (`ranking`) downwards.

Placement and every strategy of a failover use this one road, so a machine is never rented in two ways.

Holds throughout: each machine has an epoch of its own, raised in the records before anything is rented; a try
that fails hands its label to a `release` workflow, which ends whatever the label rented, even if we never learnt
its id; the time of failed tries counts as deciding.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.activities import ClaimEpochResult
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.disks import DiskCopy
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import Decision
from holdfast.contracts.incidents import Attempt, Phases
from holdfast.contracts.machines import Conduct, InstanceState, LaunchResult, Lease, Offer
from holdfast.contracts.memory import PlaceLoss
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy import host_memory
from holdfast.policy.drills import Held
from holdfast.policy.renting import taken
from holdfast.workflows import steps
from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.claiming import claim
from holdfast.workflows.failures import HOPELESS, conduct_in, kind_of, step_of, words_of
from holdfast.workflows.moving_in import MovedIn, Mover, NeverUp
from holdfast.workflows.racing import Race
from holdfast.workflows.ranking import rank_offers
from holdfast.workflows.releasing import release

SETUPS_TRIED = 2
_RUNNING = "running"


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The work runs."""

    lease: Lease
    head: CheckpointRef | None
    phases: Phases  # `detect` and `progress` are for the caller to fill in
    started_at: datetime
    restored: CheckpointRef | None  # None: it began with an empty workspace, or with what was on the machine


Attempting = Coroutine[Any, Any, Settled | None]


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
        wanted_at: datetime | None = None,
    ) -> None:
        self._spec = spec
        self._wanted_at = wanted_at  # when the work, which slept without a machine, was told to wake
        self.epoch = epoch
        self.head = head
        self._occasion = occasion
        self._decided_at = decided_at
        self._say = say
        self._mover = Mover(spec=spec, say=say, go_on=self._go_on, lead=self._lead)
        self._race: Race[Settled] | None = None
        self._earlier: tuple[CheckpointRef, ...] = ()
        self._avoid: set[str] = set()
        self._lost: PlaceLoss | None = None
        self._trying: set[str] = set()  # machines that are being tried
        self._costs_enough = False  # a race: the budget pays for no machine more
        self._failed_setups = 0
        self._copies: dict[str, DiskCopy] = {}  # by label: of the disk, where this machine was claimed
        self._began_with: dict[str, str] = {}  # by label: the copy with which its disk did begin
        self._claims = 0  # in the present search
        self._decision: Decision | None = None  # not on record yet: it goes there with the first claim that follows
        self._claiming = asyncio.Lock()  # an epoch that is claimed late would be behind the fence of a later one
        self.market_answered = True  # False: the last search reached no provider, which is not an empty market
        self.attempts: list[Attempt] = []
        self.held: dict[str, Held] = {}  # machines of this search by their labels, those given back included
        self.obstacle: ActivityError | None = None  # what kept the same machine from going on; None: it was not given
        self.called_off = False

    @property
    def may_start_empty(self) -> bool:
        """The policy lets saved work be lost."""
        return self._spec.failover.lose_work

    def call_off(self) -> None:
        """Nobody wants a machine any more. To be followed by a cancel, which a step that ends just now swallows."""
        self.called_off = True

    def avoid(self, machine_id: str) -> None:
        """Rent this machine no more during this search."""
        self._avoid.add(machine_id)

    def was_taken(self, lease: Lease) -> None:
        """The market took this machine just now: others in its region are in danger."""
        self._lost = PlaceLoss(provider=lease.provider, region=lease.region, gpu=lease.gpu, at=self._decided_at)

    def let_all_go(self) -> None:
        """Whatever this search was renting when it was called off has been handed over."""
        now = workflow.now()
        self.held = {label: each if each.until else replace(each, until=now) for label, each in self.held.items()}

    def call_on(self) -> None:
        """Take back a call to stop: whoever called off one search begins another."""
        self.called_off = False

    async def on_new_machine(self, strategy: str, *, with_state: bool, regions: tuple[str, ...] = ()) -> Settled | None:
        """Rent the best machine that takes us; None when there is none or each try failed.

        With `regions` only there, in that order. A policy that races rents several, and keeps the first that is ready.
        """
        self._begin()
        offers = await self._rank(strategy, regions)
        return await self._first_of(self._tries(offers, strategy, with_state))

    async def on_whichever_is_ready(self, lease: Lease, strategy: str, *, with_state: bool) -> Settled | None:
        """The same machine started again, or a new one: both at once, where the policy pays for that."""
        if not self._races and (settled := await self.on_same_machine(lease, strategy)):
            return settled
        self.avoid(lease.machine_id)
        if not self._races:
            return await self.on_new_machine(strategy, with_state=with_state)
        self._begin()
        offers = await self._rank(strategy, ())
        same = iter((self.on_same_machine(lease, strategy),))
        return await self._first_of(itertools.chain(same, self._tries(offers, strategy, with_state)))

    def _begin(self) -> None:
        self._claims, self._costs_enough = 0, False
        self._trying.clear()

    def _tries(self, offers: Iterable[Offer], strategy: str, with_state: bool) -> Iterator[Attempting]:
        """One try after the other, begun when it is asked for."""
        for offer in offers:
            if self._claims >= self._spec.failover.tries or self._costs_enough or self.called_off:
                return
            if offer.machine_id not in self._trying:  # several offers may be one machine
                self._claims += 1
                self._trying.add(offer.machine_id)
                yield self._try_offer(offer, strategy, with_state=with_state)

    async def _first_of(self, attempts: Iterable[Attempting]) -> Settled | None:
        """One after the other, or as many at once as the policy pays for."""
        if not self._races:
            for attempt in attempts:
                if settled := await attempt:
                    return settled
            return None
        self._race = Race(width=self._spec.failover.race, hedge=self._spec.failover.hedge, say=self._say)
        try:
            return await self._race.run(attempts)
        finally:
            self._race = None

    @property
    def _races(self) -> bool:
        return self._spec.failover.race > 1 or self._spec.failover.hedge is not None

    async def _lead(self, lease: Lease) -> Lease:
        """The machine is ready, and may take the work if it is the first. Its epoch becomes the newest."""
        if self._race is None:
            return lease
        self._race.lead()
        if lease.epoch == self.epoch:
            return lease
        lease = await self._with_newest_epoch(lease)
        await steps.settle_in(lease, self._spec)
        await steps.record_lease(lease)
        return lease

    async def on_same_machine(self, lease: Lease, strategy: str) -> Settled | None:
        """Start the machine again, if it was stopped, and the work on it with the state that is on its disk."""
        began = workflow.now()
        lease = await self._with_newest_epoch(lease)
        self._say(f"starting {lease.label} again in place")
        moved: MovedIn | NeverUp = NeverUp(state=InstanceState.WAITING)
        self.obstacle = None
        try:
            ordered_at = workflow.now()
            answer = await steps.start_instance(lease)
            accepted = workflow.now()
            if answer.state is not InstanceState.WAITING:
                moved = await self._mover.move_in(lease, ordered_at=ordered_at, restarted=True)
        except ActivityError as err:
            self._note(lease, strategy, "", began, outcome=_why(err))
            if is_cancelled_exception(err):
                raise
            self.obstacle = err
            return None
        if isinstance(moved, NeverUp):
            self._note(lease, strategy, "", began, outcome="did not start again in time")
            return None
        self._note(lease, strategy, "", began, outcome=_RUNNING)
        return self._settled(moved, began, accepted)

    async def on_standby(self, lost: Lease, strategy: str) -> Settled | None:
        """One standby of the policy's pool after the other, until one takes the work; None when none does."""
        self.avoid(lost.machine_id)
        for _ in range(self._spec.failover.tries):
            began = workflow.now()
            self._say(f"asking the pool {self._spec.failover.pool} for a standby")
            async with self._claiming:
                asked = await claim(self._spec, epoch=self.epoch + 1, lost=lost, avoid=frozenset(self._avoid))
                self.epoch = asked.epoch
            if (lease := asked.answer.lease) is None:
                self._say(asked.answer.refusal)
                return None
            if settled := await self._try_standby(lease, strategy, began, stopped=asked.answer.stopped):
                return settled
        return None

    async def _try_standby(self, lease: Lease, strategy: str, began: datetime, *, stopped: bool) -> Settled | None:
        """It is ours by the records: whatever comes of it, it takes the work or is given back."""
        taken_at = workflow.now()
        self._hold(lease, taken_at)
        try:
            self._go_on()
            self.head = await steps.read_head(self._spec.name)
            saved = (self.head, *self._earlier) if self.head else ()
            moved = await (self._wake_standby(lease, saved) if stopped else self._mover.take_over(lease, saved))
        except ActivityError as err:
            self._note(lease, strategy, "", began, outcome=_why(err))
            self._say(f"{lease.label} is given back: {_why(err)}")
            self.avoid(lease.machine_id)
            await give_back(lease, _why(err), conduct_in(err), step_of(err))
            if is_cancelled_exception(err) or self._is_hopeless(err):
                raise
            return None
        except asyncio.CancelledError:
            await give_back(lease, "cancelled")
            raise
        if isinstance(moved, NeverUp):
            gone = moved.state is InstanceState.WAITING
            why = "its GPU was taken while it stood by" if gone else "the standby did not start in time"
            self._note(lease, strategy, "", began, outcome=why)
            self._say(f"{lease.label} is given back: {why}")
            self.avoid(lease.machine_id)
            await give_back(lease, why)
            return None
        self._note(lease, strategy, "", began, outcome=_RUNNING)
        return self._settled(moved, began, taken_at)

    async def _wake_standby(self, lease: Lease, saved: Sequence[CheckpointRef]) -> MovedIn | NeverUp:
        """Start one that is stopped at its provider, with most of the state on its disk."""
        self._say(f"starting the standby {lease.label}")
        ordered_at = workflow.now()
        answer = await steps.start_instance(lease)
        if answer.state is InstanceState.WAITING:
            return NeverUp(state=answer.state)
        return await self._mover.move_in(lease, ordered_at=ordered_at, saved=saved, restarted=True)

    async def _with_newest_epoch(self, lease: Lease) -> Lease:
        """Raise the fence for a machine that we have."""
        async with self._claiming:
            self.epoch += 1
            lease = replace(lease, epoch=self.epoch)
            self.head = (await steps.claim_epoch(self._spec.name, lease.epoch, None)).head
            return lease

    async def _rank(self, strategy: str, regions: tuple[str, ...]) -> tuple[Offer, ...]:
        self._say("searching offers")
        self.market_answered = False
        found = await rank_offers(
            self._spec,
            strategy,
            epoch=self.epoch + 1,
            occasion=self._occasion,
            regions=regions,
            avoid=frozenset(self._avoid),
            lost=self._lost,
        )
        self.market_answered = found.market_answered
        self._decision = found.unrecorded
        return found.best

    async def _try_offer(self, offer: Offer, strategy: str, *, with_state: bool) -> Settled | None:
        began = workflow.now()
        self._say(f"trying {offer.gpu_count} x {offer.gpu} at {offer.provider}, {offer.place}, ${offer.hourly:.3f}/h")
        outcome, conduct, failed_in = "", Conduct.NEUTRAL, ""
        try:
            async with self._claiming:
                self.epoch += 1
                lease = _lease_of(offer, self._spec.name, self.epoch, began)
                lease = await self._claim(offer, lease)
            self._hold(lease, began)
        except ActivityError as err:
            if not self._is_passed_by(err):
                raise
            self._claims -= 1  # what another workload has claimed is no try of ours
            self._trying.discard(offer.machine_id)
            self._note(lease, strategy, offer.offer_id, began, outcome=f"taken: {words_of(err)}")
            return None
        try:
            self._go_on()
            launched = await to_its_end(self._launch(offer, lease, with_state=with_state))
            if launched.instance is None:
                outcome = f"refused: {launched.refusal}"
            else:
                lease = taken(lease, launched.instance)
                await steps.record_lease(lease, known=launched.recorded)
                accepted = workflow.now()
                saved = (self.head, *self._earlier) if with_state and self.head else ()
                moved = await self._mover.move_in(lease, ordered_at=began, saved=saved)
                if isinstance(moved, MovedIn):
                    self._note(lease, strategy, offer.offer_id, began, outcome=_RUNNING)
                    return self._settled(moved, began, accepted)
                conduct, outcome, failed_in = host_memory.conduct_of_boot(moved.state), _why_not_up(moved.state), "boot"
        except ActivityError as err:
            outcome, conduct, failed_in = _why(err), conduct_in(err), step_of(err)
            if is_cancelled_exception(err) and self._race is not None:
                await self._give_up(lease, strategy, offer, began)
                return None
            if is_cancelled_exception(err) or self._is_hopeless(err):
                await give_back(lease, outcome, conduct, failed_in)
                raise
        except asyncio.CancelledError:
            if self._race is not None:
                await self._give_up(lease, strategy, offer, began)
            else:
                await give_back(lease, "cancelled")
            raise
        finally:
            self._trying.discard(offer.machine_id)
        self._note(lease, strategy, offer.offer_id, began, outcome=outcome)
        self._say(f"{lease.label} is given back: {outcome}")
        self.avoid(offer.machine_id)
        await give_back(lease, outcome, conduct, failed_in)
        return None

    async def _give_up(self, lease: Lease, strategy: str, offer: Offer, began: datetime) -> None:
        """A try of a race that was called off."""
        why = "another machine was ready first" if self._race is not None and self._race.is_won else "cancelled"
        self._note(lease, strategy, offer.offer_id, began, outcome=why)
        await give_back(lease, why)

    def _settled(self, moved: MovedIn, began: datetime, accepted: datetime) -> Settled:
        phases = replace(moved.phases, decide=began - self._decided_at, provision=accepted - began)
        return Settled(
            lease=moved.lease, head=self.head, phases=phases, started_at=moved.started_at, restored=moved.restored
        )

    def _go_on(self) -> None:
        if self.called_off:
            raise asyncio.CancelledError

    async def _claim(self, offer: Offer, lease: Lease) -> Lease:
        """Raise the fence and open the cost line, which says the label; a cancel closes what was opened."""
        decision, self._decision = self._decision, None
        claiming = asyncio.create_task(
            steps.claim_epoch(self._spec.name, lease.epoch, offer, decision, wanted_at=self._wanted_at)
        )
        try:
            claimed = await to_its_end(claiming)
        except asyncio.CancelledError:
            if claiming.done() and not claiming.cancelled() and claiming.exception() is None:
                await give_back(_labelled(lease, claiming.result()), "cancelled")
            raise
        self.head, self._earlier = claimed.head, claimed.earlier
        lease = _labelled(lease, claimed)
        if claimed.disk is not None:
            self._copies[lease.label] = claimed.disk
        return lease

    async def _launch(self, offer: Offer, lease: Lease, *, with_state: bool) -> LaunchResult:
        """Where something is restored, with the newest copy of the disk: only what that lacks is fetched then."""
        label = lease.label
        copy = self._copies.get(label) if with_state and self.head else None
        asked_for = copy.name if copy else ""
        launched = await steps.launch(offer, lease, self._spec, from_snapshot=asked_for)
        if copy is not None and launched.instance is not None:
            self._began_with[label] = launched.from_snapshot
            began_as = f"as copy {copy.name}" if launched.from_snapshot else f"without copy {copy.name}, which is gone"
            self._say(f"the disk of {label} begins {began_as}")
        return launched

    def _is_hopeless(self, err: ActivityError) -> bool:
        """No other machine can mend it. A setup that fails on a second machine is the spec's fault, not theirs."""
        kind = kind_of(err)
        never_started = step_of(err) == "start_work" and kind == ErrorType.AGENT_FAILED
        self._failed_setups += never_started or kind == ErrorType.SETUP_FAILED
        return kind in HOPELESS or self._failed_setups >= SETUPS_TRIED

    def _is_passed_by(self, err: ActivityError) -> bool:
        """The offer cannot be claimed, and the search goes on without it: another has it, or a race has cost enough."""
        kind = kind_of(err)
        if kind == ErrorType.BUDGET_EXCEEDED and self._race is not None and len(self._trying) > 1:
            self._costs_enough = True
        return kind == ErrorType.OFFER_TAKEN or self._costs_enough

    def _hold(self, lease: Lease, since: datetime) -> None:
        self.held[lease.label] = Held(hourly=lease.hourly, since=since)

    def _note(self, lease: Lease, strategy: str, offer_id: str, began: datetime, *, outcome: str) -> None:
        attempt = Attempt(
            epoch=lease.epoch,
            strategy=strategy,
            provider=lease.provider,
            offer_id=offer_id,
            machine_id=lease.machine_id,
            hourly=lease.hourly,
            outcome=outcome,
            took=workflow.now() - began,
            began_with=self._began_with.get(lease.label, ""),
        )
        self.attempts.append(attempt)
        if outcome != _RUNNING and (held := self.held.get(lease.label)) is not None:
            self.held[lease.label] = replace(held, until=workflow.now())
        workflow.logger.info("tried %s: %s", lease.label, outcome)


async def give_back(lease: Lease, reason: str, conduct: Conduct = Conduct.NEUTRAL, failed_in: str = "") -> None:
    """Hand the label over, whatever happens to us meanwhile."""
    await asyncio.shield(asyncio.create_task(release(lease, reason, conduct, failed_in)))


def _lease_of(offer: Offer, workload: str, epoch: int, since: datetime) -> Lease:
    return Lease(
        workload=workload,
        epoch=epoch,
        label=names.label(workload, epoch),
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
        bid=offer.bid,
        storage_hourly=offer.storage_hourly,
    )


def _labelled(lease: Lease, claimed: ClaimEpochResult) -> Lease:
    """The records say what the machine wears. Workers that knew no marks did not: then it is what we thought."""
    return replace(lease, label=claimed.label or lease.label)


def _why_not_up(state: InstanceState) -> str:
    if state is InstanceState.STARTING:
        return "did not boot in time"
    if state is InstanceState.RUNNING:
        return "ran, and had no address in time"
    return f"did not come up, it was {state} in the end"


def _why(err: ActivityError) -> str:
    return f"{step_of(err)}: {words_of(err)}"
