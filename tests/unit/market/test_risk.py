"""Learning how likely losses are: from made-up zones whose law is known, and what is told of one zone."""

import random
from datetime import timedelta

import pytest

from holdfast.market.risk import History, TooLittle, learn, moments, stands
from holdfast.market.risk_scores import rank_correlation, score
from holdfast.policy.interruption import HOUR, risk

TICK = timedelta(minutes=6)


def zone(seed: int, usual: float, days: int = 40) -> History:
    """Lives with a hazard that falls steeply; `usual` hours are the scale."""
    dice, up = random.Random(seed), []
    while len(up) < days * 240:
        up += [True] * max(1, round(dice.weibullvariate(usual, 0.5) * 10))
        up += [False] * max(1, round(dice.expovariate(1 / 1.5) * 10))
    return History(zone=f"zone-{seed}", tick=TICK, up=up[: days * 240])


ZONES = [zone(seed, usual) for seed, usual in enumerate((0.3, 1.0, 6.0, 25.0))]


def test_what_was_learnt_from_the_first_half_holds_in_the_second() -> None:
    model = learn(ZONES, share=0.5)
    later = [each for history in ZONES for each in moments(history, since=20 * 24 * HOUR)]
    for hours, skill in ((1, 0.1), (6, 0.2)):
        told = [(each, lost) for each in later if (lost := each.lost_within(hours * HOUR)) is not None]
        found = score([risk(each.past, model).within(hours * HOUR) for each, _ in told], [lost for _, lost in told])
        assert found.brier_skill > skill
        assert found.auc > 0.75
        assert found.calibration < 0.08


def test_nothing_of_the_second_half_is_looked_at() -> None:
    other = [History(zone=each.zone, tick=TICK, up=[*each.up[:4800], *[True] * 4800]) for each in ZONES]
    assert learn(ZONES, share=0.5) == learn(other, share=0.5)


def test_a_moment_knows_what_was_and_not_what_comes() -> None:
    up = [True] * 480 + [False] * 20 + [True] * 100
    first = next(moments(History(zone="z", tick=TICK, up=up), since=40 * HOUR))
    again = next(moments(History(zone="z", tick=TICK, up=[*up[:401], *[False] * 199]), since=40 * HOUR))
    assert first.past == again.past
    assert (first.left, first.lost) == (8 * HOUR, True)
    assert (again.left, again.lost) == (TICK, True)


def test_a_machine_that_outlives_its_history_was_not_lost_as_far_as_anybody_saw() -> None:
    last = list(moments(History(zone="z", tick=TICK, up=[True] * 480)))[-1]
    assert not last.lost
    assert (last.lost_within(HOUR), last.lost_within(2 * HOUR)) == (False, None)


@pytest.mark.parametrize("up", [[], [True] * 5000, [False] * 5000, [True] * 300 + [False] * 300])
def test_too_few_losses_teach_nothing(up: list[bool]) -> None:
    with pytest.raises(TooLittle, match="losses"):
        learn([History(zone="z", tick=TICK, up=up)])


def test_a_zone_that_is_down_has_no_chances_and_a_reliability() -> None:
    found = stands(History(zone="z", tick=TICK, up=[True] * 700 + [False] * 20))
    assert (found.up, found.age, found.hour, found.losses) == (False, 2 * HOUR, None, 1)
    assert 0.9 < found.reliability < 1
    young = stands(History(zone="z", tick=TICK, up=[True] * 700 + [False] * 20 + [True]))
    assert young.up
    assert young.hour is not None
    assert young.hour > 0.3
    with pytest.raises(TooLittle):
        stands(History(zone="z", tick=TICK, up=[]))


def test_scores_are_those_of_the_books() -> None:
    found = score([0.9, 0.8, 0.3, 0.1], [True, True, False, False])
    assert (found.auc, found.base_rate) == (1.0, 0.5)
    assert found.brier == pytest.approx((0.01 + 0.04 + 0.09 + 0.01) / 4)
    assert found.brier_skill == pytest.approx(1 - found.brier / 0.25)
    assert found.calibration == pytest.approx((0.1 + 0.2 + 0.3 + 0.1) / 4)
    assert score([0.5, 0.5], [True, False]).auc == 0.5
    assert score([0.5, 0.5], [True, True]).brier_skill == 0.0
    with pytest.raises(ValueError, match="2 chances for 1 outcomes"):
        score([0.5, 0.5], [True])
    assert rank_correlation([1, 2, 3], [10, 20, 25]) == 1.0
    assert rank_correlation([1, 1, 1], [10, 20, 25]) == 0.0
