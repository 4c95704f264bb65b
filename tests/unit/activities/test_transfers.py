"""A machine carries one transfer at a time; one that its caller has left may still be ending there."""

import asyncio
from collections.abc import Callable

import asyncssh
import pytest
from prometheus_client import CollectorRegistry
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.checkpoints import CheckpointActivities
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts.activities import SaveInput
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import WorkloadSpec
from holdfast.hosts.pool import HostPool
from holdfast.telemetry.metrics import Metrics
from holdfast.workflows import steps
from tests.unit.activities.slow_store import SlowStore
from tests.unit.hosts.machine import Machine


async def test_a_machine_that_is_busy_yet_with_an_older_transfer_is_asked_again(
    env: ActivityEnvironment,
    checkpoints: CheckpointActivities,
    store: SlowStore,
    client_key: asyncssh.SSHKey,
    lease: Lease,
    machine: Machine,
    spec: Callable[..., WorkloadSpec],
) -> None:
    (machine.home / "workspace").mkdir()
    (machine.home / "workspace/state").write_bytes(b"much" * 1000)
    last = SaveInput(lease=lease, spec=spec("true"), reason=SaveReason.FINISH, base=None, sequence=1)
    older = asyncio.create_task(env.run(checkpoints.save_checkpoint, last))
    await store.asked.wait()
    async with HostPool(client_key) as pool:  # of another worker, which has taken the step over
        elsewhere = CheckpointActivities(pool, CheckpointEngine(store), metrics=Metrics(CollectorRegistry()))
        with pytest.raises(ApplicationError) as refusal:
            await env.run(elsewhere.save_checkpoint, last)
        assert (refusal.value.type, refusal.value.non_retryable) == (ErrorType.AGENT_BUSY, False)
        store.ready.set()
        await older
        assert (await env.run(elsewhere.save_checkpoint, last)).files == 1


def test_no_step_on_a_host_takes_busy_for_an_answer() -> None:
    assert ErrorType.AGENT_BUSY not in steps._HOST_ANSWERS
