"""What a provider may also do: each flag and its protocol agree, and each ability keeps its promise."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.machines import InstanceState, Offer, Terms
from holdfast.providers.base import (
    AdvisesCapacity,
    ChangesBid,
    DiskSnapshot,
    KeepsSnapshots,
    Pauses,
    SnapshotState,
    TellsCharges,
    TellsPrices,
)
from holdfast.providers.conformance.account import Account, machine
from holdfast.providers.conformance.subject import Fault, Verb
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable

RUNNING, STOPPED = InstanceState.RUNNING, InstanceState.STOPPED


async def test_flags_are_what_the_methods_say(account: Account) -> None:
    said, does = account.provider.capabilities, account.provider
    assert said.pauses == isinstance(does, Pauses)
    assert said.changes_bid == isinstance(does, ChangesBid)
    assert said.snapshots == isinstance(does, KeepsSnapshots)
    assert said.tells_prices == isinstance(does, TellsPrices)
    assert said.tells_charges == isinstance(does, TellsCharges)
    assert said.advises_capacity == isinstance(does, AdvisesCapacity)
    assert said.interruptible == (Terms.INTERRUPTIBLE in account.subject.terms)


async def test_a_stopped_machine_keeps_its_place_and_starts_again(account: Account) -> None:
    pausing = _pausing(account)
    running = await account.running(Terms.ON_DEMAND)
    await pausing.stop(running.instance_id)
    stopped = await account.until(running.instance_id, STOPPED)
    assert stopped.ssh is None
    started = await pausing.start(running.instance_id)
    assert started.state in (InstanceState.STARTING, RUNNING)
    assert (await account.until(running.instance_id, RUNNING)).ssh is not None


async def test_stop_and_start_may_be_repeated(account: Account) -> None:
    pausing = _pausing(account)
    running = await account.running(Terms.ON_DEMAND)
    for _ in range(2):
        await pausing.stop(running.instance_id)
        await account.until(running.instance_id, STOPPED)
    for _ in range(2):
        await pausing.start(running.instance_id)
        await account.until(running.instance_id, RUNNING)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.GATEWAY, Fault.DOWN])
async def test_a_stop_and_a_start_without_an_answer_are_errors_and_may_be_repeated(
    account: Account, fault: Fault
) -> None:
    pausing = _pausing(account)
    running = await account.running(Terms.ON_DEMAND)
    account.controls.fail(fault, Verb.STOP)
    with pytest.raises(ProviderUnavailable):
        await pausing.stop(running.instance_id)
    account.controls.mend()
    await pausing.stop(running.instance_id)
    await account.until(running.instance_id, STOPPED)
    account.controls.fail(fault, Verb.START)
    with pytest.raises(ProviderUnavailable):
        await pausing.start(running.instance_id)
    account.controls.mend()
    await pausing.start(running.instance_id)
    assert await account.until(running.instance_id, RUNNING)


async def test_a_start_finds_that_somebody_else_took_the_gpu(account: Account) -> None:
    pausing = _pausing(account)
    running = await account.running(Terms.ON_DEMAND)
    await pausing.stop(running.instance_id)
    await account.until(running.instance_id, STOPPED)
    account.controls.take_gpu(running.instance_id)
    assert (await pausing.start(running.instance_id)).state is InstanceState.WAITING
    await pausing.stop(running.instance_id)  # withdraws the wish
    account.controls.release_gpu(running.instance_id)
    assert (await account.provider.inspect(running.instance_id)).state is STOPPED


async def test_a_higher_bid_wins_the_machine_back(account: Account) -> None:
    bidding = _bidding(account)
    running = await account.running(Terms.INTERRUPTIBLE)
    account.controls.interrupt(running.instance_id)
    await account.until(running.instance_id, InstanceState.INTERRUPTED, STOPPED)
    await bidding.change_bid(running.instance_id, Decimal("1.5"))
    assert await account.until(running.instance_id, RUNNING)


async def test_a_snapshot_becomes_ready_and_goes_when_it_is_dropped(account: Account) -> None:
    keeping = _keeping(account)
    running = await account.running()
    name = f"{account.subject.label_prefix}-copy"
    taken = await keeping.take_snapshot(running.instance_id, name)
    assert (taken.name, taken.state) in [(name, SnapshotState.CREATING), (name, SnapshotState.READY)]
    assert (await keeping.take_snapshot(running.instance_id, name)).name == name
    ready = await _until_ready(account, keeping, name)
    assert ready.disk_gb is not None and ready.disk_gb > 0
    assert [each.name for each in await keeping.list_snapshots()] == [name]
    await account.end(running.instance_id)
    assert (await keeping.find_snapshot(name)).state is SnapshotState.READY  # kept apart from its machine
    await _drop(account, keeping, name)
    assert list(await keeping.list_snapshots()) == []


async def test_a_machine_may_begin_with_a_snapshot(account: Account) -> None:
    keeping = _keeping(account)
    running = await account.running()
    name = f"{account.subject.label_prefix}-seed"
    await keeping.take_snapshot(running.instance_id, name)
    await _until_ready(account, keeping, name)
    order = replace(account.order(await account.cheapest()), from_snapshot=name)
    born = machine(await account.provider.launch(order))
    assert await account.until(born.instance_id, RUNNING)
    await _drop(account, keeping, name)


async def test_a_snapshot_that_never_was_is_gone(account: Account) -> None:
    keeping = _keeping(account)
    assert (await keeping.find_snapshot("never-taken")).state is SnapshotState.GONE
    assert await keeping.drop_snapshot("never-taken")


async def test_past_prices_come_oldest_first_and_make_sense(account: Account) -> None:
    telling = _telling(account)
    since = datetime.now(UTC) - timedelta(days=7)
    points = await telling.price_history(account.subject.gpu, since)
    assert points
    assert [point.at for point in points] == sorted(point.at for point in points)
    for point in points:
        assert point.at >= since and point.hourly > 0
        assert point.gpu.casefold() == account.subject.gpu.casefold()
        assert point.low is None or point.low <= point.hourly
        assert point.high is None or point.high >= point.hourly


async def test_of_a_gpu_that_nobody_has_there_are_no_past_prices(account: Account) -> None:
    telling = _telling(account)
    assert list(await telling.price_history("RTX 99999", datetime.now(UTC) - timedelta(days=7))) == []


async def test_past_prices_with_a_wrong_key_ask_for_a_person(account: Account) -> None:
    _telling(account)  # or skip
    stranger = account.controls.stranger()
    assert isinstance(stranger, TellsPrices)
    with pytest.raises(CredentialsRefused):
        await stranger.price_history(account.subject.gpu, datetime.now(UTC) - timedelta(days=7))
    await stranger.close()


async def test_advice_on_capacity_is_a_likelihood_for_some_of_the_offers(account: Account) -> None:
    advising = _advising(account)
    offers = [offer for terms in account.subject.terms for offer in await _offers(account, terms)]
    advice = await advising.obtainability(offers)
    assert advice.keys() <= {offer.offer_id for offer in offers}
    assert all(0 <= likelihood <= 1 for likelihood in advice.values())
    assert not await advising.obtainability([])


async def _offers(account: Account, terms: Terms) -> list[Offer]:
    return list(await account.provider.search_offers(account.needs(terms)))


async def _until_ready(account: Account, keeping: KeepsSnapshots, name: str) -> DiskSnapshot:
    async with asyncio.timeout(account.subject.patience.total_seconds()):
        while (found := await keeping.find_snapshot(name)).state is not SnapshotState.READY:
            assert found.state is SnapshotState.CREATING, found.detail
            await asyncio.sleep(account.subject.poll.total_seconds())
    return found


async def _drop(account: Account, keeping: KeepsSnapshots, name: str) -> None:
    async with asyncio.timeout(account.subject.patience.total_seconds()):
        while not await keeping.drop_snapshot(name):
            await asyncio.sleep(account.subject.poll.total_seconds())
    assert (await keeping.find_snapshot(name)).state is SnapshotState.GONE


def _pausing(account: Account) -> Pauses:
    provider = account.provider
    account.require(isinstance(provider, Pauses), "cannot stop a machine")
    assert isinstance(provider, Pauses)
    return provider


def _bidding(account: Account) -> ChangesBid:
    provider = account.provider
    account.require(isinstance(provider, ChangesBid), "cannot change a bid")
    assert isinstance(provider, ChangesBid)
    return provider


def _keeping(account: Account) -> KeepsSnapshots:
    provider = account.provider
    account.require(isinstance(provider, KeepsSnapshots), "cannot copy a disk")
    assert isinstance(provider, KeepsSnapshots)
    return provider


def _telling(account: Account) -> TellsPrices:
    provider = account.provider
    account.require(isinstance(provider, TellsPrices), "cannot tell past prices")
    assert isinstance(provider, TellsPrices)
    return provider


def _advising(account: Account) -> AdvisesCapacity:
    provider = account.provider
    account.require(isinstance(provider, AdvisesCapacity), "cannot advise on capacity")
    assert isinstance(provider, AdvisesCapacity)
    return provider
