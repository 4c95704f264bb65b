"""A market for the whole suite, cleared before each test, and an account there for each driver."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import count

import asyncssh
import pytest

from holdfast.contracts.machines import Instance, LaunchOrder, LaunchResult, Offer, Requirements, Terms
from holdfast.providers.base import Provider
from holdfast.simcloud.control import SimControl
from tests.conformance.providers.drivers import DRIVERS, Driver
from tests.simmarket import RunningMarket, run_market

PUBLIC_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
_epochs = count(1)


@dataclass(frozen=True)
class Account:
    """A driver's account on the market, and the market's own controls."""

    driver: Driver
    provider: Provider
    market: RunningMarket
    control: SimControl

    async def cheapest(self, terms: Terms = Terms.INTERRUPTIBLE) -> Offer:
        offers = await self.provider.search_offers(Requirements(gpu="RTX 4090", terms=terms, max_hourly=Decimal(2)))
        return offers[0]

    def order(self, offer: Offer, label: str | None = None) -> LaunchOrder:
        return LaunchOrder(
            offer=offer,
            label=label or f"conformance.e{next(_epochs)}",
            image="ubuntu:24.04",
            disk_gb=10,
            ssh_public_key=PUBLIC_KEY,
        )

    async def rented(self, terms: Terms = Terms.INTERRUPTIBLE) -> Instance:
        return machine(await self.provider.launch(self.order(await self.cheapest(terms))))

    def alive(self) -> list[int]:
        return [report["id"] for report in self.control.instances()]


def machine(result: LaunchResult) -> Instance:
    assert result.instance is not None, result.refusal
    return result.instance


@pytest.fixture(scope="module")
def shared_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMarket]:
    with run_market(tmp_path_factory.mktemp("conformance")) as running:
        yield running


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
async def account(request: pytest.FixtureRequest, shared_market: RunningMarket) -> AsyncIterator[Account]:
    driver: Driver = request.param
    provider = driver.open(shared_market.base_url, shared_market.api_key)
    with shared_market.control as control:
        control.clear_faults()
        control.set_listing_lag(timedelta(0))
        control.destroy_all()
        yield Account(driver, provider, shared_market, control)
        control.clear_faults()
        control.destroy_all()
    await provider.close()
