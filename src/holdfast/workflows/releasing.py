"""Hand machines over to the workflows that let them go."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.failover import ReleaseInput
from holdfast.contracts.machines import Conduct, Lease
from holdfast.workflows import steps

Release = workflow.ChildWorkflowHandle[Any, None]
FIRST_LOOK_AGAIN = timedelta(milliseconds=500)
LONGEST_LOOK_AGAIN = timedelta(minutes=10)


async def release(
    lease: Lease,
    reason: str,
    conduct: Conduct = Conduct.NEUTRAL,
    failed_in: str = "",
    *,
    asleep: bool = False,
) -> Release | None:
    """Start the workflow that lets this machine go; it outlives its caller. None when one is at it already.

    `conduct` is remembered of the machine, and so is the step in which it failed us; `asleep`, that its work sleeps.
    """
    return await release_by_order(
        ReleaseInput(
            workload=lease.workload,
            provider=lease.provider,
            label=lease.label,
            instance_id=lease.instance_id,
            reason=reason[:200],
            lease=lease if lease.host_key else None,
            conduct=conduct,
            failed_in=failed_in if conduct is Conduct.BAD else "",
            asleep=asleep,
        )
    )


async def release_whatever_is_open(workload: str, reason: str) -> list[Release] | None:
    """The same for each machine that the records hold open, of this run or an earlier one. None when there is none."""
    found = await steps.open_leases(workload)
    orders = [
        ReleaseInput(
            workload=workload,
            provider=lease.provider,
            label=lease.label,
            instance_id=lease.instance_id,
            reason=reason[:200],
        )
        for lease in found
    ]
    started = [going for order in orders if (going := await release_by_order(order))]
    return started if found else None


async def until_nothing_is_open(workload: str, reason: str) -> None:
    """Let everything go that may cost money, and wait until the records say that nothing does any more."""
    wait = FIRST_LOOK_AGAIN
    while (started := await release_whatever_is_open(workload, reason)) is not None:
        for going in started:
            with suppress(ChildWorkflowError):  # somebody ended it by hand: the next look starts another
                await going
        await workflow.sleep(wait, summary="until the machines are gone")
        wait = min(wait * 2, LONGEST_LOOK_AGAIN)


async def release_by_order(order: ReleaseInput) -> Release | None:
    """As `release`, for a machine of which no more is known than the order says."""
    try:
        started = await workflow.start_child_workflow(
            names.RELEASE,
            order,
            id=names.release_id(order.label),
            task_queue=names.CONTROL_QUEUE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"let {order.label} go: {order.reason}",
            search_attributes=workflow.info().typed_search_attributes,
        )
        steps.unheard(started)
        return started
    except WorkflowAlreadyStartedError:
        workflow.logger.info("%s is being let go already", order.label)
        return None
