"""An account at the provider under test, with what the tests do again and again."""

import asyncio
from itertools import count

import asyncssh
import pytest

from holdfast.contracts.machines import Instance, InstanceState, LaunchOrder, LaunchResult, Offer, Requirements, Terms
from holdfast.providers.base import Provider
from holdfast.providers.conformance.subject import Controls, Subject

PUBLIC_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
_epochs = count(1)


class Account:
    """What every test of the suite gets as `account`. Made anew for each test, with nothing rented."""

    def __init__(self, subject: Subject, provider: Provider, controls: Controls) -> None:
        self.subject = subject
        self.provider = provider
        self.controls = controls

    def needs(self, terms: Terms | None = None) -> Requirements:
        """The subject's GPU, at the first of its terms unless others are named."""
        return Requirements(
            gpu=self.subject.gpu,
            terms=self.offered(terms),
            max_hourly=self.subject.max_hourly,
            disk_gb=self.subject.disk_gb,
        )

    async def cheapest(self, terms: Terms | None = None) -> Offer:
        """The cheapest offer of the subject's GPU."""
        offers = await self.provider.search_offers(self.needs(terms))
        assert offers, f"{self.subject.name} offers no {self.subject.gpu}"
        return offers[0]

    def order(self, offer: Offer, label: str | None = None) -> LaunchOrder:
        """An order for an offer, under a label of its own."""
        return LaunchOrder(
            offer=offer,
            label=label or f"{self.subject.label_prefix}.e{next(_epochs)}",
            image=self.subject.image,
            disk_gb=self.subject.disk_gb,
            ssh_public_key=PUBLIC_KEY,
        )

    async def rented(self, terms: Terms | None = None) -> Instance:
        """A machine, just accepted."""
        return machine(await self.provider.launch(self.order(await self.cheapest(terms))))

    async def running(self, terms: Terms | None = None) -> Instance:
        """A machine that runs."""
        rented = await self.rented(terms)
        return await self.until(rented.instance_id, InstanceState.RUNNING)

    async def alive(self) -> list[str]:
        """As `Controls.alive`."""
        return await self.controls.alive()

    async def until(self, instance_id: str, *wanted: InstanceState) -> Instance:
        """Look until the provider says one of these states."""
        found = await self.provider.inspect(instance_id)
        async with asyncio.timeout(self.subject.patience.total_seconds()):
            while found.state not in wanted:
                await asyncio.sleep(self.subject.poll.total_seconds())
                found = await self.provider.inspect(instance_id)
        return found

    async def until_listed(self, label: str, number: int) -> None:
        """Look until so many machines with this label are in the provider's list."""
        async with asyncio.timeout(self.subject.patience.total_seconds()):
            while len(await self.provider.list_owned(label)) < number:
                await asyncio.sleep(self.subject.poll.total_seconds())

    async def end(self, instance_id: str) -> None:
        """Destroy until the provider does not know the machine."""
        async with asyncio.timeout(self.subject.patience.total_seconds()):
            while not await self.provider.destroy(instance_id):
                await asyncio.sleep(self.subject.poll.total_seconds())

    def offered(self, terms: Terms | None) -> Terms:
        """These terms, or the first that the provider has; skips the test where it does not have them."""
        if terms is not None and terms not in self.subject.terms:
            pytest.skip(f"{self.subject.name} rents nothing at terms {terms}")
        return terms or self.subject.terms[0]

    def require(self, holds: bool, otherwise: str) -> None:
        """Skip the test, with the reason, where the provider is not such a one."""
        if not holds:
            pytest.skip(f"{self.subject.name} {otherwise}")


def machine(result: LaunchResult) -> Instance:
    """The machine of a launch that must have one."""
    assert result.instance is not None, result.refusal
    return result.instance
