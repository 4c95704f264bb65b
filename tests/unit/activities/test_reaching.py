"""One look at a machine: does it answer, and if not, could the fault be ours?"""

from collections.abc import Callable
from dataclasses import replace

from temporalio.testing import ActivityEnvironment

from holdfast.activities.hosts import HostActivities
from holdfast.contracts.activities import ReachInput, ReachResult, StartWorkInput
from holdfast.contracts.incidents import Reach
from holdfast.contracts.machines import Lease, SshAddress
from holdfast.contracts.spec import WorkloadSpec
from holdfast.hosts.pool import HostPool
from tests.unit.hosts.distance import far_away

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
