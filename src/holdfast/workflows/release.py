"""Let one machine go: destroy it until its provider no longer knows it, then close its cost line.

A workflow of its own, so that nobody has to wait for a provider that is down, and so that a workload may end, or
be terminated by hand, while the machine's end is still being seen to. It is never given up.
"""

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.failover import ReleaseInput
from holdfast.workflows import steps


@workflow.defn(name=names.RELEASE)
class ReleaseWorkflow:
    @workflow.run
    async def run(self, order: ReleaseInput) -> None:
        workflow.set_current_details(f"**{order.label}** at {order.provider}: {order.reason}")
        if order.instance_id:
            await steps.destroy(order.provider, order.instance_id)
        # Also by label: a launch whose answer was lost may have rented what we never heard of, and not be listed yet.
        await steps.reap(order.provider, order.label, wait_out_lag=not order.instance_id)
        await steps.close_lease(order.label, order.reason)
        workflow.set_current_details(f"**{order.label}** is gone from {order.provider}")
