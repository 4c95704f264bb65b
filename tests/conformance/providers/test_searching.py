"""Searching: what comes back fits, whatever the provider's own filters let through."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from holdfast.contracts.machines import Requirements, Terms
from holdfast.policy.fitness import misfit
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable
from holdfast.simcloud.model import Trouble
from tests.conformance.providers.conftest import Account

NEEDS = [
    Requirements(gpu="RTX 4090"),
    Requirements(gpu="rtx_4090", terms=Terms.ON_DEMAND),
    Requirements(gpu_memory_gb=40, regions=("US", "NL")),
    Requirements(gpu="H100 SXM", gpu_count=8, terms=Terms.ON_DEMAND, memory_gb=256, cpu_cores=32),
    Requirements(min_reliability=0.99, max_hourly=Decimal("0.40"), min_download_mbps=700, disk_gb=100),
]


@pytest.mark.parametrize("needs", NEEDS, ids=range(len(NEEDS)))
async def test_every_offer_fits_and_the_cheapest_comes_first(account: Account, needs: Requirements) -> None:
    offers = await account.provider.search_offers(needs)
    assert offers
    now = datetime.now(UTC)
    assert [misfit(offer, needs, now=now, avoid_machines=frozenset()) for offer in offers] == [""] * len(offers)
    assert {offer.terms for offer in offers} == {needs.terms}
    assert list(offers) == sorted(offers, key=lambda offer: offer.hourly)


async def test_what_nobody_offers_is_an_empty_answer(account: Account) -> None:
    assert list(await account.provider.search_offers(Requirements(gpu="RTX 4090", max_hourly=Decimal("0.01")))) == []


async def test_an_interruptible_offer_says_what_to_bid_and_a_firm_one_does_not(account: Account) -> None:
    bid = (await account.cheapest(Terms.INTERRUPTIBLE)).bid
    assert bid is not None and bid > 0
    assert (await account.cheapest(Terms.ON_DEMAND)).bid is None


async def test_offers_beyond_one_answer_of_the_provider_are_found_too(account: Account) -> None:
    # More machines at one price than a page holds, and a dearer one behind them that alone fits.
    for number in range(70):
        line = {"machine": 90000 + number, "host": 9, "region": "Chad, TD", "price": 3, "bid": 2}
        account.control.add_offer(gpu="RTX 4090", **line, reliability=0.5)
    account.control.add_offer(gpu="RTX 4090", machine=91000, host=9, region="Chad, TD", price=4, bid=3)
    needs = Requirements(gpu="RTX 4090", regions=("TD",))
    offers = await account.provider.search_offers(needs)
    machines = [offer.machine_id for offer in offers]
    assert len(machines) == len(set(machines)) >= 64


async def test_a_wrong_key_asks_for_a_person(account: Account) -> None:
    stranger = account.driver.open(account.market.base_url, "a-wrong-key")
    with pytest.raises(CredentialsRefused):
        await stranger.search_offers(NEEDS[0])
    await stranger.close()


async def test_a_page_of_html_is_not_an_answer(account: Account) -> None:
    account.control.add_fault(Trouble.HTTP_ERROR, endpoint="search", status=502)
    with pytest.raises(ProviderUnavailable):
        await account.provider.search_offers(NEEDS[0])
