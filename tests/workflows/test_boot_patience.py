"""The patience with a boot is one for all tries of the step, whatever ends each of them."""

import asyncio
import uuid
from datetime import timedelta

import httpx
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from holdfast.activities.machines import MachineActivities
from holdfast.contracts.activities import AwaitRunningInput
from holdfast.contracts.machines import InstanceState
from tests.unit.providers.wire import HTML, INSTANCE, Wire, listing

BOOTING = INSTANCE | {"actual_status": "loading"}
PATIENCE = timedelta(seconds=3)


async def test_an_api_that_fails_now_and_then_does_not_prolong_the_patience_with_a_boot(
    temporal: WorkflowEnvironment,
) -> None:
    now_and_then = 200
    wire = Wire(
        show=[httpx.Response(200, json={"instances": BOOTING}), HTML] * now_and_then,
        list=[listing(BOOTING), HTML] * now_and_then,
    )
    machines = MachineActivities(wire.provider(), ssh_public_key="")
    queue = f"boot-{uuid.uuid4().hex}"
    async with Worker(temporal.client, task_queue=queue, activities=[machines.await_running]), asyncio.timeout(120):
        instance = await temporal.client.execute_activity(
            machines.await_running,
            AwaitRunningInput(provider="vast", instance_id=str(INSTANCE["id"]), patience=PATIENCE),
            id=queue,
            task_queue=queue,
            start_to_close_timeout=timedelta(minutes=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=0.1), maximum_interval=timedelta(seconds=0.1)),
        )
    assert instance.state is InstanceState.STARTING
