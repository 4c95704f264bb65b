"""Ask one activity, right now, without a workflow around it: the reads behind `report`, `offers` and `logs`."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import ActivityFailureError, Client
from temporalio.common import RetryPolicy
from temporalio.service import RPCError

from holdfast.client.translation import from_failure, from_rpc

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

# A person waits for these answers: a few quick tries, then the reason why not.
BRISK = RetryPolicy(initial_interval=timedelta(milliseconds=300), maximum_interval=timedelta(seconds=2))
PICKED_UP_WITHIN = timedelta(seconds=15)  # a worker that was killed is back by then


async def ask(
    client: Client,
    activity: Callable[[Asked], Awaitable[Answered]],
    question: Asked,
    *,
    queue: str,
    summary: str,
    within: timedelta = timedelta(seconds=30),
    tries: int = 3,
) -> Answered:
    """Run one activity on `queue` and return its answer. Safe to repeat, as every activity is.

    Raises:
        NoWorker: nobody took it in time.
        HoldfastError: the activity failed; the class says what to do.
    """
    name = activity.__name__
    try:
        return await client.execute_activity(
            activity,
            question,
            id=f"ask/{name}/{uuid4().hex}",
            task_queue=queue,
            schedule_to_start_timeout=PICKED_UP_WITHIN,
            start_to_close_timeout=within,
            retry_policy=replace(BRISK, maximum_attempts=tries),
            summary=summary,
        )
    except ActivityFailureError as err:
        raise from_failure(err.cause, doing=name, queue=queue) from err
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err


async def is_served(client: Client, queue: str) -> bool:
    """Whether a worker has asked for activities on `queue` within the last minutes."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    try:
        return bool((await client.workflow_service.describe_task_queue(request)).pollers)
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
