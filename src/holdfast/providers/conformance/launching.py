"""Renting: effectively once, and nothing is left behind."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.machines import InstanceState, Terms
from holdfast.providers.conformance.account import Account, machine
from holdfast.providers.conformance.subject import Fault, Verb
from holdfast.providers.errors import (
    CredentialsRefused,
    LaunchUnsettled,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)

A_LOW_BID = Decimal("0.001")


@pytest.mark.parametrize("terms", Terms)
async def test_a_rented_machine_wears_its_label_and_comes_up_with_an_address(account: Account, terms: Terms) -> None:
    order = account.order(await account.cheapest(terms))
    rented = machine(await account.provider.launch(order))
    running = await account.until(rented.instance_id, InstanceState.RUNNING)
    assert (running.label, running.terms, rented.machine_id) == (order.label, terms, order.offer.machine_id)
    assert running.machine_id == (order.offer.machine_id if account.subject.tells_machine else "")
    assert (running.gpu, running.gpu_count) == (order.offer.gpu, order.offer.gpu_count)
    assert running.ssh is not None and running.ssh.host == running.ssh.host.strip()
    assert running.hourly is not None and running.hourly == rented.hourly
    assert (running.self_destruct is not None) == account.provider.capabilities.machine_can_end_itself
    ends = running.contract_ends
    assert (ends is None) == (order.offer.contract_ends is None)
    assert ends is None or ends.tzinfo is not None


async def test_a_repeated_order_adopts_what_the_first_one_rented(account: Account) -> None:
    order = account.order(await account.cheapest())
    first = await account.provider.launch(order)
    second = await account.provider.launch(order)
    assert machine(second).instance_id == machine(first).instance_id
    assert (first.adopted, second.adopted) == (False, True)
    assert await account.alive() == [machine(first).instance_id]


async def test_labels_that_differ_little_are_different_machines(account: Account) -> None:
    labels = [f"{account.subject.label_prefix}{ending}" for ending in ("-a.e1", "-a.e11", "-a-e1.e1")]
    rented = [
        machine(await account.provider.launch(account.order(await account.cheapest(), label))) for label in labels
    ]
    assert [each.label for each in rented] == labels
    for label, each in zip(labels, rented, strict=True):
        assert [found.instance_id for found in await account.provider.list_owned(label)] == [each.instance_id]
        assert (await account.provider.inspect(each.instance_id)).label == label


async def test_a_machine_whose_order_lost_its_answer_is_found_by_its_label(account: Account) -> None:
    account.controls.fail(Fault.LOST, Verb.RENT)
    result = await account.provider.launch(account.order(await account.cheapest()))
    assert result.adopted
    assert await account.alive() == [machine(result).instance_id]


async def test_a_machine_that_lists_late_is_waited_for(account: Account) -> None:
    lag = account.provider.capabilities.listing_lag
    account.require(lag > timedelta(0), "lists a new machine at once")
    account.controls.delay_listings(lag / 2)
    account.controls.fail(Fault.LOST, Verb.RENT)
    result = await account.provider.launch(account.order(await account.cheapest()))
    assert result.adopted
    assert len(await account.alive()) == 1


async def test_a_launch_whose_trace_is_not_found_is_unsettled_and_a_repeat_settles_it(account: Account) -> None:
    lag = account.provider.capabilities.listing_lag
    account.require(lag > timedelta(0), "lists a new machine at once")
    account.controls.delay_listings(lag * 3)
    account.controls.fail(Fault.LOST, Verb.RENT)
    order = account.order(await account.cheapest())
    with pytest.raises(LaunchUnsettled):
        await account.provider.launch(order)
    (rented,) = await account.alive()
    await account.until_listed(order.label, 1)
    again = await account.provider.launch(order)
    assert again.adopted and machine(again).instance_id == rented


async def test_of_two_machines_with_one_label_the_older_is_adopted_and_the_younger_goes(account: Account) -> None:
    lag = account.provider.capabilities.listing_lag
    account.require(lag > timedelta(0), "lists a new machine at once")
    account.controls.delay_listings(lag * 3)
    order = account.order(await account.cheapest())
    older = machine(await account.provider.launch(order))
    younger = machine(await account.provider.launch(replace(order, offer=await account.cheapest())))
    assert younger.instance_id != older.instance_id
    await account.until_listed(order.label, 2)
    result = await account.provider.launch(order)
    assert result.adopted and machine(result).instance_id == older.instance_id
    assert await account.alive() == [older.instance_id]


async def test_of_an_order_that_was_carried_out_twice_one_machine_stays(account: Account) -> None:
    account.controls.fail(Fault.TWICE, Verb.RENT)
    order = account.order(await account.cheapest())
    rented = machine(await account.provider.launch(order))
    assert rented.instance_id in await account.alive()
    settled = await account.provider.launch(replace(order, repeated=True))
    assert settled.adopted
    assert await account.alive() == [machine(settled).instance_id]


async def test_an_offer_that_somebody_rented_is_a_refusal_and_no_error(account: Account) -> None:
    account.require(account.subject.once_per_offer, "rents more than one machine from one offer")
    offer = await account.cheapest(Terms.ON_DEMAND)
    assert machine(await account.provider.launch(account.order(offer)))
    result = await account.provider.launch(account.order(offer))
    assert result.instance is None and result.refusal
    assert len(await account.alive()) == 1


@pytest.mark.parametrize("terms", Terms)
async def test_a_withdrawn_offer_is_a_refusal(account: Account, terms: Terms) -> None:
    offer = await account.cheapest(terms)
    account.controls.withdraw(offer)
    result = await account.provider.launch(account.order(offer))
    assert result.instance is None and result.refusal
    assert await account.alive() == []


async def test_a_bid_that_is_too_low_is_a_refusal_and_leaves_nothing_behind(account: Account) -> None:
    account.require(account.subject.bids, "takes no bids")
    offer = replace(await account.cheapest(Terms.INTERRUPTIBLE), bid=A_LOW_BID)
    result = await account.provider.launch(account.order(offer))
    assert result.instance is None and result.refusal
    assert await account.alive() == []


async def test_what_a_refused_bid_left_behind_is_never_adopted(account: Account) -> None:
    account.require(account.subject.bids, "takes no bids")
    order = account.order(replace(await account.cheapest(Terms.INTERRUPTIBLE), bid=A_LOW_BID))
    account.controls.fail(Fault.GATEWAY, Verb.DESTROY)
    with pytest.raises(ProviderUnavailable):
        await account.provider.launch(order)
    assert len(await account.alive()) == 1
    result = await account.provider.launch(replace(order, repeated=True))
    assert result.instance is None and result.refusal
    assert await account.alive() == []


async def test_an_order_that_came_too_early_rents_once_or_says_when_to_come_back(account: Account) -> None:
    account.controls.fail(Fault.HASTE, Verb.RENT)
    order = account.order(await account.cheapest())
    try:
        result = await account.provider.launch(order)
    except RateLimited as refused:
        assert refused.retry_after > timedelta(0)
        assert await account.alive() == []
    else:
        assert await account.alive() == [machine(result).instance_id]


async def test_an_empty_account_asks_for_a_person_and_rents_nothing(account: Account) -> None:
    account.require(account.subject.prepaid, "rents on credit")
    order = account.order(await account.cheapest())
    account.controls.set_credit(Decimal(0))
    with pytest.raises(OutOfCredit):
        await account.provider.launch(order)
    assert await account.alive() == []


@pytest.mark.parametrize("fault", [Fault.GATEWAY, Fault.PAGE, Fault.OTHER_SHAPE, Fault.DOWN, Fault.SLOW])
async def test_an_order_without_a_clear_answer_is_unsettled_until_a_repeat(account: Account, fault: Fault) -> None:
    order = account.order(await account.cheapest())
    account.controls.fail(fault, Verb.RENT, times=None)
    with pytest.raises((LaunchUnsettled, ProviderUnavailable)):
        await account.provider.launch(order)
    account.controls.mend()
    result = await account.provider.launch(replace(order, repeated=True))
    assert await account.alive() == [machine(result).instance_id]


async def test_an_order_refused_with_status_200_rents_nothing(account: Account) -> None:
    order = account.order(await account.cheapest())
    account.controls.fail(Fault.REFUSED_AS_OK, Verb.RENT, times=None)
    with suppress(ProviderError):
        assert (await account.provider.launch(order)).refusal
    assert await account.alive() == []


@pytest.mark.parametrize("fault", [Fault.GATEWAY, Fault.PAGE, Fault.STRAY_404, Fault.OTHER_SHAPE, Fault.DOWN])
async def test_an_account_in_which_no_label_can_be_looked_for_rents_nothing(account: Account, fault: Fault) -> None:
    order = account.order(await account.cheapest())
    account.controls.fail(fault, Verb.FIND, times=None)
    with pytest.raises(ProviderUnavailable):
        await account.provider.launch(order)
    assert await account.alive() == []


async def test_a_wrong_key_is_not_an_offer_that_is_gone(account: Account) -> None:
    order = account.order(await account.cheapest())
    stranger = account.controls.stranger()
    with pytest.raises(CredentialsRefused):
        await stranger.launch(order)
    await stranger.close()


async def test_a_provider_that_is_not_there_rents_nothing_for_certain(account: Account) -> None:
    order = account.order(await account.cheapest())
    nowhere = account.controls.nowhere()
    with pytest.raises(ProviderUnavailable):
        await nowhere.launch(order)
    await nowhere.close()
