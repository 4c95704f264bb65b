import math
import random
import warnings

import numpy as np
import pytest

from holdfast.contracts.forecasts import ForecastAnswer
from holdfast.market.candidates import LAST_PRICE, candidates
from holdfast.market.champion import record
from holdfast.market.datasets import read
from holdfast.market.forecast import ENOUGH, forecast
from tests.unit.market.examples import REAL, reverting, series, swinging, trending, walking

NAN = float("nan")


def leaders(said):  # type: ignore[no-untyped-def]
    return {each.lead: each.model for each in said.skills}


def test_a_price_with_noise_is_led_by_a_mean() -> None:
    said = forecast(reverting())
    assert said.answer is ForecastAnswer.SKILL
    assert said.skills[8].lead == 24
    assert said.skills[8].skill is not None and said.skills[8].skill > 0.15
    assert said.hours[23].price == pytest.approx(2.0, rel=0.05)


def test_a_trend_is_followed() -> None:
    said = forecast(trending())
    assert leaders(said)[6].startswith("damped trend")


def test_where_every_change_stays_the_last_price_leads_and_says_so() -> None:
    said = forecast(walking(seed=1))
    assert said.answer is ForecastAnswer.NO_SKILL
    assert "nothing beats the last price" in said.why
    assert {each.price for each in said.hours} == {said.last}


def test_chance_rarely_passes_for_skill() -> None:
    walks = [forecast(walking(seed=seed)).answer for seed in range(20)]
    assert walks.count(ForecastAnswer.SKILL) <= 5


def test_a_price_that_moved_a_few_times_is_no_evidence() -> None:
    prices = np.full(672, 2.0)
    prices[100::150] = 4.0  # each time back within the hour: any mean beats the last price there
    assert forecast(series(prices)).answer is ForecastAnswer.NO_SKILL


@pytest.mark.parametrize("price", [0.1, 1 / 3, 2.0, 98.32])
def test_a_constant_price_is_forecast_as_itself_exactly(price: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = forecast(series([price] * 700))
    assert said.answer is ForecastAnswer.NO_SKILL
    assert "has not moved" in said.why
    for hour in said.hours:
        assert hour.price == hour.low95 == hour.low80 == hour.high80 == hour.high95 == price


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        ([NAN] * 50, "no price was seen"),
        ([1.0] * (ENOUGH - 1), "prices of 23 hours"),
        ([1.0, 2.0] * 24 + [NAN] * 200, "the last price is 201 hours old"),
    ],
)
def test_too_little_is_said_to_be_too_little(prices: list[float], why: str) -> None:
    said = forecast(series(prices))
    assert said.answer is ForecastAnswer.NOT_ENOUGH
    assert why in said.why
    assert said.hours == ()


def made(seed: int) -> list[float]:
    """Prices nobody would make up: jumps, spikes, holes, plateaus, the largest and the smallest that there may be."""
    dice = random.Random(seed)
    price, prices = 10.0 ** dice.uniform(-6, 6), []
    hole, wild = dice.choice([0.0, 0.3, 0.9]), dice.choice([0.0, 0.001, 0.1, 3.0])
    for _ in range(dice.choice([24, 60, 200, 672, 900])):
        if dice.random() < 0.2:
            price *= math.exp(dice.gauss(0, wild))
        if dice.random() < 0.01:
            price = 10.0 ** dice.uniform(-6, 6)
        price = min(max(price, 1e-6), 1e6)
        prices.append(NAN if dice.random() < hole else price)
    return prices


@pytest.mark.parametrize("seed", range(60))
def test_every_path_is_finite_and_positive_and_its_ranges_are_in_order(seed: int) -> None:
    prices = made(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = forecast(series(prices))
    if said.answer is ForecastAnswer.NOT_ENOUGH:
        return
    assert len(said.hours) == 168
    for hour in said.hours:
        ordered = (hour.low95, hour.low80, hour.price, hour.high80, hour.high95)
        assert all(math.isfinite(each) and each > 0 for each in ordered)
        assert list(ordered) == pytest.approx(sorted(ordered), rel=1e-9)
    for each in said.skills:
        assert math.isfinite(each.gain)


@pytest.mark.parametrize("make", [reverting, walking, trending, swinging])
def test_no_forecaster_peeks(make) -> None:  # type: ignore[no-untyped-def]
    whole = make().prices
    changed = whole.copy()
    changed[500:] *= 7.0
    before, after = (record(candidates(prices)) for prices in (whole, changed))
    np.testing.assert_array_equal(before.path[:500], after.path[:500])
    np.testing.assert_array_equal(before.chosen[:500], after.chosen[:500])


def test_ranges_hold_on_real_prices() -> None:
    (vast,) = (each for each in read(REAL) if each.key.provider == "Vast.ai" and each.key.measure == "median")
    inside: list[bool] = []
    for cell in range(336, len(vast.prices) - 24, 4):
        came = vast.prices[cell + 24]
        if math.isfinite(came):
            hour = forecast(vast.until(cell)).hours[23]
            inside.append(hour.low80 <= came <= hour.high80)
    assert 0.72 <= sum(inside) / len(inside) <= 0.95


@pytest.mark.parametrize("top", [1.0, -1.0])
def test_a_short_history_at_its_highest_or_lowest_has_a_range_on_both_sides(top: float) -> None:
    noise = 0.1 * np.random.default_rng(3).standard_normal(40)
    prices = 2.0 * np.exp(np.append(noise, top * (abs(noise).max() + 0.05)))
    for hour in forecast(series(prices)).hours[23:]:  # too short for any error at these leads
        assert hour.low80 < hour.price * 0.95 and hour.high80 > hour.price * 1.05
        assert hour.low95 < hour.low80 and hour.high95 > hour.high80


def test_a_short_history_that_never_moved_has_a_range_of_no_width() -> None:
    for hour in forecast(series([2.0] * 30)).hours:
        assert hour.low95 == hour.price == hour.high95 == 2.0


def test_a_market_that_breaks_with_its_past_raises_the_alarm_and_a_calm_one_does_not() -> None:
    calm = reverting().prices
    broken = calm.copy()
    broken[-48:] *= np.resize([1.0, 4.0], 48)
    assert forecast(series(calm)).drift == ""
    assert "95 % range" in forecast(series(broken)).drift


def test_the_last_price_is_the_first_candidate() -> None:
    assert candidates(walking().prices).names[0] == LAST_PRICE
