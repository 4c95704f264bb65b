"""The work for the CPU behind a forecast. It knows no records: the workers that do it have none."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.contracts.forecasts import FitInput, Fitted, FitTrouble, HourlyPrices, RecordedForecast
from holdfast.telemetry.metrics import Metrics

Fit = Callable[[HourlyPrices], Awaitable[RecordedForecast]]
"""Forecasts one series, in another process; whatever it raises is about that series alone."""
FAILED = "failed"


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
