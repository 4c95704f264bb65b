"""Activities on forecasts of prices: what is due, and what is on record. The work for the CPU is in `fitting`."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from holdfast.activities.translation import translated
from holdfast.contracts.forecasts import (
    ForecastKey,
    HourlyPrices,
    ListForecastsInput,
    PlanRefitsInput,
    ReadHourlyInput,
    RecordedForecast,
)
from holdfast.records.store import Records


class ForecastRecords:
    """Every method may be repeated. Plain functions, as all that ask the records."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def all(self) -> list[Callable[..., Any]]:
        return [self.plan_refits, self.read_hourly, self.record_forecasts, self.list_forecasts]

    @activity.defn
    def plan_refits(self, order: PlanRefitsInput) -> list[ForecastKey]:
        with translated():
            return self._records.due_forecasts(order.at)

    @activity.defn
    def read_hourly(self, order: ReadHourlyInput) -> list[HourlyPrices]:
        with translated():
            return self._records.hourly_prices(order.keys)

    @activity.defn
    def record_forecasts(self, made: list[RecordedForecast]) -> int:
        with translated():
            return self._records.record_forecasts(made)

    @activity.defn
    def list_forecasts(self, order: ListForecastsInput) -> list[RecordedForecast]:
        with translated():
            return self._records.forecasts(order)
