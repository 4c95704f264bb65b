"""Renting: effectively once, and nothing is left behind."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.machines import InstanceState, Terms
from holdfast.providers.errors import CredentialsRefused, LaunchUnsettled, OutOfCredit, ProviderUnavailable, RateLimited
from holdfast.simcloud.model import Trouble
from tests.conformance.providers.conftest import Account, machine
from tests.conformance.providers.drivers import LAG
from tests.conformance.providers.waiting import until_listed, until_state


@pytest.mark.parametrize("terms", Terms)
async def test_a_rented_machine_wears_its_label_and_comes_up_with_an_address(account: Account, terms: Terms) -> None:
    order = account.order(await account.cheapest(terms))
    rented = machine(await account.provider.launch(order))
    running = await until_state(account.provider, rented.instance_id, InstanceState.RUNNING)
    assert (running.label, running.terms, running.machine_id) == (order.label, terms, order.offer.machine_id)
    assert running.ssh is not None and running.ssh.host == running.ssh.host.strip()
    assert running.hourly is not None and running.hourly == rented.hourly
    assert running.contract_ends is not None and running.contract_ends.tzinfo is not None


async def test_a_repeated_order_adopts_what_the_first_one_rented(account: Account) -> None:
    order = account.order(await account.cheapest())
    first = await account.provider.launch(order)
    second = await account.provider.launch(order)
    assert machine(second).instance_id == machine(first).instance_id
    assert (first.adopted, second.adopted) == (False, True)
    assert account.alive() == [int(machine(first).instance_id)]


async def test_a_machine_whose_order_lost_its_answer_is_found_by_its_label(account: Account) -> None:
    account.control.add_fault(Trouble.LOST_RESPONSE, endpoint="rent")
    result = await account.provider.launch(account.order(await account.cheapest()))
    assert result.adopted
    assert account.alive() == [int(machine(result).instance_id)]


async def test_a_machine_that_lists_late_is_waited_for(account: Account) -> None:
    account.control.set_listing_lag(LAG / 2)
    account.control.add_fault(Trouble.LOST_RESPONSE, endpoint="rent")
    result = await account.provider.launch(account.order(await account.cheapest()))
    assert result.adopted
    assert len(account.alive()) == 1


async def test_a_launch_whose_trace_is_not_found_is_unsettled_and_a_repeat_settles_it(account: Account) -> None:
    account.control.set_listing_lag(LAG * 3)
    account.control.add_fault(Trouble.LOST_RESPONSE, endpoint="rent")
    order = account.order(await account.cheapest())
    with pytest.raises(LaunchUnsettled):
        await account.provider.launch(order)
    (rented,) = account.alive()
    await until_listed(account.provider, order.label, 1)
    again = await account.provider.launch(order)
    assert again.adopted and machine(again).instance_id == str(rented)


async def test_of_two_machines_with_one_label_the_older_is_adopted_and_the_younger_goes(account: Account) -> None:
    account.control.set_listing_lag(LAG * 3)
    order = account.order(await account.cheapest())
    older = machine(await account.provider.launch(order))
    younger = machine(await account.provider.launch(replace(order, offer=await account.cheapest())))
    assert younger.instance_id != older.instance_id
    await until_listed(account.provider, order.label, 2)
    result = await account.provider.launch(order)
    assert result.adopted and machine(result).instance_id == older.instance_id
    assert account.alive() == [int(older.instance_id)]


async def test_an_offer_that_is_gone_is_a_refusal_and_no_error(account: Account) -> None:
    offer = await account.cheapest(Terms.ON_DEMAND)
    assert machine(await account.provider.launch(account.order(offer)))
    result = await account.provider.launch(account.order(offer))
    assert result.instance is None and result.refusal
    assert len(account.alive()) == 1


async def test_a_withdrawn_offer_is_a_refusal(account: Account) -> None:
    offer = await account.cheapest()
    (slot,) = [each for each in account.control.offers() if str(each["offer"]) == offer.offer_id]
    account.control.change_offer(slot["slot"], withdrawn=True)
    result = await account.provider.launch(account.order(offer))
    account.control.change_offer(slot["slot"], withdrawn=False)
    assert result.instance is None and result.refusal


async def test_a_bid_that_is_too_low_is_a_refusal_and_leaves_nothing_behind(account: Account) -> None:
    offer = replace(await account.cheapest(), bid=Decimal("0.001"))
    result = await account.provider.launch(account.order(offer))
    assert result.instance is None and result.refusal
    assert account.alive() == []


async def test_what_a_refused_bid_left_behind_is_never_adopted(account: Account) -> None:
    order = account.order(replace(await account.cheapest(), bid=Decimal("0.001")))
    account.control.add_fault(Trouble.HTTP_ERROR, endpoint="destroy", status=502)
    with pytest.raises(ProviderUnavailable):
        await account.provider.launch(order)
    assert len(account.alive()) == 1
    result = await account.provider.launch(replace(order, repeated=True))
    assert result.instance is None and result.refusal
    assert account.alive() == []


async def test_an_order_that_came_too_early_rents_nothing_and_says_when_to_come_back(account: Account) -> None:
    account.control.add_fault(Trouble.TOO_FREQUENT, endpoint="rent")
    order = account.order(await account.cheapest())
    with pytest.raises(RateLimited) as refused:
        await account.provider.launch(order)
    assert refused.value.retry_after > timedelta(0)
    assert account.alive() == []


async def test_an_empty_account_asks_for_a_person_and_rents_nothing(account: Account) -> None:
    order = account.order(await account.cheapest())
    account.control.set_credit(Decimal(0))
    with pytest.raises(OutOfCredit):
        await account.provider.launch(order)
    account.control.set_credit(Decimal(100))
    assert account.alive() == []


async def test_an_order_that_the_gateway_dropped_is_unsettled(account: Account) -> None:
    account.control.add_fault(Trouble.HTTP_ERROR, endpoint="rent", status=503)
    with pytest.raises(LaunchUnsettled):
        await account.provider.launch(account.order(await account.cheapest()))
    assert account.alive() == []


async def test_an_account_that_cannot_be_listed_rents_nothing(account: Account) -> None:
    order = account.order(await account.cheapest())
    account.control.add_fault(Trouble.HTTP_ERROR, endpoint="list", status=502)
    with pytest.raises(ProviderUnavailable):
        await account.provider.launch(order)
    assert account.alive() == []


async def test_a_wrong_key_is_not_an_offer_that_is_gone(account: Account) -> None:
    order = account.order(await account.cheapest())
    stranger = account.driver.open(account.market.base_url, "a-wrong-key")
    with pytest.raises(CredentialsRefused):
        await stranger.launch(order)
    await stranger.close()


async def test_a_market_that_is_not_there_rents_nothing_for_certain(account: Account) -> None:
    order = account.order(await account.cheapest())
    nowhere = account.driver.open("http://127.0.0.1:1", account.market.api_key)
    with pytest.raises(ProviderUnavailable):
        await nowhere.launch(order)
    await nowhere.close()
