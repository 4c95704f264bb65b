"""A forecast for the records is the very one that `holdfast market forecast` makes of the same prices."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np

from holdfast.contracts.forecasts import ForecastAnswer, ForecastKey, HourlyPrices
from holdfast.contracts.machines import Terms
from holdfast.contracts.market import MarketPoint
from holdfast.market.candidates import LEADS
from holdfast.market.fitting import fit
from holdfast.market.forecast import forecast
from holdfast.market.recorded import series_of
from holdfast.market.series import Series
from holdfast.policy.price_ahead import expected_change
from tests.unit.market.examples import BEGIN, reverting

HOUR = timedelta(hours=1)
KEY = ForecastKey(gpu="H100", provider="vast", kind=Terms.INTERRUPTIBLE)


def prices() -> list[float | None]:
    """One that comes back to its mean, dear at its end, with a gap."""
    found: list[float | None] = [round(each, 4) for each in reverting().prices.tolist()]
    found[100:103] = [None] * 3
    found[-1] = 3.0
    return found


def test_it_is_what_the_command_says() -> None:
    told = prices()
    points = [
        MarketPoint(
            at=BEGIN + hour * HOUR,
            provider=KEY.provider,
            gpu=KEY.gpu,
            kind=KEY.kind,
            minimum=Decimal(str(price)),
            median=Decimal(1),
        )
        for hour, price in enumerate(told)
        if price is not None
    ]
    said = forecast(series_of(points)[0])
    kept = fit(HourlyPrices(key=KEY, first=BEGIN, runs=tuple((1, each) for each in told)))
    assert (kept.answer, kept.why, kept.last, kept.known_until) == (said.answer, said.why, said.last, said.at)
    assert kept.answer is ForecastAnswer.SKILL and kept.key == KEY
    assert [each.lead for each in kept.leads] == LEADS.tolist()
    for lead, skill in zip(kept.leads, said.skills, strict=True):
        hour = said.hours[lead.lead - 1]
        assert (lead.price, lead.low80, lead.high95, lead.model, lead.skill) == (
            hour.price,
            hour.low80,
            hour.high95,
            skill.model,
            skill.skill,
        )


def test_a_price_far_above_its_mean_is_expected_to_fall_as_the_hours_of_the_path_say() -> None:
    told = prices()
    kept = fit(HourlyPrices(key=KEY, first=BEGIN, runs=tuple((1, each) for each in told)))
    path = [hour.price for hour in forecast(reverting_as(told)).hours[:8]]
    assert expected_change(kept) < -0.1
    assert abs(expected_change(kept) - (np.mean(path) / 3.0 - 1)) < 1e-3


def reverting_as(told: list[float | None]) -> Series:
    return replace(reverting(), prices=np.array([np.nan if each is None else each for each in told]))


def test_too_few_prices_are_an_answer() -> None:
    kept = fit(HourlyPrices(key=KEY, first=BEGIN, runs=((3, 1.0), (2, None), (1, 1.1))))
    assert (kept.answer, kept.leads) == (ForecastAnswer.NOT_ENOUGH, ())
    assert "prices of 4 hours" in kept.why
    nothing = fit(HourlyPrices(key=KEY, first=BEGIN, runs=((5, None),)))
    assert nothing.answer is ForecastAnswer.NOT_ENOUGH and nothing.last is None
