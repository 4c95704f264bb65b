"""The month by which placement is judged: equal seeds are equal months, and nobody in it knows the future."""

import math
from dataclasses import replace

from holdfast.simcloud.studies.month import BEFORE, TICK, Market, Region, Way, drift, live, market

WEEK_AND_DAYS = round(BEFORE / TICK) + 4 * 240


def test_equal_seeds_make_equal_months() -> None:
    one, again, other = (live(market(seed, ticks=WEEK_AND_DAYS), Way.BOTH) for seed in (3, 3, 4))
    assert one == again != other
    assert one.useful > 0


def test_hours_add_up_and_what_is_lost_is_not_useful() -> None:
    account = live(market(5, ticks=WEEK_AND_DAYS), Way.PRICE, workloads=2)
    assert math.isclose(account.paid + account.waited, 2 * 4 * 24, rel_tol=1e-6)
    assert account.taken > 0
    assert account.useful < account.paid - 0.2 * account.taken


def test_a_market_without_losses_costs_what_the_cheapest_costs() -> None:
    made = market(1, ticks=WEEK_AND_DAYS)
    always = [True] * WEEK_AND_DAYS
    calm = Market(
        regions={name: _calm(each, price) for price, (name, each) in enumerate(made.regions.items(), start=1)},
        hosts=[replace(each, works=always, boots=always, dearer=1.0) for each in made.hosts],
    )
    account = live(calm, Way.PRICE, workloads=1)
    assert math.isclose(account.cost, 1.0 * 4 * 24, rel_tol=1e-6)
    assert (account.taken, account.failed) == (0, 0)


def _calm(region: Region, price: float) -> Region:
    return replace(region, up=[True] * WEEK_AND_DAYS, price=[price] * WEEK_AND_DAYS)


def test_a_choice_does_not_look_ahead() -> None:
    made = market(9, ticks=WEEK_AND_DAYS)
    cut = round(BEFORE / TICK) + 480
    ends = {name: replace(each, up=[*each.up[:cut]], price=each.price[:cut]) for name, each in made.regions.items()}
    short = Market(regions=ends, hosts=[replace(each, works=each.works[:cut]) for each in made.hosts])
    changed = Market(
        regions={
            name: replace(each, up=[*each.up[:cut], *[True] * 480], price=[*each.price[:cut], *[9.0] * 480])
            for name, each in made.regions.items()
        },
        hosts=made.hosts,
    )
    assert live(short, Way.BOTH) == live(_until(changed, cut), Way.BOTH)


def _until(made: Market, cut: int) -> Market:
    return replace(made, regions={name: replace(each, up=each.up[:cut]) for name, each in made.regions.items()})


def test_a_price_that_is_low_for_once_is_expected_to_rise() -> None:
    wave = [0.1 * math.sin(hour) for hour in range(100)]
    assert drift([*wave, -0.3]) > 0.02 > -0.02 > drift([*wave, 0.3])
    assert drift(wave[:10]) == drift([0.0] * 100) == 0.0
