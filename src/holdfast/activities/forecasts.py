"""Activities on forecasts of prices: what is due and on record, and the work for the CPU, which is done elsewhere."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter
from typing import Any

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.activities.translation import translated
from holdfast.contracts.forecasts import (
    FitInput,
    Fitted,
    FitTrouble,
    ForecastKey,
    HourlyPrices,
    ListForecastsInput,
    PlanRefitsInput,
    ReadHourlyInput,
    RecordedForecast,
)
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics

Fit = Callable[[HourlyPrices], Awaitable[RecordedForecast]]
"""Forecasts one series, in another process; whatever it raises is about that series alone."""
FAILED = "failed"


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


class FitActivities:
    """For the analysis workers: no record and no key is needed."""

    def __init__(self, fit: Fit, *, metrics: Metrics) -> None:
        self._fit = fit
        self._metrics = metrics

    @activity.defn
    async def fit_forecasts(self, order: FitInput) -> Fitted:
        began = perf_counter()
        async with beating():
            done = await asyncio.gather(*(self._fitted(each) for each in order.histories))
        troubles = tuple(each for each in done if isinstance(each, FitTrouble))
        forecasts = tuple(each for each in done if isinstance(each, RecordedForecast))
        self._metrics.refitted(
            [*(each.answer.value for each in forecasts), *(FAILED for _ in troubles)],
            took=timedelta(seconds=perf_counter() - began),
        )
        return Fitted(forecasts=forecasts, troubles=troubles)

    async def _fitted(self, prices: HourlyPrices) -> RecordedForecast | FitTrouble:
        try:
            return await self._fit(prices)
        except Exception as err:
            activity.logger.warning("no forecast of %s", prices.key, exc_info=err)
            return FitTrouble(key=prices.key, reason=f"{type(err).__name__}: {err}"[:200])
