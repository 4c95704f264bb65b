"""Write down what was rented by whoever heard it first.

A provider's worker has no records; it asks a control worker, by an activity that is in no workflow's history. So a
machine is on record even if nobody decides anything for a while, and a failover's history stays short.
"""

from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from temporalio import activity
from temporalio.client import ActivityFailureError
from temporalio.common import RetryPolicy
from temporalio.service import RPCError

from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.machines import Lease

WITHIN = timedelta(seconds=5)
"""After that the workflow does it, which waits for as long as the records need."""


async def recorded(lease: Lease) -> bool:
    """Whether the records have it. False says nothing: it may still be written."""
    with suppress(ActivityFailureError, RPCError):
        await activity.client().execute_activity(
            acts.record_lease,
            lease,
            id=f"record/{lease.label}/{uuid4().hex}",
            task_queue=names.CONTROL_QUEUE,
            start_to_close_timeout=WITHIN,
            schedule_to_close_timeout=WITHIN,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200)),
            summary=f"record {lease.label} on {lease.provider} {lease.instance_id}",
        )
        return True
    return False
