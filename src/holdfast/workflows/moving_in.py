"""From an accepted order to running work: boot, connect, restore, start.

Holds throughout: a conversation that breaks proves nothing, so a step is repeated on the same machine until the
evidence says that the machine is lost; a search that was called off takes no further step.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar, TypeVarTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Phases
from holdfast.contracts.machines import InstanceState, Lease
from holdfast.contracts.pools import HOST_EPOCH
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy.renting import runs_since, taken
from holdfast.workflows import changes, steps
from holdfast.workflows.failures import kind_of, step_of
from holdfast.workflows.weighing import answers_again

Outcome = TypeVar("Outcome")
More = TypeVarTuple("More")
CONVERSATIONS_TRIED = 5
STANDBY_PATIENCE = timedelta(seconds=5)
"""A standby that does not answer at once is of no use: there is another one, or another way."""


@dataclass(frozen=True, kw_only=True)
class MovedIn:
    """The work runs."""

    lease: Lease
    phases: Phases  # from boot to start
    started_at: datetime
    restored: CheckpointRef | None  # None: it began with an empty workspace, or with what was on the machine


@dataclass(frozen=True, kw_only=True)
class NeverUp:
    """The machine did not come up in time."""

    state: InstanceState  # the provider's last word


@dataclass(frozen=True, kw_only=True)
class Mover:
    """Brings a workload onto machines that were ordered for it."""

    spec: WorkloadSpec
    say: Callable[[str], None]
    go_on: Callable[[], None]  # raises CancelledError when nobody wants the machine any more
    lead: Callable[[Lease], Awaitable[Lease]]  # this machine is ready; raises CancelledError when another one was first
    stands_by: bool = False  # nothing is restored or started on it: that is for whoever takes it over

    async def move_in(
        self, lease: Lease, *, ordered_at: datetime, saved: Sequence[CheckpointRef] = (), restarted: bool = False
    ) -> MovedIn | NeverUp:
        """`ordered_at`: when its provider was asked for it. `saved`: what may be restored, newest first."""
        self.go_on()  # what was awaited until now may have swallowed a cancel
        accepted = workflow.now()
        self.say(f"{lease.label} is booting")
        instance = await steps.await_running(
            lease, self.spec.failover.boot_timeout, restarted=restarted, ordered_at=ordered_at
        )
        booted = workflow.now()
        lease = taken(lease, instance)
        if instance.state is InstanceState.RUNNING:
            lease = replace(lease, running_since=runs_since(instance, ordered_at, booted))
            if changes.knows("metered-by-state"):
                # Whatever comes of it, it is charged for from here on.
                await steps.record_lease(lease, known=instance.recorded)
        if instance.state is not InstanceState.RUNNING or instance.ssh is None:
            return NeverUp(state=instance.state)
        met = await self._persist(steps.settle_in, self._as_spoken_to(lease), self.spec)
        lease = replace(lease, host_key=met.host_key)
        connected = workflow.now()
        self.go_on()
        await steps.record_lease(lease, known=changes.fewer_steps())  # it says nothing new
        lease = await self.lead(lease)
        phases = Phases(boot=booted - accepted + met.reachable_after, connect=connected - booted - met.reachable_after)
        if self.stands_by:
            return MovedIn(lease=lease, phases=phases, started_at=connected, restored=None)
        return await self._set_to_work(lease, saved, phases, connected)

    async def take_over(self, lease: Lease, saved: Sequence[CheckpointRef]) -> MovedIn:
        """As `move_in`, of a machine that stood ready and is fenced for us by this: only what it lacks is fetched."""
        began = workflow.now()
        met = await steps.settle_in(lease, self.spec, patience=STANDBY_PATIENCE)
        lease = replace(lease, host_key=met.host_key)
        connected = workflow.now()
        self.go_on()
        await steps.record_lease(lease)
        return await self._set_to_work(lease, saved, Phases(connect=connected - began), connected)

    async def _set_to_work(
        self, lease: Lease, saved: Sequence[CheckpointRef], phases: Phases, connected: datetime
    ) -> MovedIn:
        """Restore what was saved, and start the work."""
        restored: CheckpointRef | None = None
        if saved and changes.fewer_steps():
            done, restored = await self._newest_sound(steps.resume_work, lease, saved)
            ready, started_at = done.restored_at, done.started_at
        else:
            if saved:
                _, restored = await self._newest_sound(steps.restore, lease, saved)
            ready = workflow.now()
            self.say(f"starting the work on {lease.label}")
            started_at = await self._persist(steps.start_work, lease, self.spec, restored)
        nothing = timedelta()  # clocks of workers differ
        phases = replace(phases, restore=max(ready - connected, nothing), start=max(started_at - ready, nothing))
        return MovedIn(lease=lease, phases=phases, started_at=started_at, restored=restored)

    def _as_spoken_to(self, lease: Lease) -> Lease:
        """A standby is not fenced with its pool's epoch, which may be above that of the workload that takes it over."""
        return replace(lease, epoch=HOST_EPOCH) if self.stands_by else lease

    async def _newest_sound(
        self,
        step: Callable[[Lease, WorkloadSpec, CheckpointRef], Awaitable[Outcome]],
        lease: Lease,
        saved: Sequence[CheckpointRef],
    ) -> tuple[Outcome, CheckpointRef]:
        """Take the step with one checkpoint after the other until one can be restored; which it was."""
        for checkpoint in saved:
            self.say(f"restoring checkpoint {checkpoint.sequence} on {lease.label}")
            try:
                return await self._persist(step, lease, self.spec, checkpoint), checkpoint
            except ActivityError as err:
                if not is_rotten(err):
                    raise
                self.say(f"checkpoint {checkpoint.sequence} cannot be restored: {err.cause}")
                last = err
        raise last

    async def _persist(self, step: Callable[[Lease, *More], Awaitable[Outcome]], lease: Lease, *more: *More) -> Outcome:
        """Repeat a step whose conversation breaks, while the evidence does not say that the machine is lost."""
        for _ in range(CONVERSATIONS_TRIED - 1):
            self.go_on()
            try:
                return await step(lease, *more)
            except ActivityError as err:
                broken_off = kind_of(err) == ErrorType.HOST_UNREACHABLE
                if not broken_off or not await answers_again(lease, silence=self.spec.failover.silence):
                    raise
                self.say(f"{lease.label} answers again: {step_of(err)} goes on")
        self.go_on()
        return await step(lease, *more)


def is_rotten(err: ActivityError) -> bool:
    """The checkpoint itself is damaged or missing: another machine would find it the same."""
    return kind_of(err) in (ErrorType.CHECKPOINT_CORRUPT, ErrorType.NO_CHECKPOINT)
