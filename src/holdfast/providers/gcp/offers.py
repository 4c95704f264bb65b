"""Searching: one offer for each kind of machine in each zone. Whether there is room, only an order can tell."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.policy.fitness import misfit
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.config import LEAST_DISK
from holdfast.providers.gcp.endpoints import ACCELERATORS, MACHINE_TYPES
from holdfast.providers.gcp.kinds import Kind, by_zone, card_memory_gb, card_name, country_of, kinds
from holdfast.providers.gcp.prices import PriceList, Prices

_PAGE = {"maxResults": "500", "returnPartialSuccess": "true"}


class Market:
    """What can be ordered, and at what price."""

    def __init__(self, client: GcpClient, prices: Prices) -> None:
        self._client = client
        self._prices = prices
        self._sizes: dict[str, Kind] = {}

    async def kinds(self) -> list[Kind]:
        """Every kind of machine in every zone that answers: others have offers, too. Raises as `GcpClient.call`."""
        machines = by_zone(await self._client.pages(MACHINE_TYPES, **_PAGE), "machineTypes", complete=False)
        cards = by_zone(await self._client.pages(ACCELERATORS, **_PAGE), "acceleratorTypes", complete=False)
        if not machines:
            raise ProviderUnavailable("Google tells no machine types at all")
        found = list(kinds(machines, cards))
        self._sizes |= {kind.machine: kind for kind in found}  # a machine type's size never changes
        return found

    async def size_of(self, machine: str) -> Kind | None:
        """A machine type, wherever it was seen; None for one that Google does not list (any more)."""
        if machine not in self._sizes:
            await self.kinds()
        return self._sizes.get(machine)

    async def prices(self) -> PriceList:
        """The present price list. Raises as `GcpClient.call`."""
        return await self._prices.now()

    async def search(self, needs: Requirements, *, provider: str, now: datetime) -> list[Offer]:
        """Every offer that fits, cheapest first."""
        prices = await self.prices()
        found = _fitting(await self.kinds(), prices, needs, provider, now)
        return sorted(found, key=lambda offer: (offer.hourly, offer.offer_id))


def offer_of(kind: Kind, prices: PriceList, *, terms: Terms, disk_gb: int, provider: str) -> Offer | None:
    """A kind of machine in our words; None when a part of it has no price."""
    compute = prices.compute(kind, spot=terms is Terms.INTERRUPTIBLE)
    disk = prices.disk(disk_gb, kind.region)
    if compute is None or disk is None:
        return None
    return Offer(
        provider=provider,
        offer_id=kind.offer_id(terms),
        machine_id=kind.machine_id,
        gpu=card_name(kind.card),
        gpu_count=kind.count,
        gpu_memory_gb=card_memory_gb(kind.card),
        cpu_cores=kind.cores,
        memory_gb=kind.memory_gb,
        disk_gb=disk_gb,
        region=country_of(kind.region),
        place=f"{kind.zone}, {kind.machine}",
        terms=terms,
        hourly=compute + disk,
        storage_hourly=disk,
        verified=True,
        exclusive=False,  # a kind of machine: the next order may find another one of it
    )


def disk_for(wanted: int) -> int:
    """GB of the disk that a machine gets: what was asked for, or what an image needs."""
    return max(wanted, LEAST_DISK)


def _fitting(
    found: Iterable[Kind], prices: PriceList, needs: Requirements, provider: str, now: datetime
) -> Iterator[Offer]:
    for kind in found:
        if bool(kind.count) != bool(needs.gpu_count):
            continue
        offer = offer_of(kind, prices, terms=needs.terms, disk_gb=disk_for(needs.disk_gb), provider=provider)
        if offer is not None and not misfit(offer, needs, now=now, avoid_machines=frozenset()):
            yield offer
