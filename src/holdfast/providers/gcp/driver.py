"""Google Compute Engine: kinds of machines in zones, on demand and as Spot.

Machines begin with a machine image of the settings, never with a workload's container image, and are entered as
`holdfast`. There are no bids: Google takes a Spot machine back when it wants to, with 30 s of warning inside the
machine. A machine has no key to end itself with: that would take a service account, which could end others too.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx

from holdfast.contracts.machines import Instance, InstanceState, LaunchOrder, LaunchResult, Offer, Requirements
from holdfast.providers.base import Capabilities, DiskSnapshot, PricePoint
from holdfast.providers.errors import ProviderError
from holdfast.providers.gcp import advice
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.config import GcpConfig
from holdfast.providers.gcp.endpoints import paces
from holdfast.providers.gcp.fleet import Fleet
from holdfast.providers.gcp.kinds import Kind
from holdfast.providers.gcp.launching import Launcher
from holdfast.providers.gcp.offers import Market
from holdfast.providers.gcp.operations import Operations, Sleep
from holdfast.providers.gcp.pausing import Pauser
from holdfast.providers.gcp.prices import PriceList, Prices
from holdfast.providers.gcp.snapshots import Copier
from holdfast.providers.gcp.states import instance_of, kind_of_row
from holdfast.providers.gcp.wire import InstanceRow, OperationRow
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.settings import ProviderSettings

NAME = "gcp"
NOTICE = timedelta(seconds=30)

log = logging.getLogger(__name__)


class GcpProvider:
    """`Provider` for one project; also `Pauses`, `KeepsSnapshots`, `TellsPrices` and `AdvisesCapacity`."""

    name = NAME
    capabilities = Capabilities(
        interruptible=True,
        pauses=True,
        tells_prices=True,
        advises_capacity=True,
        snapshots=True,
        shows_all=True,
        runs_images=False,
        notice=NOTICE,
        usually_ready_within=timedelta(minutes=5),
    )

    def __init__(
        self,
        client: GcpClient,
        *,
        market: Market,
        fleet: Fleet,
        launcher: Launcher,
        pauser: Pauser,
        copier: Copier,
        ssh_port: int,
    ) -> None:
        self._client = client
        self._market = market
        self._fleet = fleet
        self._launcher = launcher
        self._pauser = pauser
        self._copier = copier
        self._ssh_port = ssh_port

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        return await self._market.search(needs, provider=NAME, now=datetime.now(UTC))

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        return await self._launcher.launch(order)

    async def inspect(self, instance_id: str) -> Instance:
        row = await self._fleet.find(instance_id)
        if row is None:
            return Instance(
                provider=NAME, instance_id=instance_id, state=InstanceState.GONE, detail="Google does not know it"
            )
        return await self._told(row, await self._fleet.endings([row]))

    async def list_owned(self, label: str | None = None) -> Sequence[Instance]:
        rows = await self._fleet.every(label)
        endings = await self._fleet.endings(rows)
        return [await self._told(row, endings) for row in rows]

    async def destroy(self, instance_id: str) -> bool:
        return await self._launcher.remove(instance_id)

    async def stop(self, instance_id: str) -> None:
        await self._pauser.stop(instance_id)

    async def start(self, instance_id: str) -> Instance:
        return await self._pauser.start(instance_id)

    async def take_snapshot(self, instance_id: str, name: str) -> DiskSnapshot:
        return await self._copier.take(instance_id, name)

    async def find_snapshot(self, name: str) -> DiskSnapshot:
        return await self._copier.find(name)

    async def list_snapshots(self) -> Sequence[DiskSnapshot]:
        return await self._copier.every()

    async def drop_snapshot(self, name: str) -> bool:
        return await self._copier.drop(name)

    async def price_history(self, gpu: str, since: datetime) -> Sequence[PricePoint]:
        return await advice.price_history(self._client, await self._market.kinds(), gpu, since)

    async def obtainability(self, offers: Sequence[Offer]) -> Mapping[str, float]:
        return await advice.obtainability(self._client, offers)

    async def close(self) -> None:
        await self._client.close()

    async def _told(self, row: InstanceRow, endings: Mapping[str, OperationRow]) -> Instance:
        ending = endings.get(row.id)
        kind, prices = await self._priced(kind_of_row(row))
        return instance_of(row, provider=NAME, ssh_port=self._ssh_port, kind=kind, prices=prices, ending=ending)

    async def _priced(self, seen: Kind) -> tuple[Kind | None, PriceList | None]:
        """What tells a machine's price. Whether it lives must not hang on that: without an answer it is not told."""
        try:
            prices, size = await self._market.prices(), await self._market.size_of(seen.machine)
        except ProviderError as failure:
            log.warning("what %s costs is not told: %s", seen.machine_id, failure)
            return None, None
        return None if size is None else replace(seen, cores=size.cores, memory_gb=size.memory_gb), prices


def open_gcp(settings: ProviderSettings) -> GcpProvider:
    """The driver for the project of these settings. Connects with the first call."""
    return connect(GcpConfig.of(settings))


def connect(
    config: GcpConfig,
    *,
    pacer: Pacer | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = asyncio.sleep,
) -> GcpProvider:
    """The driver for a configuration; with a pace, a transport and a time of its own unless they are given."""
    pacer = pacer or Pacer(paces(config.pace), patience=config.patience, clock=clock, sleep=sleep)
    client = GcpClient(config, pacer, transport=transport)
    fleet, market = Fleet(client), Market(client, Prices(client, clock=clock))
    orders = Operations(client, patience=config.operation_patience.total_seconds(), clock=clock, sleep=sleep)
    stops = Operations(client, patience=config.stop_patience.total_seconds(), clock=clock, sleep=sleep)
    launcher = Launcher(
        client,
        fleet,
        orders,
        provider=NAME,
        image=config.image,
        network=config.network,
        ssh_port=config.ssh_port,
        notice=config.notice,
        clock=clock,
        sleep=sleep,
    )
    pauser = Pauser(client, fleet, stops, provider=NAME, ssh_port=config.ssh_port)
    copier = Copier(client, fleet, orders)
    return GcpProvider(
        client,
        market=market,
        fleet=fleet,
        launcher=launcher,
        pauser=pauser,
        copier=copier,
        ssh_port=config.ssh_port,
    )
