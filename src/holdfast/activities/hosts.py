"""Activities on rented machines: reach one, settle in, start and stop its work."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from holdfast.activities.beating import beating, waiting_since
from holdfast.activities.renewing import begin_lease, renewing, require_lease
from holdfast.activities.secrets import SecretSource
from holdfast.activities.sightings import OwnSide, Sightings
from holdfast.activities.translation import translated
from holdfast.contracts import activities as acts
from holdfast.contracts.channel import AgentError, ChannelLost, Json, understood
from holdfast.contracts.hearsay import words
from holdfast.contracts.incidents import Reach
from holdfast.contracts.machines import Lease, Probe, Requirements
from holdfast.contracts.spec import Alone, FailoverSpec
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.errors import HostError, HostKeyChanged, HostRefused, HostUnreachable, LoginRefused
from holdfast.hosts.heartbeat import WorkState, parse_time
from holdfast.hosts.pool import HostPool

_KNOCK_EVERY = 0.1  # seconds between two tries to reach a machine whose SSH server is not up yet
# A look from scratch is some twelve round trips: to the login, and from there to the agent's word. The step has 20 s,
# of which some are for the other machines to speak.
_TO_THE_AGENT, _LONGEST_LOOK = timedelta(seconds=3), timedelta(seconds=14)
_WORD_WITHIN = timedelta(seconds=4)  # a connection that stands and carries nothing is dead; the next look opens another
_START_SILENCE = timedelta(minutes=2)  # a setup that runs says so every few seconds, however long it takes
_MEMORY_SLACK = 0.9  # drivers keep some of a GPU's nominal memory for themselves


class HostActivities:
    """Stateless but for the pool of connections, which is an optimisation."""

    def __init__(
        self,
        pool: HostPool,
        *,
        secrets: SecretSource,
        sightings: Sightings,
        start_silence: timedelta = _START_SILENCE,
    ) -> None:
        self._pool = pool
        self._secrets = secrets
        self._sightings = sightings
        self._start_silence = start_silence

    @activity.defn
    async def missing_secrets(self, names: list[str]) -> list[str]:
        return [name for name in names if not self._secrets.has(name)]

    @activity.defn
    async def settle_in(self, order: acts.SettleInput) -> acts.SettleResult:
        began = time.monotonic()
        async with beating():
            with translated():
                host_key = await self._first_contact(order.lease, waiting_since() + order.patience.total_seconds())
                reachable_after = timedelta(seconds=time.monotonic() - began)
                async with self._pool.channel(order.lease) as channel:
                    # Whatever an older epoch left running on this machine ends before anything new begins.
                    await channel.call("fence", {"epoch": order.lease.epoch})
                    await begin_lease(channel, order.lease, order.deadman, order.alone)
                    probe = await channel.probe()
                self._sightings.saw(order.lease.label)
                _check_claims(probe, order.lease, order.requirements)
        return acts.SettleResult(host_key=host_key, probe=probe, reachable_after=reachable_after)

    async def _first_contact(self, lease: Lease, until: float) -> str:
        """Knock until the machine lets us in; its host key. A login that is refused may only be early."""
        while True:
            try:
                return (await self._pool.session(lease)).host_key
            except (HostUnreachable, LoginRefused):
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_KNOCK_EVERY)

    @activity.defn
    async def start_work(self, order: acts.StartWorkInput) -> acts.StartWorkResult:
        spec = order.spec
        params = {
            # The same for every repeat of this step, and for no other start.
            "token": f"{order.lease.label}/{order.lease.epoch}",
            "workload": spec.name,
            "epoch": order.lease.epoch,
            "command": spec.command,
            "setup": spec.setup,
            "workspace": spec.workspace,
            "env": self._secrets.resolve(spec.environment),
            # 0: one that is free; none: it is no service.
            "service_port": None if spec.service is None else spec.service.port or 0,
        }
        async with beating():
            with translated():
                async with self._pool.channel(order.lease) as channel:
                    view = await self._start(channel, params, order.lease, spec.failover)
                    return acts.StartWorkResult(started_at=await _on_our_clock(channel, view))

    async def _start(
        self, channel: AgentChannel, params: dict[str, Any], lease: Lease, failover: FailoverSpec
    ) -> dict[str, Any]:
        """Start under a lease that is kept alive, however long the setup takes.

        Raises:
            AgentError: kind `deadman`: the lease ran out while nobody kept it; it stopped what had been started.
        """
        if (await channel.heartbeat()).token == params["token"]:
            await require_lease(channel)
        else:
            alone = acts.LeftAlone(finish=failover.alone is Alone.FINISH, end_after=failover.end_after)
            # One that ran out while nothing of this start ran has stopped nothing.
            await begin_lease(channel, lease, failover.deadman, alone)
        try:
            async with renewing(channel, failover.deadman):
                return await channel.call("start", params, timeout=self._start_silence)
        except AgentError:
            await require_lease(channel)  # a setup that the dead man stopped has not failed by itself
            raise

    @activity.defn
    async def stop_work(self, order: acts.StopWorkInput) -> None:
        grace = order.grace.total_seconds()
        with translated():
            async with self._pool.channel(order.lease) as channel:
                await channel.call("stop", {"grace_s": grace}, timeout=order.grace + timedelta(seconds=30))

    @activity.defn
    async def try_reach(self, order: acts.ReachInput) -> acts.ReachResult:
        try:
            reach, detail, running = await self._reach(order.lease)
        except (HostError, ChannelLost) as err:
            return await self._missed(order.lease, err)
        self._sightings.saw(order.lease.label)
        at = datetime.now(UTC)
        return acts.ReachResult(reach=reach, at=at, detail=detail, work_running=running, we_are_online=True)

    async def _missed(self, lease: Lease, err: Exception) -> acts.ReachResult:
        """It does not let us in: what speaks for its fault, and what for ours?"""
        refuses = isinstance(err, LoginRefused | HostKeyChanged | HostRefused)
        if not refuses:
            await self._pool.drop(lease.label, lease.epoch)
        self._sightings.missed(lease.label)
        side = await self._sightings.own_side(lease.label)
        # A login is refused for the key's sake; only one that opened this machine before is proven to be the right one.
        our_key = isinstance(err, LoginRefused) and not self._sightings.was_let_in(lease.label)
        return acts.ReachResult(
            reach=Reach.REFUSES if refuses else Reach.SILENT,
            at=datetime.now(UTC),
            detail=words(err),
            we_are_online=side is OwnSide.PROVEN and not our_key,
            own_side_doubtful=side is OwnSide.DOUBTED or our_key,
        )

    async def _reach(self, lease: Lease) -> tuple[Reach, str, bool]:
        """Raises HostError and ChannelLost as the pool and its channel do; that they take too long is silence."""
        patience = min(self._pool.connect_timeout + _TO_THE_AGENT, _LONGEST_LOOK).total_seconds()
        try:
            async with asyncio.timeout(patience), self._pool.channel(lease) as channel:
                beat = await channel.heartbeat(within=_WORD_WITHIN)
        except AgentError as err:
            return Reach.REFUSES, words(f"the agent refuses: {err}"), False
        except TimeoutError as late:
            raise HostUnreachable(f"no answer within {patience:g} s") from late
        if beat.deadman_at is not None:
            return Reach.NO_AGENT, "the dead-man lease ran out and stopped the work", False
        running = beat.state in (WorkState.SETUP, WorkState.RUNNING)
        known_end = beat.state is WorkState.EXITED and beat.exit_code is not None
        if running or known_end:
            return Reach.ANSWERS, f"work is {beat.state}", running
        return Reach.NO_AGENT, f"the machine answers and the work is not running ({beat.state})", False


async def _on_our_clock(channel: AgentChannel, work: Json) -> datetime:
    """When the work began, told by the machine, on this computer's clock: theirs may be off by hours."""
    with understood("the agent's word on the work that it started"):
        began_there = parse_time(work["started_at"])
    now_there = (await channel.heartbeat()).at
    return datetime.now(UTC) - max(now_there - began_there, timedelta())


def _check_claims(probe: Probe, lease: Lease, needs: Requirements) -> None:
    """A machine that is not what was rented is given back.

    Raises:
        HostRefused: it lacks GPUs or GPU memory that the offer promised.
    """
    if len(probe.gpus) < lease.gpu_count:
        raise HostRefused(f"{lease.gpu_count} GPUs were promised, {len(probe.gpus)} are there")
    for gpu in probe.gpus:
        if not is_model(lease.gpu, gpu.name):
            raise HostRefused(f"{lease.gpu} was promised, {gpu.name} is there")
        if gpu.memory_mb < needs.gpu_memory_gb * 1000 * _MEMORY_SLACK:
            raise HostRefused(f"{needs.gpu_memory_gb:g} GB of GPU memory are needed, {gpu.memory_mb} MB are there")


def is_model(offered: str, driver_says: str) -> bool:
    """Whether the driver's name fits the offer's: `H100 SXM` is `NVIDIA H100 80GB HBM3`, `RTX 4090` no `RTX 3090`.

    Offers and drivers name boards and memory differently, and share the model: the first word that has a digit.
    """
    words = [_plain(word) for word in offered.split()]
    model = next((word for word in words if any(letter.isdigit() for letter in word)), "".join(words))
    return model in _plain(driver_says)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
