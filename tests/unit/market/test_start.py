import math
import random
import warnings
from dataclasses import replace

import numpy as np
import pytest

from holdfast.market.datasets import read
from holdfast.market.start import GAIN, RISK, advise
from tests.unit.market.examples import REAL, series, swinging, walking


def test_waits_while_a_low_price_comes_by_often_enough() -> None:
    dear = swinging(672 - 4)  # ends after eight dear hours
    advice = advise(dear, within=24)
    assert advice is not None and advice.wait
    assert advice.now == 2.0
    assert advice.reserve == 1.0
    assert advice.expected < 1.1
    assert (advice.low, advice.high) == (1.0, 1.0)
    assert 0 < advice.chance < 0.1


def test_starts_at_the_low_price() -> None:
    advice = advise(swinging(672), within=24)
    assert advice is not None and not advice.wait
    assert advice.chance == 0.0


def test_starts_when_no_time_is_left() -> None:
    advice = advise(swinging(668), within=0)
    assert advice is not None and not advice.wait
    assert "no time left" in advice.why


def test_starts_when_the_price_never_moved() -> None:
    advice = advise(series([1.5] * 700), within=24)
    assert advice is not None and not advice.wait
    assert advice.expected == 1.5


def test_does_not_wait_for_less_than_three_percent() -> None:
    shallow = series(np.resize([2.0] * 8 + [1.96] * 4, 668))
    advice = advise(shallow, within=24)
    assert advice is not None and not advice.wait
    assert "less than 3%" in advice.why


@pytest.mark.parametrize("seed", range(5))
def test_waits_at_a_price_higher_than_any_before(seed: int) -> None:
    dice = random.Random(seed)
    usual = [dice.choice([0.08, 0.10, 0.16, 0.20]) for _ in range(480)]
    advice = advise(series([*usual, 0.50]), within=24)
    assert advice is not None and advice.wait
    assert 0.08 <= advice.reserve <= 0.10 + 1e-9
    assert advice.expected < 0.10
    assert advice.chance < 0.1


def test_a_new_price_is_left_as_seldom_as_those_before() -> None:
    stays = [*np.repeat(np.resize([1.0, 1.1], 10), 48), 2.0]  # it moves every other day
    soon, late = (advise(series(stays), within=hours) for hours in (2, 168))
    assert soon is not None and soon.chance == 0.0 and not soon.wait
    assert late is not None and late.wait and late.reserve < 1.2


def test_a_price_that_rose_once_and_stayed_is_not_waited_for() -> None:
    for hours in (1, 48):
        advice = advise(series([1.0] * 480 + [2.0] * hours), within=24)
        assert advice is not None and not advice.wait


def test_says_nothing_without_prices() -> None:
    assert advise(series([1.0] * 10), within=24) is None
    assert advise(series([1.0, 2.0] * 50 + [float("nan")] * 300), within=24) is None


@pytest.mark.parametrize("seed", range(40))
def test_what_is_advised_makes_sense_on_any_prices(seed: int) -> None:
    dice = random.Random(seed)
    level = 10.0 ** dice.uniform(-5, 5)
    prices = [
        float("nan") if dice.random() < 0.4 else level * math.exp(dice.gauss(0, dice.choice([0, 0.1, 1])))
        for _ in range(dice.choice([60, 400, 900]))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advice = advise(series(prices), within=dice.choice([1, 6, 24, 168, 500]))
    assert advice is not None
    assert 0 <= advice.chance <= 1
    assert 0 < advice.low <= advice.high
    assert all(math.isfinite(each) for each in (advice.expected, advice.reserve))
    if advice.wait:
        assert advice.expected <= advice.now * (1 - GAIN)
        assert advice.chance <= RISK
        assert advice.reserve <= advice.now
    else:
        assert advice.expected == advice.now


def test_the_rule_saves_on_real_prices_and_rarely_pays_more() -> None:
    (vast,) = (each for each in read(REAL) if each.key.provider == "Vast.ai" and each.key.measure == "median")
    seen = np.flatnonzero(np.isfinite(vast.prices))
    paid = []
    for start in seen[(seen > 200) & (seen < seen[-1] - 24)][::8]:
        for hour in seen[(seen >= start) & (seen <= start + 24)]:
            price = vast.prices[hour]
            advice = advise(vast.until(int(hour)), within=int(start + 24 - hour))
            assert advice is not None
            if not advice.wait:
                break
        paid.append(price / vast.prices[start])
    assert np.mean(paid) < 0.97
    assert np.mean(np.array(paid) > 1 + 1e-9) <= 0.10


def test_a_walk_without_memory_is_not_gambled_on() -> None:
    whole = walking(900)
    waits = [advice.wait for cell in range(200, 900, 20) if (advice := advise(whole.until(cell), within=6))]
    assert np.mean(waits) < 0.3
    assert advise(replace(whole, prices=whole.prices[:300]), within=24) is not None
