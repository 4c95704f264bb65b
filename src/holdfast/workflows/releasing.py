"""Hand a machine over to the workflow that lets it go."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.failover import ReleaseInput
from holdfast.contracts.machines import Lease
from holdfast.workflows import steps


async def release(lease: Lease, reason: str) -> workflow.ChildWorkflowHandle[Any, None] | None:
    """Start the workflow that lets this machine go; it outlives its caller. None when one is at it already."""
    order = ReleaseInput(
        workload=lease.workload,
        provider=lease.provider,
        label=lease.label,
        instance_id=lease.instance_id,
        reason=reason[:200],
        lease=lease if lease.host_key else None,
    )
    try:
        started = await workflow.start_child_workflow(
            names.RELEASE,
            order,
            id=names.release_id(lease.label),
            task_queue=names.CONTROL_QUEUE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"let {lease.label} go: {order.reason}",
            search_attributes=workflow.info().typed_search_attributes,
        )
        steps.unheard(started)
        return started
    except WorkflowAlreadyStartedError:
        workflow.logger.info("%s is being let go already", lease.label)
        return None
