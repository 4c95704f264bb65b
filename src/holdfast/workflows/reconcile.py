"""Hold our meter against what a provider charges. Run by a schedule; `holdfast cost` does the same by hand."""

from datetime import timedelta

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.money import Drift, ReconcileInput
from holdfast.workflows import steps

LOOKED_BACK = timedelta(days=31)
MOST_COMPARED = 5_000
"""Of the newest machines: one message holds only so many."""


@workflow.defn(name=names.RECONCILE)
class ReconcileWorkflow:
    @workflow.run
    async def run(self, provider: str) -> Drift | None:
        """None where the provider does not tell what it charges."""
        since = workflow.now() - LOOKED_BACK
        charges = await steps.read_charges(provider, since)
        if charges is None:
            workflow.set_current_details(f"{provider} does not tell what it charges")
            return None
        order = ReconcileInput(provider=provider, since=since, charges=tuple(charges[-MOST_COMPARED:]))
        drift = await steps.reconcile_charges(order)
        workflow.set_current_details(_told(drift))
        return drift


def _told(drift: Drift) -> str:
    verdict = f"**drift beyond tolerance**, most on `{drift.worst}`" if drift.beyond else "no drift"
    bills = f"{drift.provider} charges ${drift.charged} for {drift.machines} machines, our meter says ${drift.metered}"
    return f"{verdict}: {bills}"
