"""A drill knows what it has cost and when it becomes too dear."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.incidents import Cause
from holdfast.contracts.spec import FailoverSpec, Strategy
from holdfast.policy import drills, ladder
from holdfast.policy.drills import Held

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_what_is_paid_while_the_work_stands_still_is_all_machines_of_that_time():
    held = (Held(hourly=Decimal("0.30"), since=NOON), Held(hourly=Decimal("0.60"), since=NOON, until=NOON + HOUR / 2))
    assert drills.spent(held, now=NOON + HOUR) == Decimal("0.60")


@pytest.mark.parametrize("seed", range(50))
def test_it_is_dear_at_the_moment_at_which_the_budget_is_used_up(seed: int):
    dice = random.Random(seed)
    held = tuple(
        Held(hourly=Decimal(dice.randint(1, 400)) / 100, since=NOON - timedelta(seconds=dice.randint(0, 3600)))
        for _ in range(dice.randint(1, 5))
    )
    budget = Decimal(dice.randint(1, 500)) / 100
    dear = drills.dear_at(held, budget=budget, now=NOON)
    assert dear is not None
    assert dear == NOON or drills.spent(held, now=dear) <= budget
    assert drills.spent(held, now=dear + timedelta(seconds=1)) > budget


def test_what_costs_nothing_is_never_dear():
    held = (Held(hourly=Decimal(0), since=NOON), Held(hourly=Decimal(9), since=NOON, until=NOON))
    assert drills.dear_at(held, budget=Decimal("0.01"), now=NOON + HOUR) is None


@pytest.mark.parametrize("order", itertools.permutations(Strategy))
@pytest.mark.parametrize("lose", [True, False])
def test_no_rung_of_a_drill_lets_the_machine_go_or_starts_without_the_saved_work(
    order: tuple[Strategy, ...], lose: bool
):
    spec = FailoverSpec(ladder=order, pool="spare", lose_work=lose)
    found = ladder.ladder(spec, ladder.Situation(cause=Cause.DRILL, has_checkpoint=True, region="DE"))
    assert {each.strategy for each in found.rungs} == set(Strategy) - {Strategy.COLDSTART}
    assert not any(each.release_lost or each.in_place for each in found.rungs)
