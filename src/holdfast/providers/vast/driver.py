"""Vast.ai: a market of strangers' machines, rented on demand or by bid."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx

from holdfast.contracts.machines import (
    Instance,
    InstanceState,
    LaunchOrder,
    LaunchResult,
    Offer,
    Requirements,
    SelfDestruct,
)
from holdfast.contracts.money import Charge
from holdfast.providers.base import Capabilities, PricePoint
from holdfast.providers.errors import RequestRejected
from holdfast.providers.vast import bills, offers, prices
from holdfast.providers.vast.answers import Refused
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.endpoints import CHANGE, CHANGE_BID, paces
from holdfast.providers.vast.fleet import Fleet
from holdfast.providers.vast.launching import Launcher, Sleep
from holdfast.providers.vast.states import instance_of
from holdfast.providers.vast.wire import InstanceRow
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.settings import ProviderSettings

NAME = "vast"
OWN_KEY = "CONTAINER_API_KEY"
"""The variable in which Vast.ai gives each machine a key of its own."""

# After an accepted start a row may still tell of the stop before it; and a bid that lost again is not news, it waits.
_AFTER_START = {
    InstanceState.STOPPED: InstanceState.STARTING,
    InstanceState.EXITED: InstanceState.STARTING,
    InstanceState.INTERRUPTED: InstanceState.WAITING,
}


class VastProvider:
    """`Provider`, `Pauses`, `ChangesBid`, `TellsPrices` and `TellsCharges` for one Vast.ai account."""

    name = NAME

    def __init__(
        self, client: VastClient, launcher: Launcher, fleet: Fleet, *, listing_lag: timedelta, base_url: str
    ) -> None:
        self._client = client
        self._launcher = launcher
        self._fleet = fleet
        self._base_url = base_url
        self.capabilities = Capabilities(
            interruptible=True,
            pauses=True,
            changes_bid=True,
            tells_prices=True,
            tells_charges=True,
            notice=None,
            finds_by_label=True,
            listing_lag=listing_lag,
            usually_ready_within=timedelta(minutes=5),
            machine_can_end_itself=True,
        )

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        return await offers.search(self._client, needs, provider=NAME, now=_now())

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        return await self._launcher.launch(order)

    async def inspect(self, instance_id: str) -> Instance:
        row = await self._fleet.find(_number(instance_id))
        if row is None:
            return Instance(
                provider=NAME, instance_id=instance_id, state=InstanceState.GONE, detail="Vast.ai does not know it"
            )
        return self._instance(row)

    async def list_owned(self, label: str | None = None) -> Sequence[Instance]:
        return [self._instance(row) for row in await self._fleet.every(label)]

    async def destroy(self, instance_id: str) -> bool:
        return await self._launcher.remove(_number(instance_id))

    async def stop(self, instance_id: str) -> None:
        """Release the GPU and keep the disk, which goes on costing. Also withdraws a start that waits."""
        await self._client.call(CHANGE, number=_number(instance_id), body={"state": "stopped"})

    async def start(self, instance_id: str) -> Instance:
        """As `Pauses.start`. The wish of a machine that waits may stay queued and be met, and billed, much later."""
        try:
            await self._client.call(CHANGE, number=_number(instance_id), body={"state": "running"})
        except Refused as refusal:
            if refusal.code != "resources_unavailable":
                raise
            return replace(await self.inspect(instance_id), state=InstanceState.WAITING, detail=str(refusal))
        found = await self.inspect(instance_id)
        return replace(found, state=_AFTER_START.get(found.state, found.state))

    async def change_bid(self, instance_id: str, hourly: Decimal) -> None:
        body = {"client_id": "me", "price": float(hourly)}
        await self._client.call(CHANGE_BID, number=_number(instance_id), body=body)

    async def price_history(self, gpu: str, since: datetime) -> Sequence[PricePoint]:
        return await prices.history(self._client, gpu, since, now=_now())

    async def charges(self, since: datetime) -> Sequence[Charge]:
        return await bills.charges(self._client, since=since, until=_now())

    async def close(self) -> None:
        await self._client.close()

    def _instance(self, row: InstanceRow) -> Instance:
        # The machine finds a key in its environment that may act on itself alone.
        end = SelfDestruct(url=f"{self._base_url}/api/v0/instances/{row.id}/", token_env=OWN_KEY)
        return replace(instance_of(row, provider=NAME, now=_now()), self_destruct=end)


def open_vast(settings: ProviderSettings) -> VastProvider:
    """The driver for the account of these settings. Connects with the first call."""
    return connect(VastConfig.of(settings))


def connect(
    config: VastConfig,
    *,
    pacer: Pacer | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = asyncio.sleep,
) -> VastProvider:
    """The driver for a configuration; with a pace, a transport and a time of its own unless they are given."""
    pacer = pacer or Pacer(paces(config.pace), patience=config.patience, clock=clock, sleep=sleep)
    client = VastClient(config, pacer, transport=transport)
    fleet = Fleet(client)
    launcher = Launcher(client, fleet, provider=NAME, listing_lag=config.listing_lag, clock=clock, sleep=sleep)
    return VastProvider(client, launcher, fleet, listing_lag=config.listing_lag, base_url=config.base_url)


def _number(instance_id: str) -> int:
    if not instance_id.isdecimal():
        raise RequestRejected(f"{instance_id!r} is no instance of Vast.ai: they are numbers")
    return int(instance_id)


def _now() -> datetime:
    return datetime.now(UTC)
