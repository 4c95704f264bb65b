"""Steps that take longer than the dead-man lease keep it alive; one that ran out is told as what it is."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.checkpoints import CheckpointActivities
from holdfast.activities.hosts import HostActivities
from holdfast.activities.renewing import begin_lease
from holdfast.activities.secrets import SecretSource
from holdfast.activities.sightings import Sightings
from holdfast.contracts.activities import RestoreInput, SaveInput, SettleInput, StartWorkInput
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Lease, Requirements
from holdfast.contracts.spec import WorkloadSpec
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import Heartbeat
from holdfast.hosts.pool import HostPool
from tests.unit.activities.slow_store import SlowStore
from tests.unit.hosts.machine import Machine, until

LEASE = timedelta(seconds=3)
Spec = Callable[..., WorkloadSpec]


async def outlives_the_lease(channel: AgentChannel) -> Heartbeat:
    """Listen for longer than the lease lasts; the last beat."""
    beats = channel.heartbeats(timedelta(seconds=0.1))
    first = await anext(beats)
    async for beat in beats:
        if beat.deadman_at or beat.at - first.at > LEASE * 1.3:
            return beat
    raise AssertionError("a channel's heartbeats end with ChannelLost only")


async def settle(env: ActivityEnvironment, hosts: HostActivities, lease: Lease) -> None:
    order = SettleInput(lease=lease, requirements=Requirements(), patience=LEASE, deadman=LEASE)
    await env.run(hosts.settle_in, order)


async def test_a_setup_longer_than_the_lease_is_not_stopped(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, lease: Lease, machine: Machine, spec: Spec
) -> None:
    await settle(env, hosts, lease)
    slow = spec("sleep 1000", setup="while test ! -e go; do sleep 0.05; done", deadman=LEASE)
    starting = asyncio.create_task(env.run(hosts.start_work, StartWorkInput(lease=lease, spec=slow, sequence=None)))
    await until((machine.home / "workspace").exists)
    async with pool.channel(lease) as channel:
        assert (await outlives_the_lease(channel)).deadman_at is None
    (machine.home / "workspace/go").touch()
    assert (await starting).started_at


async def test_a_setup_may_be_silent_for_longer_than_a_start_may(
    env: ActivityEnvironment, pool: HostPool, lease: Lease, tmp_path: Path, spec: Spec
) -> None:
    """The agent says that the setup still runs, which is what the limit on silence is about."""
    quick = timedelta(seconds=4)
    secrets = SecretSource(tmp_path)
    hosts = HostActivities(pool, secrets=secrets, sightings=Sightings(), start_silence=quick)
    await settle(env, hosts, lease)
    slow = spec("sleep 1000", setup=f"sleep {quick.total_seconds() * 1.5}")
    assert await env.run(hosts.start_work, StartWorkInput(lease=lease, spec=slow, sequence=None))


async def test_a_setup_that_the_dead_man_stopped_has_not_failed_by_itself(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, lease: Lease, machine: Machine, spec: Spec
) -> None:
    await settle(env, hosts, lease)
    slow = StartWorkInput(lease=lease, spec=spec("true", setup="touch begun; sleep 1000"), sequence=None)
    starting = asyncio.create_task(env.run(hosts.start_work, slow))
    await until((machine.home / "workspace/begun").exists)
    async with pool.channel(lease) as channel:
        await begin_lease(channel, lease, timedelta(seconds=0.1), None)  # nobody renews it so often
    for attempt in (starting, env.run(hosts.start_work, slow)):
        with pytest.raises(ApplicationError) as failure:
            await attempt
        assert failure.value.type == ErrorType.LEASE_RAN_OUT


async def test_a_lease_that_ran_out_before_the_start_has_stopped_nothing_and_begins_anew(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, lease: Lease, spec: Spec
) -> None:
    async with pool.channel(lease) as channel:
        await begin_lease(channel, lease, timedelta(), None)
        assert (await outlives_the_lease(channel)).deadman_at
        await env.run(hosts.start_work, StartWorkInput(lease=lease, spec=spec("sleep 1000"), sequence=None))
        beat = await anext(channel.heartbeats())
    assert beat.deadman_at is None and beat.lease_left is not None and beat.lease_left > LEASE


@pytest.mark.long
async def test_transfers_longer_than_the_lease_keep_it_alive(
    env: ActivityEnvironment,
    hosts: HostActivities,
    checkpoints: CheckpointActivities,
    store: SlowStore,
    pool: HostPool,
    lease: Lease,
    machine: Machine,
    spec: Spec,
) -> None:
    await settle(env, hosts, lease)
    (machine.home / "workspace").mkdir()
    (machine.home / "workspace/state").write_bytes(b"much" * 1000)
    last = SaveInput(lease=lease, spec=spec("true", deadman=LEASE), reason=SaveReason.STOP, base=None, sequence=1)
    saved = await held_up(env.run(checkpoints.save_checkpoint, last), store, pool, lease)
    again = RestoreInput(lease=lease, workspace="restored", manifest=saved.manifest, deadman=LEASE)
    await held_up(env.run(checkpoints.restore_checkpoint, again), store, pool, lease)
    assert (machine.home / "restored/state").exists()


async def held_up(transfer: Awaitable[Any], store: SlowStore, pool: HostPool, lease: Lease) -> Any:
    """Let the store be slower than the lease is long."""
    store.asked.clear()
    store.ready.clear()
    running = asyncio.ensure_future(transfer)
    await store.asked.wait()
    async with pool.channel(lease) as channel:
        assert (await outlives_the_lease(channel)).deadman_at is None
    store.ready.set()
    return await running
