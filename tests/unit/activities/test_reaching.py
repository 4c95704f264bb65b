"""One look at a machine: does it answer, and if not, could the fault be ours?"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncssh
from temporalio.testing import ActivityEnvironment

from holdfast.activities.hosts import HostActivities
from holdfast.activities.secrets import SecretSource
from holdfast.activities.sightings import Sightings
from holdfast.contracts.activities import ReachInput, ReachResult, StartWorkInput
from holdfast.contracts.incidents import Reach
from holdfast.contracts.machines import Lease, SshAddress
from holdfast.contracts.spec import WorkloadSpec
from holdfast.hosts.pool import HostPool
from holdfast.simcloud.hosts.folder import Link
from holdfast.simcloud.hosts.link import Cable
from tests.unit.hosts.distance import far_away
from tests.unit.hosts.machine import Machine

Spec = Callable[..., WorkloadSpec]


async def look(env: ActivityEnvironment, hosts: HostActivities, lease: Lease) -> ReachResult:
    return await env.run(hosts.try_reach, ReachInput(lease=lease))


async def test_a_machine_on_the_other_side_of_the_world_answers_the_first_look(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, address: SshAddress, lease: Lease, spec: Spec
) -> None:
    await env.run(hosts.start_work, StartWorkInput(lease=lease, spec=spec("sleep 1000"), sequence=None))
    await pool.drop(lease.label)
    async with far_away(address, round_trip=0.5) as there:
        found = await look(env, hosts, replace(lease, ssh=there))
        await pool.drop(lease.label)
    assert (found.reach, found.work_running) == (Reach.ANSWERS, True), found


async def test_a_machine_that_let_us_in_and_refuses_now_is_at_fault_itself(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, machine: Machine, address: SshAddress, lease: Lease
) -> None:
    assert (await look(env, hosts, lease)).we_are_online
    await pool.drop(lease.label)
    await machine.halt()
    machine.client_key = asyncssh.generate_private_key("ssh-ed25519")
    await machine.boot(address.port)
    found = await look(env, hosts, lease)
    assert (found.reach, found.own_side_doubtful) == (Reach.REFUSES, False), found


async def test_a_key_that_was_never_let_in_may_be_the_wrong_one_also_while_others_are_let_in(
    env: ActivityEnvironment, sightings: Sightings, lease: Lease, tmp_path: Path
) -> None:
    async with HostPool(asyncssh.generate_private_key("ssh-ed25519")) as pool:
        hosts = HostActivities(pool, secrets=SecretSource(tmp_path), sightings=sightings)
        async with others_that_answer(sightings):
            found = await look(env, hosts, lease)
    assert (found.reach, found.we_are_online, found.own_side_doubtful) == (Reach.REFUSES, False, True), found


async def test_machines_behind_one_cut_line_cast_doubt_on_our_side_and_one_alone_does_not(
    env: ActivityEnvironment, hosts: HostActivities, lease: Lease
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        cut = replace(lease, ssh=SshAddress(host="127.0.0.1", port=nobody.getsockname()[1], user="root"))
    alone = await look(env, hosts, cut)
    assert (alone.reach, alone.we_are_online, alone.own_side_doubtful) == (Reach.SILENT, False, False)
    together = await look(env, hosts, replace(cut, label="other.e1"))
    assert (together.we_are_online, together.own_side_doubtful) == (False, True)
    again = await look(env, hosts, cut)
    assert (again.we_are_online, again.own_side_doubtful) == (False, True)


async def test_a_machine_is_missed_for_its_own_fault_while_another_one_answers(
    env: ActivityEnvironment, hosts: HostActivities, sightings: Sightings, lease: Lease
) -> None:
    async with others_that_answer(sightings):
        found = await look(env, hosts, replace(lease, ssh=None))
    assert (found.reach, found.we_are_online, found.own_side_doubtful) == (Reach.SILENT, True, False)


async def test_a_connection_that_stands_and_carries_nothing_is_given_up_for_a_new_one(
    env: ActivityEnvironment, hosts: HostActivities, pool: HostPool, lease: Lease, cable: tuple[Cable, SshAddress]
) -> None:
    line, there = cable[0], replace(lease, ssh=cable[1])
    async with pool.channel(there) as channel:
        line.set(Link(cut=True))
        assert (await look(env, hosts, there)).reach is Reach.SILENT
        assert channel.closed
    line.set(Link())
    assert (await look(env, hosts, there)).reach is Reach.NO_AGENT, "it answers, and no work runs"
    await pool.drop(lease.label)


@asynccontextmanager
async def others_that_answer(sightings: Sightings) -> AsyncIterator[None]:
    """Another machine that is watched and well."""

    async def beat() -> None:
        while True:
            sightings.saw("other.e1")
            await asyncio.sleep(0.05)

    sightings.listen("other.e1")
    beating = asyncio.create_task(beat())
    yield
    beating.cancel()
