"""Settling in on a machine: a fresh one, and one that goes on in place under a new epoch."""

from collections.abc import Callable
from datetime import timedelta

import asyncssh
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.hosts import HostActivities
from holdfast.contracts.activities import SettleInput, StartWorkInput, StopWorkInput
from holdfast.contracts.channel import AgentError
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Lease, Requirements
from holdfast.contracts.spec import ServiceSpec, WorkloadSpec
from holdfast.hosts.heartbeat import WorkState
from holdfast.hosts.pool import HostPool

WHILE = timedelta(minutes=1)
At = Callable[[int], Lease]
Spec = Callable[..., WorkloadSpec]


async def settle(env: ActivityEnvironment, hosts: HostActivities, lease: Lease) -> None:
    await env.run(hosts.settle_in, SettleInput(lease=lease, requirements=Requirements(), patience=WHILE, deadman=WHILE))


async def start(env: ActivityEnvironment, hosts: HostActivities, lease: Lease, spec: WorkloadSpec) -> None:
    await env.run(hosts.start_work, StartWorkInput(lease=lease, spec=spec, sequence=None))


async def test_work_of_an_older_epoch_is_stopped_before_anything_new_begins(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, at_epoch: At, spec: Spec
) -> None:
    for epoch in (3, 4):
        await settle(env, hosts, at_epoch(epoch))
        async with pool.channel(at_epoch(epoch)) as channel:
            beat = await anext(channel.heartbeats())
            assert (beat.epoch, beat.state is WorkState.RUNNING) == (epoch, False)
        await start(env, hosts, at_epoch(epoch), spec("sleep 1000"))


async def test_settling_in_again_under_the_same_epoch_leaves_its_work_alone(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, lease: Lease, spec: Spec
) -> None:
    await settle(env, hosts, lease)
    await start(env, hosts, lease, spec("sleep 1000"))
    await settle(env, hosts, lease)
    async with pool.channel(lease) as channel:
        assert (await anext(channel.heartbeats())).state is WorkState.RUNNING


@pytest.mark.parametrize(("port", "connections"), [(None, None), (9, 0)])
async def test_the_agent_counts_connections_at_the_port_that_the_order_names(
    env: ActivityEnvironment,
    hosts: HostActivities,
    pool: HostPool,
    lease: Lease,
    spec: Spec,
    port: int | None,
    connections: int | None,
) -> None:
    await settle(env, hosts, lease)
    serves = spec("sleep 1000").model_copy(update={"service": port and ServiceSpec(port=port)})
    order = StartWorkInput(lease=lease, spec=serves, sequence=None)
    await env.run(hosts.start_work, order)
    async with pool.channel(lease) as channel:
        assert (await anext(channel.heartbeats())).connections == connections


async def test_who_speaks_for_an_older_epoch_is_refused_over_old_connections_and_new_ones(
    env: ActivityEnvironment, hosts: HostActivities, client_key: asyncssh.SSHKey, pool: HostPool, at_epoch: At
) -> None:
    await settle(env, hosts, at_epoch(3))
    await settle(env, hosts, at_epoch(4))
    with pytest.raises(ApplicationError) as old:
        await env.run(hosts.stop_work, StopWorkInput(lease=at_epoch(3), grace=timedelta(seconds=1)))
    assert old.value.type == ErrorType.FENCED
    with pytest.raises(AgentError) as new:
        async with HostPool(client_key) as elsewhere, elsewhere.channel(at_epoch(3)):
            pass
    assert new.value.kind == "fenced"


async def test_doubting_the_connection_of_an_older_epoch_leaves_the_newer_one_open(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, at_epoch: At
) -> None:
    await settle(env, hosts, at_epoch(3))
    async with pool.channel(at_epoch(4)) as channel:
        await pool.drop("train.e3", 3)
        assert not channel.closed
        await pool.drop("train.e3")
        assert channel.closed
