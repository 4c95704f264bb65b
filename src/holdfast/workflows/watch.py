"""One listing of a provider's machines, for all workloads; each hears only what changed about its own.

The listing runs in one long activity. This workflow exists so that there is exactly one of it per provider, and so
that it is found again after any crash.
"""

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.activities import WatchProviderInput
from holdfast.workflows import steps


@workflow.defn(name=names.WATCH)
class WatchWorkflow:
    @workflow.run
    async def run(self, order: WatchProviderInput) -> None:
        workflow.set_current_details(f"listing **{order.provider}** every {order.every.total_seconds():g} s")
        await steps.watch_provider(order.provider, order.every)
        workflow.continue_as_new(order)
