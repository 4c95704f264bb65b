"""A forecast for the records, from nothing but the prices that it is made from. Runs in a process of its own."""

from datetime import UTC, datetime

import numpy as np

from holdfast.contracts.forecasts import HourlyPrices, LeadForecast, RecordedForecast
from holdfast.market.forecast import LeadSkill, PriceForecast, forecast
from holdfast.market.recorded import KINDS
from holdfast.market.series import Series, SeriesKey


def fit(prices: HourlyPrices) -> RecordedForecast:
    """The forecast from the end of these prices. Never fails for want of them: then it says what is missing."""
    found = forecast(series_of(prices))
    return RecordedForecast(
        key=prices.key,
        made_at=datetime.now(UTC),
        known_until=found.at,
        answer=found.answer,
        why=found.why,
        last=found.last,
        leads=tuple(_lead(found, each) for each in found.skills),
        alarm=found.drift,
    )


def series_of(prices: HourlyPrices) -> Series:
    """The hours that the runs stand for."""
    hours = [np.full(many, np.nan if price is None else price) for many, price in prices.runs]
    key = prices.key
    return Series(
        key=SeriesKey(gpu=key.gpu, provider=key.provider, region=key.region, kind=KINDS[key.kind], measure=key.measure),
        first=prices.first,
        prices=np.concatenate(hours) if hours else np.empty(0),
    )


def _lead(found: PriceForecast, skill: LeadSkill) -> LeadForecast:
    hour = found.hours[skill.lead - 1]
    return LeadForecast(
        lead=skill.lead,
        price=hour.price,
        low80=hour.low80,
        high80=hour.high80,
        low95=hour.low95,
        high95=hour.high95,
        model=skill.model,
        skill=skill.skill,
    )
