"""Rent standbys for a warm pool, and keep them fit to take over.

Holds throughout: a standby is rented by the same road as any machine; it is given up only on evidence that it is lost.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Conduct, InstanceState, Lease
from holdfast.contracts.pools import HOST_EPOCH, PoolSpec, Standby
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy.renting import runs_since, taken
from holdfast.workflows import steps
from holdfast.workflows.failures import kind_of, words_of
from holdfast.workflows.moving_in import is_rotten
from holdfast.workflows.settling import Settler
from holdfast.workflows.weighing import answers_again, provider_word

LOOK_WITHIN = timedelta(seconds=20)
_MACHINE_SAYS_NO = (ErrorType.HOST_REFUSED, ErrorType.HOST_KEY_CHANGED, ErrorType.LEASE_RAN_OUT)


class Lost(Exception):
    """The standby is of no use any more."""

    def __init__(self, reason: str, conduct: Conduct = Conduct.BAD) -> None:
        super().__init__(reason)
        self.conduct = conduct


class Renter(Settler):
    """One search for one standby."""

    def __init__(self, spec: WorkloadSpec, *, epoch: int, say: Callable[[str], None]) -> None:
        super().__init__(spec, epoch=epoch, head=None, occasion="warm pool", decided_at=workflow.now(), say=say)
        self._mover = replace(self._mover, stands_by=True)

    async def rent(self, avoid: Collection[str], regions: tuple[str, ...]) -> Lease | None:
        """None when nothing fits, or nothing came up. Raises ActivityError for what no other offer would mend."""
        for machine_id in sorted(avoid):
            self.avoid(machine_id)
        settled = await self.on_new_machine("standby", with_state=False, regions=regions)
        return settled.lease if settled else None

    @property
    def why_none(self) -> str:
        """What came of the search, for people."""
        if self.attempts:
            return f"no machine could be had, the last: {self.attempts[-1].outcome}"
        return "nothing fits" if self.market_answered else "no provider answers"


def regions_for(pool: PoolSpec, standbys: Sequence[Standby]) -> tuple[str, ...]:
    """Where the next one is looked for: first where there are fewest; () for wherever is best."""
    wanted = pool.resources.regions
    if not pool.spread or len(wanted) < 2:
        return ()
    count = {region: sum(each.lease.region == region for each in standbys) for region in wanted}
    return tuple(sorted(wanted, key=lambda region: (count[region], wanted.index(region))))


def served_next(pool: PoolSpec, standbys: Sequence[Standby]) -> str:
    """The workload of which fewest standbys keep the checkpoint; "" when the pool serves none in particular."""
    count = {name: sum(each.serves == name for each in standbys) for name in pool.sync}
    return min(pool.sync, key=lambda name: (count[name], pool.sync.index(name)), default="")


async def look_after(standby: Standby, spec: WorkloadSpec) -> Standby:
    """See that it is there and what was rented, keep its lease alive, and bring it up to the newest checkpoint.

    Raises:
        Lost: the evidence says that it is lost, or it is not the machine that it was.
    """
    lease = replace(standby.lease, epoch=HOST_EPOCH)
    try:
        await steps.settle_in(lease, spec, patience=LOOK_WITHIN)
        standby = replace(standby, seen_at=workflow.now())
        head = await steps.read_head(standby.serves) if standby.serves else None
        if head is not None and _is_news(head, standby.synced):
            await steps.restore(lease, spec, head)
            standby = replace(standby, synced=head)
        return replace(standby, synced_at=workflow.now() if head else standby.synced_at)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        if kind_of(err) in _MACHINE_SAYS_NO:
            raise Lost(words_of(err)) from err
        if kind_of(err) == ErrorType.HOST_UNREACHABLE:
            await _require_it_answers_again(lease, spec, err)
        elif not is_rotten(err):
            workflow.logger.info("%s is not looked after this time: %s", standby.lease.label, words_of(err))
        return standby


async def that_pause(providers: Sequence[str]) -> tuple[str, ...]:
    """Those that can stop a machine and keep its disk.

    Raises:
        ApplicationError: none of them can.
    """
    able, why = [], ""
    for provider in providers:
        try:
            await steps.require_pausing(provider)
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            why = words_of(err)
        else:
            able.append(provider)
    if not able:
        message = f"no provider of this pool can keep a machine stopped: {why}"
        raise ApplicationError(message, type=ErrorType.REQUEST_REJECTED, non_retryable=True)
    return tuple(able)


async def wants_waking(standby: Standby, sync_every: timedelta) -> bool:
    """Ask after a standby that is stopped: whether there is a newer checkpoint for it, and it is time.

    Raises:
        Lost: its provider knows it no more.
    """
    word = await provider_word(standby.lease)
    if word is not None and word.state is InstanceState.GONE:
        raise Lost("its provider knows it no more")
    if word is not None and word.state in (InstanceState.RUNNING, InstanceState.STARTING):
        return True  # an earlier try to wake it was not heard of; it is looked after, and stopped again
    if not standby.serves or (standby.synced_at is not None and workflow.now() - standby.synced_at < sync_every):
        return False
    head = await steps.read_head(standby.serves)
    return head is not None and _is_news(head, standby.synced)


async def wake(standby: Standby, patience: timedelta) -> Standby:
    """Start it again. A step that fails is raised as it is; nothing is known then.

    Raises:
        Lost: somebody else has its GPU, or it does not come up.
    """
    ordered_at = workflow.now()
    answer = await steps.start_instance(standby.lease)
    if answer.state is InstanceState.WAITING:
        raise Lost("its GPU was taken while it was stopped", Conduct.NEUTRAL)
    instance = await steps.await_running(standby.lease, patience, restarted=True, ordered_at=ordered_at)
    if instance.state is not InstanceState.RUNNING or instance.ssh is None:
        raise Lost(f"it did not start again in time, it is {instance.state}", Conduct.NEUTRAL)
    since = runs_since(instance, ordered_at, workflow.now())
    lease = replace(taken(standby.lease, instance), running_since=since)
    await steps.record_lease(lease, known=instance.recorded)
    return replace(standby, lease=lease, stopped=False)


async def put_to_rest(standby: Standby) -> Standby:
    """Stop it at its provider: only its disk is paid for from then on."""
    await steps.stop_instance(standby.lease)
    await steps.meter_lease(standby.lease, InstanceState.STOPPED, charged=None)
    return replace(standby, stopped=True)


async def _require_it_answers_again(lease: Lease, spec: WorkloadSpec, err: ActivityError) -> None:
    if not await answers_again(lease, silence=spec.failover.silence):
        raise Lost(words_of(err)) from err


def _is_news(head: CheckpointRef, synced: CheckpointRef | None) -> bool:
    return synced is None or head.manifest != synced.manifest
