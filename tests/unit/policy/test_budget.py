"""Reservations: whatever was spent and whoever asks, no more is promised than the tightest budget has."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.money import Budget, Scope, Span, Standing
from holdfast.policy import budget

SEEDS = range(300)


def standing(amount: str, *, spent: str = "0", reserved: str = "0", span: Span = Span.TOTAL) -> Standing:
    limit = Budget(scope=Scope.TENANT, name="default", span=span, amount=Decimal(amount))
    return Standing(budget=limit, spent=Decimal(spent), reserved=Decimal(reserved))


def anything(dice: random.Random) -> tuple[list[Standing], Decimal, Decimal]:
    """Some budgets, a price, and what the machine holds already, which every standing counts as reserved."""
    hourly = Decimal(dice.randrange(0, 5_000_000)) / 1_000_000
    held = Decimal(dice.randrange(0, 3_000_000)) / 1_000_000
    standings = [
        standing(
            str(Decimal(dice.randrange(0, 9_000_000)) / 1_000_000),
            spent=str(Decimal(dice.randrange(0, 5_000_000)) / 1_000_000),
            reserved=str(held + Decimal(dice.randrange(0, 2_000_000)) / 1_000_000),
        )
        for _ in range(dice.randrange(0, 4))
    ]
    return standings, hourly, held


@pytest.mark.parametrize("seed", SEEDS)
def test_no_budget_ever_promises_more_than_it_has(seed: int) -> None:
    standings, hourly, held = anything(random.Random(seed))
    made = budget.reserve(standings, hourly=hourly, held=held)
    assert 0 <= made.ahead <= budget.price_of(budget.RESERVED_FOR, hourly=hourly)
    for each in standings:
        others = each.reserved - held
        assert made.ahead == 0 or each.spent + others + made.ahead <= each.budget.amount


@pytest.mark.parametrize("seed", SEEDS)
def test_one_budget_more_never_allows_more(seed: int) -> None:
    dice = random.Random(seed)
    standings, hourly, held = anything(dice)
    one_more = [*standings, *anything(dice)[0][:1]]
    before = budget.reserve(standings, hourly=hourly, held=held)
    after = budget.reserve(one_more, hourly=hourly, held=held)
    assert after.ahead <= before.ahead
    assert budget.allows_rent(before) or not budget.allows_rent(after)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_next_look_comes_a_tick_before_the_money_ends_or_the_work_is_ended_now(seed: int) -> None:
    standings, hourly, held = anything(random.Random(seed))
    made = budget.reserve(standings, hourly=hourly, held=held)
    again = budget.look_again_after(made)
    assert budget.SHORTEST_LOOK <= again <= budget.LOOK_EVERY
    if made.covers is not None and not budget.is_used_up(made):
        assert again <= max(made.covers - budget.TICK, budget.SHORTEST_LOOK)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_may_be_rented_is_paid_for_until_somebody_looks_whose_look_comes_latest(seed: int) -> None:
    """A failover's machine is not looked at until the next look of the workload, at most so much later."""
    standings, hourly, _ = anything(random.Random(seed))
    made = budget.reserve(standings, hourly=hourly)
    if budget.allows_rent(made) and made.covers is not None:
        assert made.covers >= budget.LOOK_EVERY - budget.TICK


@pytest.mark.parametrize("seed", range(60))
def test_spend_exceeds_a_budget_by_no_more_than_a_tick_however_long_the_last_save_takes(seed: int) -> None:
    """The life of one machine, look by look: the save is given up a tick after the end of the work was ordered."""
    dice = random.Random(seed)
    hourly = Decimal(dice.randrange(10_000, 4_000_000)) / 1_000_000
    limit = budget.price_of(timedelta(minutes=dice.randrange(10, 200)), hourly=hourly)
    spent, held = Decimal(0), Decimal(0)
    while True:
        made = budget.reserve([standing(str(limit), spent=str(spent), reserved=str(held))], hourly=hourly, held=held)
        if budget.is_used_up(made):
            break
        # Late by less than a minute: a worker may be busy.
        waited = budget.look_again_after(made) + timedelta(seconds=dice.randrange(0, 60))
        cost = budget.price_of(waited, hourly=hourly)
        spent, held = spent + cost, max(made.ahead - cost, Decimal(0))
    last_save = budget.TICK * dice.random()
    tick = budget.price_of(budget.TICK, hourly=hourly)
    assert spent + budget.price_of(last_save, hourly=hourly) <= limit + tick
    assert spent >= limit - tick - budget.price_of(timedelta(minutes=1), hourly=hourly)


def test_nothing_is_rented_on_a_budget_of_zero() -> None:
    made = budget.reserve([standing("0")], hourly=Decimal("0.3"))
    assert not budget.allows_rent(made)
    assert budget.refusal(made, hourly=Decimal("0.3")) == (
        "the budget of $0.00 of tenant 'default' has $0.00 left, and 10 minutes of this machine cost $0.05"
    )


def test_without_a_budget_an_hour_is_reserved_and_nothing_is_refused() -> None:
    made = budget.reserve([], hourly=Decimal("0.3"))
    assert made.ahead == Decimal("0.3") and budget.allows_rent(made) and not budget.is_used_up(made)


def test_a_lowered_budget_takes_back_what_was_reserved() -> None:
    lowered = standing("1.00", spent="0.90", reserved="0.50")
    made = budget.reserve([lowered], hourly=Decimal(1), held=Decimal("0.50"))
    assert made.ahead == Decimal("0.10") and made.limited_by == lowered


def test_the_words_say_whose_budget_it_was() -> None:
    spans = {Span.TOTAL: "the budget of $5.00 of tenant 'default'", Span.DAILY: "the budget of $5.00 a day of tenant"}
    for span, words in spans.items():
        assert budget.name_of(standing("5", span=span).budget).startswith(words)
    assert budget.used_up(Budget(scope=Scope.SPEC, name="t", span=Span.TOTAL, amount=Decimal("0.125"))) == (
        "the budget of $0.1250 in its spec is used up"
    )
