"""How long a replica without requests stays awake: cheap on the gaps seen, never reckless."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.policy.idle_time import FEW, KEPT, LEAST, MOST, ROOM, Gap, Price, idle_time

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
# 0.36 USD an hour awake, nothing asleep: a pause of 20 s and a wake of 60 s cost what 80 s awake cost.
PRICE = Price(running=Decimal("0.36"), asleep=Decimal(0), pausing=20 * SECOND, waking=60 * SECOND)


def after(gaps: Sequence[float | Gap], price: Price = PRICE, least: timedelta = LEAST, most: timedelta = MOST) -> float:
    told = [gap if isinstance(gap, Gap) else Gap(gap) for gap in gaps]
    return idle_time(told, price, least=least, most=most).after / SECOND


def paid(idle: float, gaps: Sequence[float], even: float = 80) -> float:
    """What these gaps cost, in seconds awake, with this idle time."""
    return sum(gap if gap <= idle else idle + even for gap in gaps)


def test_a_pause_costs_its_machine_time_what_callers_wait_and_nothing_that_sleeping_saves() -> None:
    assert PRICE.break_even() == pytest.approx(80)
    with_disk = replace(PRICE, asleep=Decimal("0.18"))
    assert with_disk.break_even() == pytest.approx(20 + 60 * 2)
    assert replace(PRICE, waiting=Decimal("0.0001")).break_even() == pytest.approx(20 + 60 * 2)


def test_with_few_gaps_it_is_the_break_even_whatever_they_were() -> None:
    for gaps in ([], [1.0] * (FEW - 1), [9000.0] * (FEW - 1)):
        assert after(gaps) == pytest.approx(80)
    assert idle_time([], PRICE).reason == "computed: 80 s; from 0 gaps only; a pause costs what 80 s awake cost"


def test_gaps_longer_than_a_pause_is_worth_let_it_sleep_at_once() -> None:
    assert after([600.0] * 37) == 0
    assert idle_time([Gap(600.0)] * 37, PRICE).reason == (
        "computed: 0 s; from 37 gaps; a pause costs what 80 s awake cost"
    )


def test_gaps_just_beyond_the_break_even_are_waited_through_when_that_is_cheaper() -> None:
    assert after([40.0, 90.0] * 20) == pytest.approx(90 * ROOM)


def test_bursts_are_kept_together_and_the_nights_between_slept_through() -> None:
    assert after([5.0, 8.0, 12.0, 7000.0] * 20) == pytest.approx(12 * ROOM)


def test_where_no_gap_was_ever_longer_it_does_not_sleep_before_the_break_even() -> None:
    assert after([20.0] * 100) == pytest.approx(80)


def test_a_replica_whose_sleep_saves_nothing_stays_awake_as_long_as_it_may() -> None:
    for dear in (PRICE.running, PRICE.running * 2):
        free = replace(PRICE, asleep=dear)
        assert idle_time([Gap(600.0)] * 99, free, most=3 * 60 * MINUTE).after == 180 * MINUTE
        assert "saves nothing" in idle_time([], free).reason


def test_a_pause_that_costs_nothing_is_taken_at_once() -> None:
    assert after([5.0] * 99, replace(PRICE, pausing=timedelta(), waking=timedelta())) == 0


def test_the_limits_hold() -> None:
    assert after([600.0] * 50, least=MINUTE) == 60
    assert after([], least=2 * MINUTE) == 120
    assert after([20.0] * 100, most=MINUTE) == 60


def test_gaps_that_were_cut_off_short_say_nothing() -> None:
    """Hours that end, a replica that is moved: each gap was cut off after a second, and none ended."""
    assert after([Gap(1.0, ended=False)] * 300) == pytest.approx(80)
    assert "from 0 gaps only" in idle_time([Gap(1.0, ended=False)] * 300, PRICE).reason


def test_gaps_that_were_cut_off_long_say_that_they_were_long() -> None:
    assert after([Gap(900.0, ended=False)] * 20) == 0


def test_a_cut_off_gap_counts_as_at_least_so_long() -> None:
    """Half of the gaps end after 50 s; of the others, cut off at 85 s, each was seen to be longer than that."""
    assert after([Gap(50.0), Gap(85.0, ended=False)] * 30) == after([50.0, 5000.0] * 30)


def test_a_difference_that_chance_explains_changes_nothing() -> None:
    """One gap in forty is longer than the break-even: sleeping a little before it would have saved next to nothing."""
    gaps = [*[2.0] * 38, 79.0, 300.0]
    assert after(gaps) == pytest.approx(80)
    assert "no other time clearly cheaper" in idle_time([Gap(each) for each in gaps], PRICE).reason


def test_what_callers_did_long_ago_gives_way_to_what_they_do_now() -> None:
    before, now = [2000.0] * KEPT, [15.0] * 200
    assert after(before) == 0
    assert after(before + now) >= 15
    assert after([7.0] * 5 * KEPT + before) == after(before), "what is older than is kept has no part in it"


def test_numbers_that_no_clock_tells_are_passed_over() -> None:
    odd = [Gap(math.nan), Gap(math.inf), Gap(-5.0), Gap(math.nan, ended=False)]
    assert after(odd * 50) == pytest.approx(80)
    assert after([*odd, *[600.0] * 40]) == 0


def draw(dice: random.Random) -> list[Gap]:
    kind = dice.randrange(5)
    length = {
        0: lambda: dice.expovariate(1 / 100),
        1: lambda: 20 * dice.paretovariate(1.05),
        2: lambda: dice.choice([1.0, 80.0, 80.0, 3000.0]),
        3: lambda: dice.lognormvariate(4, 2),
        4: lambda: 0.0 if dice.random() < 0.3 else dice.uniform(0, 400),
    }[kind]
    return [Gap(length(), ended=dice.random() > 0.1) for _ in range(dice.randrange(0, 120))]


def test_whatever_was_seen_it_is_within_the_limits_and_the_same_again() -> None:
    for seed in range(400):
        dice = random.Random(seed)
        gaps, least = draw(dice), timedelta(seconds=dice.choice([0, 5, 60]))
        price = replace(PRICE, waking=timedelta(seconds=dice.choice([0, 0.001, 60, 1e6])))
        most = least + timedelta(seconds=dice.choice([0, 60, 1e6]))
        answer = idle_time(gaps, price, least=least, most=most)
        assert least <= answer.after <= most
        assert answer == idle_time(list(gaps), price, least=least, most=most)


def test_before_gaps_were_seen_a_dearer_pause_never_makes_it_sleep_sooner_nor_a_dearer_hour_later() -> None:
    waited = replace(PRICE, waiting=Decimal("0.001"))
    pauses = [after([], replace(waited, waking=timedelta(seconds=each))) for each in range(0, 600, 20)]
    assert pauses == sorted(pauses)
    hours = [after([], replace(waited, running=Decimal(each) / 10)) for each in range(1, 40)]
    assert hours == sorted(hours, reverse=True)


def test_of_gaps_that_leave_no_doubt_a_dearer_pause_makes_it_sleep_later() -> None:
    bursts = [5.0, 8.0, 12.0, 7000.0] * 40
    times = [after(bursts, replace(PRICE, waking=timedelta(seconds=each))) for each in range(20, 20_000, 500)]
    assert times == sorted(times) and times[0] < 13 and times[-1] > 7000


def test_the_unit_of_time_makes_no_difference() -> None:
    for seed in range(100):
        gaps = draw(random.Random(seed))
        tenfold = [Gap(gap.seconds * 10, gap.ended) for gap in gaps]
        price = replace(PRICE, pausing=PRICE.pausing * 10, waking=PRICE.waking * 10)
        far = timedelta(days=10_000)
        assert after(tenfold, price, most=far) == pytest.approx(10 * after(gaps, most=far), abs=1e-4)


def test_on_the_gaps_it_was_given_it_is_nearly_the_cheapest_fixed_time() -> None:
    """Nearly: it leaves room, it counts the newest most, and never sleeps early without having seen why."""
    for seed in range(200):
        gaps = [gap.seconds for gap in draw(random.Random(seed)) if gap.ended]
        if len(gaps) < 60:
            continue
        best = min(paid(each, gaps) for each in [0.0, *gaps])
        assert paid(after(gaps), gaps) <= best * 1.15, seed


def test_no_gap_costs_more_than_the_longest_seen_or_two_pauses() -> None:
    for seed in range(300):
        gaps = [gap.seconds for gap in draw(random.Random(seed)) if gap.ended]
        assert after(gaps) <= max([80.0, *(gap * ROOM for gap in gaps)]) + 1e-6
