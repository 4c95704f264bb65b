"""A standby changes hands in one step: no second is paid twice or by nobody, and no two workloads get it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.activities import ClaimEpochInput, OpenWorkloadInput
from holdfast.contracts.machines import Lease
from holdfast.contracts.money import Scope, SetBudgetInput, Span
from holdfast.contracts.names import pool_record
from holdfast.contracts.pools import HandOverInput
from holdfast.records.errors import BudgetExceeded, Fenced, OfferTaken
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, closing, lease, offer, opening

HOUR = timedelta(hours=1)
POOL = pool_record("spare")


@pytest.fixture
def standby(records: Records, clock: Clock) -> Lease:
    """Rented by a pool at noon, running since."""
    opened = opening()
    spec = opened.spec.model_copy(update={"name": POOL})
    records.open_workload(OpenWorkloadInput(spec=spec, workdir=None, run_id="pool-run", pool=True))
    claimed = records.claim_epoch(ClaimEpochInput(workload=POOL, epoch=1, offer=offer()))
    found = replace(lease(1), workload=POOL, label=claimed.label, running_since=NOON, hourly=Decimal("0.30"))
    records.record_lease(found)
    records.open_workload(opened)
    return found


def _order(standby: Lease, epoch: int = 1, workload: str = "train") -> HandOverInput:
    return HandOverInput(standby=standby.label, workload=workload, epoch=epoch)


def test_what_it_cost_before_is_the_pools_and_afterwards_the_workloads(
    records: Records, clock: Clock, standby: Lease
) -> None:
    clock.now = NOON + HOUR
    label = records.hand_over(_order(standby)).label
    records.record_lease(replace(standby, workload="train", epoch=1, label=label))
    end = NOON + 3 * HOUR
    cost = records.close_lease(replace(closing(1, end), label=label, running_since=NOON))
    clock.now = end
    lines = {line.label: line for line in records.costs_after("").lines}
    assert lines[standby.label].cost == standby.hourly
    assert cost == lines[label].cost == 2 * standby.hourly
    assert lines[label].running == 2 * HOUR


def test_it_is_owned_by_one_at_every_moment(records: Records, clock: Clock, standby: Lease) -> None:
    assert [line.label for line in records.open_leases()] == [standby.label]
    label = records.hand_over(_order(standby)).label
    [line] = records.open_leases()
    assert (line.label, line.instance_id) == (label, standby.instance_id)


def test_the_same_order_again_changes_nothing(records: Records, clock: Clock, standby: Lease) -> None:
    first = records.hand_over(_order(standby))
    clock.now += HOUR
    assert records.hand_over(_order(standby)) == first
    assert len(records.open_leases()) == 1


def test_it_goes_to_one_workload_only(records: Records, standby: Lease) -> None:
    other = opening()
    records.open_workload(replace(other, spec=other.spec.model_copy(update={"name": "other"}), run_id="other"))
    records.hand_over(_order(standby))
    with pytest.raises(OfferTaken):
        records.hand_over(_order(standby, workload="other"))


def test_an_epoch_below_the_fence_gets_nothing(records: Records, standby: Lease) -> None:
    records.claim_epoch(ClaimEpochInput(workload="train", epoch=2, offer=None))
    with pytest.raises(Fenced):
        records.hand_over(_order(standby))
    assert [line.label for line in records.open_leases()] == [standby.label]


def test_a_workload_that_cannot_pay_leaves_it_with_the_pool(records: Records, standby: Lease) -> None:
    records.set_budget(SetBudgetInput(scope=Scope.WORKLOAD, name="train", span=Span.TOTAL, amount=Decimal(0)))
    with pytest.raises(BudgetExceeded):
        records.hand_over(_order(standby))
    assert [line.label for line in records.open_leases()] == [standby.label]


def test_no_workload_may_have_a_pools_name(records: Records) -> None:
    order = opening()
    with pytest.raises(Fenced):
        records.open_workload(replace(order, spec=order.spec.model_copy(update={"name": POOL})))


def test_every_standby_of_a_pool_keeps_its_reservation(records: Records, clock: Clock, standby: Lease) -> None:
    records.set_budget(SetBudgetInput(scope=Scope.WORKLOAD, name=POOL, span=Span.TOTAL, amount=Decimal(100)))
    word = records.keep_budget(POOL)
    assert not word.used_up
