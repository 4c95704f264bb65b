"""Who gets the GPUs, and what becomes of the others."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.simcloud.errors import BidTooLow, Gone, GpuTaken, NoSuchInstance, OfferGone
from holdfast.simcloud.model import Container, Flaw, Order, Rival, Stop, Wish
from tests.unit.simcloud.conftest import Bench


def test_an_offer_can_be_rented_once(bench: Bench) -> None:
    ask = bench.slot().ask_id
    bench.rent()
    with pytest.raises(OfferGone) as gone:
        bench.market.rent(ask, Order(image="x"))
    assert gone.value.why is Gone.UNKNOWN


def test_a_held_slot_is_not_offered_and_comes_back_under_another_id(bench: Bench) -> None:
    before = bench.slot().ask_id
    number = bench.rent()
    assert 1 not in {slot.id for slot, _ in bench.market.counter.offers(interruptible=False)}
    bench.market.destroy(number)
    assert 1 in {slot.id for slot, _ in bench.market.counter.offers(interruptible=False)}
    assert bench.slot().ask_id != before


def test_a_withdrawn_offer_is_refused(bench: Bench) -> None:
    slot = bench.slot()
    slot.withdrawn = True
    bench.market.change_slot(slot)
    with pytest.raises(OfferGone) as gone:
        bench.rent()
    assert gone.value.why is Gone.WITHDRAWN


def test_a_bid_that_is_too_low_leaves_a_stopped_instance_behind(bench: Bench) -> None:
    with pytest.raises(BidTooLow) as low:
        bench.rent("0.01")
    left = bench.market.instance(low.value.instance.id)
    assert (left.container, left.granted, left.wish) == (Container.STOPPED, False, Wish.STOPPED)
    bench.clock.advance(timedelta(hours=1))
    assert bench.market.bill.spent(bench.clock.now()) > 0


def test_a_higher_bid_takes_the_gpus_and_the_loser_comes_back_when_it_leaves(bench: Bench) -> None:
    first = bench.rent("0.10")
    bench.run(first)
    second = bench.rent("0.12", label="other.e1")
    assert bench.market.instance(first).stop is Stop.OUTBID
    assert bench.market.instance(first).container is Container.EXITED
    bench.market.destroy(second)
    assert bench.market.instance(first).granted
    assert bench.market.instance(first).container is Container.LOADING


def test_an_on_demand_tenant_outranks_every_bid(bench: Bench) -> None:
    bidder = bench.rent("0.90")
    owner = bench.rent(label="other.e1")
    assert bench.market.instance(owner).granted
    assert not bench.market.instance(bidder).granted


def test_an_on_demand_tenant_is_not_put_out_by_a_rival(bench: Bench) -> None:
    number = bench.rent()
    slot = bench.slot()
    slot.rival = Rival()
    bench.market.change_slot(slot)
    assert bench.market.instance(number).granted


def test_a_rival_leaves_when_its_time_is_over(bench: Bench) -> None:
    number = bench.rent("0.10")
    slot = bench.slot()
    slot.rival = Rival(bid=Decimal("0.50"), until=bench.clock.now() + timedelta(minutes=5))
    bench.market.change_slot(slot)
    assert not bench.market.instance(number).granted
    assert bench.market.advance() == slot.rival.until
    bench.clock.advance(timedelta(minutes=5))
    bench.market.advance()
    assert bench.market.instance(number).granted


def test_raising_the_bid_wins_the_gpus_back(bench: Bench) -> None:
    number = bench.rent("0.10")
    slot = bench.slot()
    slot.rival = Rival(bid=Decimal("0.20"))
    bench.market.change_slot(slot)
    bench.market.change_bid(number, None)
    assert bench.market.instance(number).granted
    assert bench.market.instance(number).bid == Decimal("0.21")


@pytest.mark.parametrize(("habit", "wish"), [("queued", Wish.RUNNING), ("dropped", Wish.STOPPED)])
def test_a_start_is_refused_while_somebody_else_has_the_gpus(
    make_bench: Callable[..., Bench], habit: str, wish: Wish
) -> None:
    bench = make_bench(refused_start=habit)
    number = bench.rent()
    bench.market.halt(number)
    slot = bench.slot()
    slot.rival = Rival()
    bench.market.change_slot(slot)
    with pytest.raises(GpuTaken):
        bench.market.start(number)
    assert bench.market.instance(number).wish is wish
    slot.rival = None
    bench.market.change_slot(slot)
    assert bench.market.instance(number).granted is (habit == "queued")


def test_a_stopped_instance_starts_again_when_the_gpus_are_free(bench: Bench) -> None:
    number = bench.rent()
    bench.run(number)
    bench.market.halt(number)
    bench.market.start(number)
    assert bench.market.instance(number).container is Container.LOADING


def test_a_boot_passes_through_created_and_loading(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(boot={"kind": "constant", "seconds": 10})
    number = bench.rent()
    assert bench.market.instance(number).container is Container.ABSENT
    bench.market.advance()
    assert bench.market.instance(number).container is Container.CREATED
    bench.clock.advance(timedelta(seconds=5))
    bench.market.advance()
    assert bench.market.instance(number).container is Container.LOADING
    assert not bench.market.booted(number, 22), "its boot is not over"
    bench.clock.advance(timedelta(seconds=5))
    bench.run(number)


def test_the_same_seed_gives_the_same_boot_times(make_bench: Callable[..., Bench]) -> None:
    boots = {"kind": "lognormal", "median": 30, "spread": 0.5}
    first, second = make_bench(boot=boots), make_bench(boot=boots)
    assert [first.profile.boot_time(n, 0) for n in range(5)] == [second.profile.boot_time(n, 0) for n in range(5)]
    assert len({first.profile.boot_time(n, 0) for n in range(5)}) == 5


@pytest.mark.parametrize("flaw", [Flaw.NEVER_BOOTS, Flaw.NO_IMAGE, Flaw.BROKEN_RUNTIME])
def test_a_flawed_machine_never_runs(bench: Bench, flaw: Flaw) -> None:
    slot = bench.slot()
    slot.flaw = flaw
    bench.market.change_slot(slot)
    number = bench.rent()
    bench.clock.advance(timedelta(hours=1))
    bench.market.advance()
    assert not bench.market.booted(number, 22)
    assert bench.market.instance(number).container in (Container.LOADING, Container.CREATED)


def test_the_providers_word_follows_a_death_with_a_lag(bench: Bench) -> None:
    number = bench.rent()
    bench.run(number)
    bench.market.died(number, word_lag=timedelta(seconds=30), word=Container.OFFLINE)
    instance = bench.market.instance(number)
    assert instance.container is Container.EXITED
    assert instance.said(bench.slot(), bench.clock.now()) is Container.RUNNING
    bench.clock.advance(timedelta(seconds=30))
    assert instance.said(bench.slot(), bench.clock.now()) is Container.OFFLINE


def test_a_contract_ends_and_cannot_be_started_again_and_is_deleted_later(bench: Bench) -> None:
    number = bench.rent()
    bench.run(number)
    bench.clock.advance(bench.slot().contract_end - bench.clock.now())
    bench.store.put_account(bench.store.account().model_copy(update={"credit": Decimal(10**6)}))
    bench.market.advance()
    assert bench.market.instance(number).stop is Stop.CONTRACT_END
    with pytest.raises(GpuTaken):
        bench.market.start(number)
    bench.clock.advance(timedelta(hours=48))
    bench.market.advance()
    with pytest.raises(NoSuchInstance):
        bench.market.instance(number)


def test_a_second_destroy_says_that_it_is_gone(bench: Bench) -> None:
    number = bench.rent()
    bench.market.destroy(number)
    with pytest.raises(NoSuchInstance):
        bench.market.destroy(number)


def test_a_host_that_is_found_dead_after_its_instance_was_destroyed_is_no_news(bench: Bench) -> None:
    number = bench.rent()
    bench.run(number)
    bench.market.destroy(number)
    bench.market.died(number)
    assert bench.store.instance(number) is None


def test_a_failed_transaction_leaves_nothing_behind(bench: Bench) -> None:
    class Crash(Exception):
        pass

    with pytest.raises(Crash), bench.store.transaction():
        bench.rent()
        raise Crash
    assert bench.store.instances() == []
    assert bench.market.bill.lines(bench.clock.now()) == []
