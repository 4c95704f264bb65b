"""The month by which placement is judged: equal months come to equal accounts, and nobody in it knows the future."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.policy.interruption import Stay
from holdfast.simcloud.studies.month import MOVE, TICK, Month, Way, Zone, live

HOUR = timedelta(hours=1)
AN_HOUR = round(HOUR / TICK)
DAYS = 6
TICKS = DAYS * 24 * AN_HOUR
SAVES = timedelta(minutes=30)


def turns(up: int, down: int, *, late: int = 0) -> list[bool]:
    """Up for so many hours, then down, over and over."""
    one = [True] * (up * AN_HOUR) + [False] * (down * AN_HOUR)
    return [one[(tick + late) % len(one)] for tick in range(TICKS)]


def zone(name: str, up: Sequence[bool], price: float = 1.0, ahead: Callable[[int], float] | None = None) -> Zone:
    told = {} if ahead is None else {"ahead": ahead}
    return Zone(name=name, up=up, price=[price] * len(up), **told)


def calm(name: str, price: float = 1.0) -> Zone:
    return zone(name, [True] * TICKS, price)


def in_turn(hours: int, price: float) -> list[Zone]:
    """Two zones of which one is up while the other is not: who goes by the price goes from one to the other."""
    return [zone(name, turns(hours, hours, late=late), price) for name, late in (("odd", 0), ("even", hours * AN_HOUR))]


def month(*zones: Zone, saves: timedelta = SAVES, workloads: int = 1, seed: int = 3) -> Month:
    return Month(zones=zones, saves=saves, workloads=workloads, seed=seed)


def test_equal_months_come_to_equal_accounts() -> None:
    zones = [zone("a", turns(5, 2)), zone("b", turns(3, 1)), zone("c", turns(11, 3))]
    for way in (Way.PRICE, Way.BOTH):
        one, again = (live(month(*zones, workloads=3), way) for _ in range(2))
        assert one == again and one.useful > 0
    assert live(month(*zones, seed=3), Way.PRICE) != live(month(*zones, seed=4), Way.PRICE)


def test_hours_add_up_and_what_is_lost_is_not_useful() -> None:
    account = live(month(zone("a", turns(5, 2)), workloads=2), Way.PRICE)
    assert math.isclose(account.paid + account.waited, 2 * DAYS * 24)
    lives = DAYS * 24 // 7
    assert account.taken == 2 * lives
    kept = 5 * HOUR - MOVE - (5 * HOUR - MOVE) % SAVES
    left = (DAYS * 24 - 7 * lives) * HOUR - MOVE
    assert math.isclose(account.useful, 2 * (lives * kept + left) / HOUR)
    assert math.isclose(account.cost, account.paid)


def test_a_market_without_losses_costs_what_the_cheapest_costs() -> None:
    account = live(month(calm("a", 2.0), calm("b", 1.5)), Way.PRICE)
    assert (account.cost, account.taken) == (pytest.approx(1.5 * DAYS * 24), 0)


def test_price_alone_knows_no_losses_and_risk_learns_them_at_its_own_cost() -> None:
    world = month(*in_turn(1, 0.99), zone("safe", turns(23, 1)))
    blind, wise = live(world, Way.PRICE), live(world, Way.RISK)
    assert blind.taken > 100 and 1 <= wise.taken <= 20
    assert wise.per_useful_hour < 0.8 * blind.per_useful_hour


def test_a_loss_counts_as_much_as_the_work_that_it_takes() -> None:
    """Zones that are cheaper and lost every five hours are right for who saves often, and wrong for others."""
    zones = (*in_turn(5, 0.90), zone("safe", turns(23, 1)))
    often, seldom = (live(month(*zones, saves=saves), Way.RISK) for saves in (timedelta(minutes=4), timedelta(hours=6)))
    assert seldom.taken < 0.75 * often.taken and seldom.cost > often.cost


def test_what_prices_are_expected_to_do_counts_for_who_looks_at_it() -> None:
    rising = zone("rising", turns(3, 1), 0.95, lambda _tick: 0.2)
    steady = zone("steady", turns(3, 1, late=1), 1.0)
    assert live(month(rising, steady), Way.PRICE).cost < live(month(rising, steady), Way.FORECAST).cost


def test_a_choice_does_not_look_ahead() -> None:
    zones = [zone(name, turns(5, 2, late=late)) for name, late in (("a", 0), ("b", 40), ("c", 90))]
    cut = TICKS // 2
    short = month(*(replace(each, up=each.up[:cut], price=each.price[:cut]) for each in zones))
    changed = [
        replace(each, up=[*each.up[:cut], *[False] * (TICKS - cut)], price=[*each.price[:cut], *[9.0] * (TICKS - cut)])
        for each in zones
    ]
    assert live(short, Way.BOTH) == live(month(*(replace(each, up=each.up[:cut]) for each in changed)), Way.BOTH)


def test_who_foresees_losses_goes_where_the_next_one_is_farthest() -> None:
    zones = [zone("a", turns(5, 2)), zone("b", turns(3, 1)), zone("c", turns(11, 3))]
    foreseen, blind = (live(month(*zones, workloads=3), way) for way in (Way.FORESEEN, Way.PRICE))
    assert foreseen.taken < blind.taken and foreseen.per_useful_hour < blind.per_useful_hour
    dear = (zone("lasting", [True] * TICKS, 1.3), zone("short", turns(11, 1)))
    assert live(month(*dear), Way.FORESEEN).cost < 1.05 * live(month(*dear), Way.PRICE).cost, "not at any price"


def test_of_each_choice_it_is_told_what_the_records_knew_then() -> None:
    heard = []
    world = month(zone("a", turns(5, 2)))
    live(world, Way.PRICE, rented=lambda place, at, stays, now: heard.append((place.name, at, stays, now)))
    assert [at for _, at, _, _ in heard] == [7 * AN_HOUR * number for number in range(len(heard))]
    assert heard[0][2:] == ([], timedelta())
    name, at, stays, now = heard[1]
    assert (name, now) == ("a", at * TICK)
    assert stays == [Stay(timedelta(), 5 * HOUR, True)]
