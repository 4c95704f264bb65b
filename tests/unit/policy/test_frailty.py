"""What becomes of machines in a place, learnt from those that we had there."""

import math
import random
from datetime import timedelta

import pytest

from holdfast.policy.frailty import ALIKE, HAZARD, USUAL, risk
from holdfast.policy.interruption import HOUR, USUAL_AGE, Risk, Stay

DAY = 24 * HOUR


def kept(since: float, until: float) -> Stay:
    return Stay(since * HOUR, until * HOUR)


def lost(since: float, until: float) -> Stay:
    return Stay(since * HOUR, until * HOUR, True)


def hourly(found: Risk) -> float:
    """Losses that are to be expected in the next hour."""
    return -math.log1p(-found.hour)


def test_of_a_place_of_which_nothing_is_known_the_hazard_of_its_usual_age_is_told() -> None:
    expected = next(rate for until, rate in HAZARD if until > USUAL_AGE / HOUR)
    assert hourly(USUAL) == pytest.approx(expected)
    assert risk([], 3 * DAY) == USUAL


def test_a_place_that_just_came_up_is_the_most_dangerous_and_an_old_one_the_least() -> None:
    young, middle, old = (risk([lost(0, 1), kept(2, 2 + age)], (2 + age) * HOUR) for age in (0.05, 5, 80))
    assert young.hour > middle.hour > 2 * old.hour


def test_the_factor_of_a_place_is_of_losses_had_against_losses_expected() -> None:
    # It begins at the usual age: four hours at that hazard until it is lost; a quarter of an hour of the next one.
    stays = [lost(0, 4), kept(4.1, 4.35)]
    factor = (ALIKE + 1) / (ALIKE + 0.205 * 4 + 1.2 * 0.25)
    ahead = 1.2 * 0.25 + 0.9 * 0.5 + 0.49 * 0.25
    assert hourly(risk(stays, 4.35 * HOUR)) == pytest.approx(factor * ahead)


def test_a_place_that_took_many_machines_is_frail_also_when_it_is_as_old_as_another() -> None:
    frail = [lost(start, start + 1) for start in range(0, 20, 2)]
    assert hourly(risk([*frail, kept(20, 21)], 21 * HOUR)) > 1.3 * hourly(risk([lost(0, 19), kept(20, 21)], 21 * HOUR))


def test_many_machines_in_a_place_are_no_danger_to_each_other() -> None:
    """Of machines that are taken one by one, many make many losses in many hours."""
    one = [lost(10 * number, 10 * number + 9) for number in range(3)]
    many = [stay for stay in one for _ in range(20)]
    assert hourly(risk(many, 100 * HOUR)) < 1.5 * hourly(risk(one, 100 * HOUR))
    others_stay = [kept(0, 50), lost(0, 50)]
    assert hourly(risk(others_stay, 50 * HOUR)) < hourly(risk([lost(0, 50)], 50 * HOUR)) / 4, "it is still up, and old"


def test_where_nobody_watches_a_place_grows_older_but_not_beyond_the_usual() -> None:
    chances = [hourly(risk([lost(0, 1)], at * HOUR)) for at in (1, 3, 4, 14, 100, 300)]
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] == chances[-2] == chances[-3] == pytest.approx(0.205 * (ALIKE + 1) / (ALIKE + 0.205))
    assert hourly(risk([lost(0, 1)], 1 * HOUR)) == hourly(risk([lost(0, 1)], 2 * HOUR)), "it is down for an hour"
    watched = [kept(0, 60)]
    assert risk(watched, 60 * HOUR) == risk(watched, 70 * HOUR), "it was older than usual when it was last seen"
    assert hourly(risk(watched, 80 * HOUR)) > hourly(risk(watched, 70 * HOUR)), "that was too long ago"


def test_what_comes_later_says_nothing_and_stays_come_in_any_order() -> None:
    stays = [lost(0, 10), kept(11, 30)]
    assert risk(stays, 9 * HOUR) == risk([kept(0, 9)], 9 * HOUR)
    assert risk(stays, 10.5 * HOUR) == risk(stays[:1], 10.5 * HOUR)
    assert risk(reversed(stays), 40 * HOUR) == risk(stays, 40 * HOUR)


@pytest.mark.parametrize("seed", range(50))
def test_chances_are_chances_and_never_fall_as_time_goes_on(seed: int) -> None:
    dice = random.Random(seed)
    begins = [10 ** dice.uniform(-3, 3) for _ in range(dice.randrange(60))]
    stays = [Stay(at * HOUR, (at + 10 ** dice.uniform(-3, 3)) * HOUR, dice.random() < 0.5) for at in begins]
    found = risk(stays, dice.choice((0.0, 1.0, 500.0, 1e5)) * HOUR)
    assert 0 < found.hour <= found.six_hours <= found.day <= 1
    assert math.isfinite(found.per_hour(timedelta(hours=8)))
