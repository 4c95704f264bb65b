"""Activities on budgets, costs and bills. Plain functions, as all that ask the records."""

from temporalio import activity

from holdfast.activities.translation import translated
from holdfast.contracts.money import (
    BudgetWord,
    CostPage,
    CostsInput,
    Drift,
    ReconcileInput,
    SetBudgetInput,
    Standing,
    StandingsInput,
)
from holdfast.contracts.savings import LivesInput, LivesPage, LossesInput, LossLine
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics


class MoneyActivities:
    """Every method may be repeated."""

    def __init__(self, records: Records, *, metrics: Metrics) -> None:
        self._records = records
        self._metrics = metrics

    @activity.defn
    def keep_budget(self, workload: str) -> BudgetWord:
        with translated():
            return self._records.keep_budget(workload)

    @activity.defn
    def set_budget(self, order: SetBudgetInput) -> list[Standing]:
        with translated():
            return self._records.set_budget(order)

    @activity.defn
    def read_budgets(self, order: StandingsInput) -> list[Standing]:
        with translated():
            return self._records.standings(order)

    @activity.defn
    def read_costs(self, order: CostsInput) -> CostPage:
        with translated():
            return self._records.costs_after(order.after)

    @activity.defn
    def read_lives(self, order: LivesInput) -> LivesPage:
        with translated():
            return self._records.lives_after(order)

    @activity.defn
    def read_losses(self, order: LossesInput) -> list[LossLine]:
        with translated():
            return self._records.losses(order)

    @activity.defn
    def reconcile_charges(self, order: ReconcileInput) -> Drift:
        with translated():
            found = self._records.reconcile(order)
        self._metrics.drift(order.provider, metered=found.metered, charged=found.charged, beyond=found.beyond)
        return found
