"""Machines that hold their GPUs for as long as they exist: who gets them, and what each state costs."""

from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.simcloud.errors import OfferGone
from holdfast.simcloud.model import Container, Order
from tests.unit.simcloud.conftest import Bench

AN_HOUR = timedelta(hours=1)
COMPUTE, DISK = Decimal("0.50"), Decimal("0.01")


def reserve(bench: Bench) -> int:
    """Rent the first slot so that its GPUs are paid for while they are held."""
    order = Order(image="vm", label="job.e1", gpu_rate=COMPUTE, storage_rate=DISK, reserved=True)
    return bench.market.rent(bench.slot().ask_id, order).id


def an_hour_costs(bench: Bench) -> Decimal:
    before = bench.market.credit()
    bench.clock.advance(AN_HOUR)
    return before - bench.market.credit()


def test_each_state_has_its_price(bench: Bench) -> None:
    number = reserve(bench)
    assert an_hour_costs(bench) == COMPUTE + DISK, "while it boots"
    bench.run(number)
    assert an_hour_costs(bench) == COMPUTE + DISK, "while it runs"
    bench.market.rest(number)
    assert an_hour_costs(bench) == COMPUTE + DISK, "while it is stopped and holds its GPUs"
    bench.market.halt(number)
    assert an_hour_costs(bench) == DISK, "once it has given them back"
    bench.market.destroy(number)
    assert an_hour_costs(bench) == 0


def test_a_machine_that_died_is_paid_for_until_it_is_ended(bench: Bench) -> None:
    number = reserve(bench)
    bench.run(number)
    bench.market.died(number)
    assert an_hour_costs(bench) == COMPUTE + DISK


def test_nobody_gets_the_gpus_of_a_machine_that_rests(bench: Bench) -> None:
    number = reserve(bench)
    bench.run(number)
    bench.market.rest(number)
    assert all(slot.id != 1 for slot, _ in bench.market.counter.offers(interruptible=False))
    with pytest.raises(OfferGone):
        bench.market.rent(bench.slot().ask_id, Order(image="vm"))
    assert bench.market.start(number).granted
    bench.run(number)
    assert bench.market.instance(number).container is Container.RUNNING


def test_to_rest_twice_is_to_rest_and_what_has_no_gpus_cannot(bench: Bench) -> None:
    number = reserve(bench)
    bench.run(number)
    bench.market.rest(number)
    bench.market.rest(number)
    assert bench.market.instance(number).rests
    bench.market.halt(number)
    bench.market.rest(number)
    assert not bench.market.instance(number).granted


def test_a_machine_that_rests_loses_its_gpus_with_the_last_cent(bench: Bench) -> None:
    number = reserve(bench)
    bench.run(number)
    bench.market.rest(number)
    account = bench.store.account()
    account.credit = Decimal("0.40")
    bench.store.put_account(account)
    bench.clock.advance(AN_HOUR)
    bench.market.advance()
    assert not bench.market.instance(number).granted
