"""What a forecast on record says of the usual stay on a machine."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.contracts.forecasts import ForecastAnswer, ForecastKey, LeadForecast, RecordedForecast
from holdfast.contracts.machines import Terms
from holdfast.policy.price_ahead import expected_change

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def lead(hours: int, price: float) -> LeadForecast:
    return LeadForecast(
        lead=hours, price=price, low80=price, high80=price, low95=price, high95=price, model="a mean", skill=0.1
    )


def forecast(*leads: LeadForecast, **more: Any) -> RecordedForecast:
    told: dict[str, Any] = {"answer": ForecastAnswer.SKILL, "last": 1.0, "why": ""} | more
    key = ForecastKey(gpu="H100", provider="vast", kind=Terms.INTERRUPTIBLE)
    return RecordedForecast(key=key, made_at=NOW, known_until=NOW, leads=leads, **told)


def test_it_is_the_mean_of_the_hours_of_the_stay() -> None:
    assert expected_change(forecast(lead(1, 1.1), lead(168, 1.1))) == pytest.approx(0.1)
    rising = expected_change(forecast(lead(8, 1.2)))
    assert rising == pytest.approx(sum(1.2 ** (hour / 8) for hour in range(1, 9)) / 8 - 1, abs=1e-4)
    assert expected_change(forecast(lead(1, 0.9), lead(12, 0.9)), timedelta(hours=24)) == pytest.approx(-0.1)


@pytest.mark.parametrize(
    "without",
    [
        {"answer": ForecastAnswer.NO_SKILL},
        {"answer": ForecastAnswer.NOT_ENOUGH, "last": None},
        {"alarm": "40% of the last two days' errors lie outside"},
    ],
)
def test_without_skill_and_while_the_market_breaks_with_its_past_nothing_is_expected(without: dict[str, Any]) -> None:
    assert expected_change(forecast(lead(1, 2.0), **without)) == 0.0
    assert expected_change(forecast()) == 0.0
