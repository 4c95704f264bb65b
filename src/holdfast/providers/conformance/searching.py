"""Searching: what comes back fits, whatever the provider's own filters let through."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from holdfast.contracts.machines import Requirements, Terms
from holdfast.policy.fitness import misfit
from holdfast.providers.conformance.account import Account
from holdfast.providers.errors import CredentialsRefused


@pytest.mark.parametrize("terms", Terms)
async def test_every_offer_of_a_gpu_fits_and_the_cheapest_comes_first(account: Account, terms: Terms) -> None:
    await _finds(account, account.needs(terms))


async def test_every_limit_is_checked_again_on_what_comes_back(account: Account) -> None:
    account.require(bool(account.subject.searches), "names no further searches")
    for needs in account.subject.searches:
        await _finds(account, needs)


async def test_a_gpu_is_found_however_it_is_written(account: Account) -> None:
    needs = account.needs()
    assert needs.gpu is not None
    small = replace(needs, gpu=needs.gpu.lower().replace(" ", "_"))
    found = {offer.offer_id for offer in await account.provider.search_offers(needs)}
    assert {offer.offer_id for offer in await account.provider.search_offers(small)} == found


async def test_what_nobody_offers_is_an_empty_answer(account: Account) -> None:
    needs = account.needs()
    assert list(await account.provider.search_offers(replace(needs, max_hourly=Decimal("0.0001")))) == []
    assert list(await account.provider.search_offers(replace(needs, gpu="RTX 99999"))) == []
    assert list(await account.provider.search_offers(replace(needs, regions=("AQ",)))) == []


async def test_a_search_at_terms_that_are_not_offered_is_empty_or_firmer(account: Account) -> None:
    absent = next((terms for terms in Terms if terms not in account.subject.terms), None)
    account.require(absent is not None, "offers all terms")
    assert absent is not None
    needs = replace(account.needs(), terms=absent)
    for offer in await account.provider.search_offers(needs):
        assert offer.terms is Terms.ON_DEMAND and absent is Terms.INTERRUPTIBLE


async def test_a_bid_is_named_exactly_where_there_is_something_to_bid(account: Account) -> None:
    for terms in account.subject.terms:
        bid = (await account.cheapest(terms)).bid
        if terms is Terms.INTERRUPTIBLE and account.subject.bids:
            assert bid is not None and bid > 0
        else:
            assert bid is None


async def test_offers_beyond_one_answer_of_the_provider_are_found_too(account: Account) -> None:
    # More machines at one price than a page holds, and a dearer one behind them.
    account.require(account.subject.page_of_offers > 0, "answers a search in one piece")
    needs = account.controls.crowd(account.subject.page_of_offers + 6)
    machines = [offer.machine_id for offer in await account.provider.search_offers(needs)]
    assert len(machines) == len(set(machines)) >= account.subject.page_of_offers


async def test_a_search_with_a_wrong_key_asks_for_a_person(account: Account) -> None:
    stranger = account.controls.stranger()
    with pytest.raises(CredentialsRefused):
        await stranger.search_offers(account.needs())
    await stranger.close()


@pytest.mark.parametrize("key", ["", "half a key\nhalf another", "schlüssel"], ids=["none", "broken", "foreign"])
async def test_a_key_that_cannot_be_one_asks_for_a_person_and_is_not_told(account: Account, key: str) -> None:
    keyless = account.controls.stranger(key)
    with pytest.raises(CredentialsRefused) as refused:
        await keyless.search_offers(account.needs())
    assert not key or key not in str(refused.value)
    await keyless.close()


async def _finds(account: Account, needs: Requirements) -> None:
    offers = await account.provider.search_offers(needs)
    assert offers, f"nothing fits {needs}"
    now = datetime.now(UTC)
    assert [misfit(offer, needs, now=now, avoid_machines=frozenset()) for offer in offers] == [""] * len(offers)
    assert {offer.terms for offer in offers} == {needs.terms}
    assert {offer.provider for offer in offers} == {account.provider.name}
    assert [offer.hourly for offer in offers] == sorted(offer.hourly for offer in offers)
