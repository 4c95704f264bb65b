"""Activities on the prices on record. Plain functions, as all that ask the records."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from holdfast.activities.translation import translated
from holdfast.contracts.market import (
    Asking,
    AskingsInput,
    ListPricesInput,
    PlanSurveyInput,
    PricedSeries,
    PricePage,
    PricesInput,
    RecordedPrices,
    RecordPricesInput,
    SurveyPlan,
    ThinInput,
    Thinned,
)
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics


class PriceRecords:
    """Every method may be repeated."""

    def __init__(self, records: Records, *, metrics: Metrics) -> None:
        self._records = records
        self._metrics = metrics

    def all(self) -> list[Callable[..., Any]]:
        return [
            self.record_prices,
            self.read_prices,
            self.list_prices,
            self.list_priced_gpus,
            self.list_askings,
            self.plan_survey,
            self.thin_prices,
        ]

    @activity.defn
    def record_prices(self, order: RecordPricesInput) -> RecordedPrices:
        with translated():
            done = self._records.record_prices(order)
        if order.asking is not None:
            self._metrics.surveyed(order.asking, done)
        return done

    @activity.defn
    def read_prices(self, order: PricesInput) -> PricePage:
        with translated():
            return self._records.prices_after(order)

    @activity.defn
    def list_prices(self, order: ListPricesInput) -> list[PricedSeries]:
        with translated():
            return self._records.priced_series(order)

    @activity.defn
    def list_priced_gpus(self, order: ListPricesInput) -> list[str]:
        with translated():
            return self._records.priced_gpus()

    @activity.defn
    def list_askings(self, order: AskingsInput) -> list[Asking]:
        with translated():
            return self._records.askings(order)

    @activity.defn
    def plan_survey(self, order: PlanSurveyInput) -> SurveyPlan:
        with translated():
            return self._records.plan_survey(order)

    @activity.defn
    def thin_prices(self, order: ThinInput) -> Thinned:
        with translated():
            return self._records.thin_prices(order)
