"""What is charged, second by second."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.simcloud.bill import Line, cost, started_seconds, total
from holdfast.simcloud.model import Container
from tests.unit.simcloud.conftest import START, Bench

HOUR = timedelta(hours=1)


def line_of(bench: Bench, number: int) -> Line:
    return next(line for line in bench.market.bill.lines(bench.clock.now()) if line.instance_id == number)


@pytest.mark.parametrize(("elapsed", "seconds"), [(0.0, 0), (0.001, 1), (1.0, 1), (1.2, 2), (59.999, 60)])
def test_every_started_second_counts(elapsed: float, seconds: int) -> None:
    assert started_seconds(START, START + timedelta(seconds=elapsed)) == seconds


def test_an_hour_costs_the_hourly_rate() -> None:
    assert cost(Decimal("0.31"), START, START + HOUR) == Decimal("0.31")


def test_gpus_are_charged_only_while_the_container_runs(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(boot={"kind": "constant", "seconds": 600})
    number = bench.rent(disk=720)
    bench.clock.advance(timedelta(seconds=600))
    bench.market.advance()
    bench.run(number)
    bench.clock.advance(HOUR)
    bench.market.halt(number)
    bench.clock.advance(HOUR)
    line = line_of(bench, number)
    assert line.gpu == bench.slot().price
    assert line.running == HOUR


def test_the_disk_is_charged_from_acceptance_to_destruction(bench: Bench) -> None:
    number = bench.rent(disk=720)
    bench.run(number)
    bench.clock.advance(HOUR)
    bench.market.halt(number)
    bench.clock.advance(HOUR)
    bench.market.destroy(number)
    bench.clock.advance(HOUR)
    assert line_of(bench, number).storage == 2 * bench.slot().storage_price
    assert line_of(bench, number).existed_until == START + 2 * HOUR


def test_nothing_is_charged_while_the_host_is_offline(bench: Bench) -> None:
    number = bench.rent()
    bench.run(number)
    bench.clock.advance(HOUR)
    slot = bench.slot()
    slot.offline = True
    bench.market.change_slot(slot)
    before = line_of(bench, number).total
    bench.clock.advance(HOUR)
    assert line_of(bench, number).total == before
    slot.offline = False
    bench.market.change_slot(slot)
    bench.clock.advance(HOUR)
    assert line_of(bench, number).gpu == 2 * slot.price


def test_an_interruptible_pays_its_bid_and_a_new_bid_counts_from_its_change(bench: Bench) -> None:
    number = bench.rent("0.10")
    bench.run(number)
    bench.clock.advance(HOUR)
    bench.market.change_bid(number, Decimal("0.12"))
    bench.clock.advance(HOUR)
    assert line_of(bench, number).gpu == Decimal("0.22")


def test_an_outbid_instance_pays_for_its_disk_only(bench: Bench) -> None:
    number = bench.rent("0.10")
    bench.run(number)
    bench.clock.advance(HOUR)
    bench.rent("0.11", label="other.e1")
    bench.clock.advance(HOUR)
    assert line_of(bench, number).gpu == Decimal("0.10")
    assert line_of(bench, number).periods[-1].state is Container.EXITED


def test_the_running_sum_equals_the_sum_of_the_lines(bench: Bench) -> None:
    first, second = bench.rent("0.10"), bench.rent(slot=5)
    bench.run(first)
    bench.run(second)
    bench.clock.advance(timedelta(seconds=1234.5))
    bench.market.halt(first)
    bench.clock.advance(timedelta(seconds=77.7))
    bench.market.destroy(second)
    now = bench.clock.now()
    assert bench.market.bill.spent(now) == total(bench.market.bill.lines(now)) > 0


def test_the_audit_knows_who_existed_when(bench: Bench) -> None:
    first = bench.rent()
    bench.clock.advance(HOUR)
    second = bench.rent(slot=2)
    bench.market.destroy(first)
    bench.clock.advance(HOUR)
    bill = bench.market.bill
    assert bill.alive_at(START + HOUR / 2) == [first]
    assert bill.alive_at(START + 1.5 * HOUR) == [second]


def test_an_empty_account_stops_everything(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(credit=Decimal("0.10"))
    number = bench.rent()
    bench.run(number)
    bench.clock.advance(HOUR)
    bench.market.advance()
    assert bench.market.instance(number).container is Container.EXITED
    assert not bench.market.instance(number).granted
