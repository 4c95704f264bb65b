"""Budgets hold: whoever claims at the same moment, in threads and on both databases, no dollar is promised twice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest

from holdfast.contracts.activities import ReportInput
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.money import MeterInput, Scope, SetBudgetInput, Span, Standing, StandingsInput
from holdfast.policy import budget
from holdfast.records.errors import BudgetExceeded
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, claim, closing, lease, offer, opening

DOLLAR = offer(hourly=Decimal(1), storage_hourly=Decimal("0.1"))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
CLAIMANTS = 8


def set_budget(records: Records, amount: str | None, **which: Any) -> list[Standing]:
    plain = SetBudgetInput(
        scope=Scope.TENANT, name="default", span=Span.TOTAL, amount=None if amount is None else Decimal(amount)
    )
    return records.set_budget(replace(plain, **which))


def rent(records: Records, epoch: int, name: str = "train") -> None:
    records.claim_epoch(claim(epoch, name, of=DOLLAR))
    records.record_lease(lease(epoch, name, hourly=Decimal(1), storage_hourly=Decimal("0.1"), running_since=NOON))


def only(records: Records) -> Standing:
    (found,) = records.standings(StandingsInput(tenant="default"))
    return found


def test_launches_at_the_same_moment_never_exceed_a_budget(records: Records) -> None:
    """Each wants an hour for a dollar; there are three dollars and a half."""
    names = [f"train-{number}" for number in range(CLAIMANTS)]
    for name in names:
        records.open_workload(opening(name))
    set_budget(records, "3.50")
    together = Barrier(CLAIMANTS)

    def launch(name: str) -> bool:
        together.wait()
        try:
            records.claim_epoch(claim(1, name, of=DOLLAR))
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(CLAIMANTS) as threads:
        rented = sum(threads.map(launch, names))
    assert rented == 4, "three for an hour, one for the half that was left"
    assert len(records.open_leases()) == 4, "a refused claim leaves nothing behind"
    assert (only(records).spent, only(records).reserved) == (0, Decimal("3.5"))


def test_a_refused_claim_changes_nothing(records: Records) -> None:
    records.open_workload(opening())
    set_budget(records, "0")
    with pytest.raises(BudgetExceeded, match="the budget of"):
        records.claim_epoch(claim(1, of=DOLLAR))
    set_budget(records, None)
    records.claim_epoch(claim(1, of=DOLLAR))
    assert [line.label for line in records.open_leases()] == ["train.e1.m4rk"]


def test_the_same_claim_again_reserves_once(records: Records) -> None:
    records.open_workload(opening())
    set_budget(records, "5")
    for _ in range(3):
        records.claim_epoch(claim(1, of=DOLLAR))
    assert only(records).reserved == 1


def test_a_closed_line_keeps_what_it_cost_and_gives_back_what_it_did_not(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    set_budget(records, "5")
    rent(records, 1)
    clock.now = NOON + 15 * MINUTE
    assert (only(records).spent, only(records).reserved) == (Decimal("0.25"), Decimal("0.75"))
    records.close_lease(closing(1, NOON + 30 * MINUTE))
    assert (only(records).spent, only(records).reserved) == (Decimal("0.5"), 0)


def test_a_reservation_moves_on_with_the_meter_until_the_budget_ends_it(records: Records, clock: Clock) -> None:
    records.open_workload(opening(budget=Decimal("1.50")))
    rent(records, 1)
    looked = []
    while not (word := records.keep_budget("train")).used_up:
        looked.append(word.look_again_after)
        clock.now += word.look_again_after
    assert clock.now == NOON + 90 * MINUTE - budget.TICK, "a tick before the money ends"
    assert word.used_up == "the budget of $1.50 in its spec is used up"
    assert max(looked) == budget.LOOK_EVERY


def test_where_no_budget_holds_it_is_looked_at_four_times_a_day(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    rent(records, 1)
    word = records.keep_budget("train")
    assert not word.used_up and word.look_again_after == timedelta(hours=6)
    clock.now += word.look_again_after
    set_budget(records, "0.50")
    assert records.keep_budget("train").used_up, "the records know what was spent before it was set"


def test_a_paused_machine_lasts_as_long_as_its_disk_is_paid_for(records: Records, clock: Clock) -> None:
    records.open_workload(opening(budget=Decimal("1")))
    rent(records, 1)
    clock.now = NOON + 30 * MINUTE
    records.meter_lease(MeterInput(label="train.e1.m4rk", state=InstanceState.STOPPED, at=clock.now))
    word = records.keep_budget("train")
    assert not word.used_up and word.look_again_after == budget.LOOK_EVERY
    clock.now += 4 * HOUR
    assert not records.keep_budget("train").used_up, "half a dollar pays for five hours of disk"
    with pytest.raises(BudgetExceeded):
        records.claim_epoch(claim(2, same_machine=True))
    clock.now += HOUR
    assert records.keep_budget("train").used_up


def test_the_machine_that_was_lost_does_not_reserve_what_the_next_one_needs(records: Records, clock: Clock) -> None:
    records.open_workload(opening(budget=Decimal(1)))
    rent(records, 1)
    clock.now = NOON + 10 * MINUTE
    rent(records, 2)  # while the first is still being let go
    (standing,) = records.standings(StandingsInput(workload="train"))
    assert standing.spent + standing.reserved <= 1


def test_a_budget_of_a_day_begins_anew_at_midnight_and_counts_only_its_own_hours(
    records: Records, clock: Clock
) -> None:
    records.open_workload(opening())
    set_budget(records, "13", span=Span.DAILY)
    rent(records, 1)
    clock.now = datetime(2026, 5, 1, 23, 30, tzinfo=UTC)
    records.keep_budget("train")
    assert only(records).spent > 11
    clock.now = datetime(2026, 5, 2, 1, tzinfo=UTC)
    assert only(records).spent == 1
    records.close_lease(closing(1, clock.now))
    clock.now += HOUR
    assert only(records).spent == 1


def test_budgets_of_others_do_not_hold(records: Records) -> None:
    records.open_workload(opening(tenant="lab"))
    set_budget(records, "0")
    set_budget(records, "0", scope=Scope.WORKLOAD, name="another")
    records.claim_epoch(claim(1, of=DOLLAR))
    records.open_workload(opening("mine"))
    with pytest.raises(BudgetExceeded):
        records.claim_epoch(claim(1, "mine", of=DOLLAR))


def test_a_budget_that_was_lowered_below_what_is_spent_ends_the_work_at_the_next_look(
    records: Records, clock: Clock
) -> None:
    records.open_workload(opening())
    set_budget(records, "10")
    rent(records, 1)
    clock.now = NOON + 30 * MINUTE
    (standing,) = set_budget(records, "0.40")
    assert standing.left < 0
    assert records.keep_budget("train").used_up == "the budget of $0.40 of tenant 'default' is used up"


def test_the_spec_s_budget_is_that_of_its_own_run(records: Records) -> None:
    records.open_workload(opening(budget=Decimal(1)))
    rent(records, 1)
    records.close_lease(closing(1, NOON + HOUR))
    records.open_workload(opening(run_id="run-2", budget=Decimal(1)))
    records.claim_epoch(claim(2, of=DOLLAR))
    records.open_workload(opening(run_id="run-3"))
    assert records.standings(StandingsInput(workload="train")) == []


def test_each_state_is_charged_at_its_rate_and_the_report_says_the_same(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1, of=DOLLAR))
    facts: dict[str, Any] = {"hourly": Decimal(1), "storage_hourly": Decimal("0.1"), "bid": Decimal("0.9")}
    records.record_lease(lease(1, **facts))
    records.record_lease(lease(1, **facts, running_since=NOON + 30 * MINUTE))
    records.record_lease(lease(1, **facts, running_since=NOON + 30 * MINUTE))
    records.meter_lease(MeterInput(label="train.e1.m4rk", state=InstanceState.STOPPED, at=NOON + 90 * MINUTE))
    records.meter_lease(MeterInput(label="train.e1.m4rk", state=InstanceState.STOPPED, at=NOON + 95 * MINUTE))
    records.record_lease(lease(1, **facts, running_since=NOON + 120 * MINUTE))
    away = MeterInput(label="train.e1.m4rk", state=InstanceState.OFFLINE, at=NOON + 150 * MINUTE, charged=Decimal(0))
    records.meter_lease(away)
    cost = records.close_lease(closing(1, NOON + 180 * MINUTE))
    assert cost == Decimal("1.6"), "an hour and a half of work, an hour of disk, half an hour of nothing"
    report = records.report_workload(ReportInput(workload="train"))
    assert report is not None
    assert (report.cost, report.leases[0].cost, report.leases[0].bid) == (cost, cost, Decimal("0.9"))
    clock.now = NOON + 4 * HOUR
    (line,) = records.costs_after("").lines
    assert (line.cost, line.running, line.stopped) == (cost, 90 * MINUTE, 90 * MINUTE)
