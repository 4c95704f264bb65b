"""TensorDock: virtual machines on strangers' hosts, on demand.

Machines begin with a machine image of the settings, never with a workload's container image, and are entered as
`user`. There are no bids, no feed of prices, no bill by machine and no key for a machine to end itself with.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import httpx

from holdfast.contracts.machines import Instance, InstanceState, LaunchOrder, LaunchResult, Offer, Requirements
from holdfast.providers.base import Capabilities
from holdfast.providers.tensordock import offers
from holdfast.providers.tensordock.client import TensorDockClient
from holdfast.providers.tensordock.config import TensorDockConfig
from holdfast.providers.tensordock.endpoints import paces
from holdfast.providers.tensordock.fleet import Fleet
from holdfast.providers.tensordock.launching import Launcher, Sleep
from holdfast.providers.tensordock.pausing import Pauser
from holdfast.providers.tensordock.states import instance_of
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.settings import ProviderSettings

NAME = "tensordock"


class TensorDockProvider:
    """`Provider` for one TensorDock account."""

    name = NAME
    pauses = False

    def __init__(self, client: TensorDockClient, launcher: Launcher, fleet: Fleet, *, listing_lag: timedelta) -> None:
        self._client = client
        self._launcher = launcher
        self._fleet = fleet
        self.capabilities = Capabilities(
            pauses=self.pauses,
            shows_all=True,
            runs_images=False,
            listing_lag=listing_lag,
            usually_ready_within=timedelta(minutes=5),
        )

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        return await offers.search(self._client, needs, provider=NAME, now=datetime.now(UTC))

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        return await self._launcher.launch(order)

    async def inspect(self, instance_id: str) -> Instance:
        row = await self._fleet.find(instance_id)
        if row is None:
            return Instance(
                provider=NAME, instance_id=instance_id, state=InstanceState.GONE, detail="TensorDock does not know it"
            )
        return instance_of(row, provider=NAME)

    async def list_owned(self, label: str | None = None) -> Sequence[Instance]:
        """As `Provider.list_owned`. The list tells names and states; prices and addresses are for `inspect`."""
        return [instance_of(row, provider=NAME) for row in await self._fleet.every(label)]

    async def destroy(self, instance_id: str) -> bool:
        return await self._launcher.remove(instance_id)

    async def close(self) -> None:
        await self._client.close()


class PausingTensorDockProvider(TensorDockProvider):
    """Also `Pauses`, for an account whose credentials of the older API are known: only that one gives a GPU back."""

    pauses = True

    def __init__(
        self,
        client: TensorDockClient,
        launcher: Launcher,
        fleet: Fleet,
        pauser: Pauser,
        *,
        listing_lag: timedelta,
    ) -> None:
        super().__init__(client, launcher, fleet, listing_lag=listing_lag)
        self._pauser = pauser

    async def stop(self, instance_id: str) -> None:
        await self._pauser.stop(instance_id)

    async def start(self, instance_id: str) -> Instance:
        return await self._pauser.start(instance_id)


def open_tensordock(settings: ProviderSettings) -> TensorDockProvider:
    """The driver for the account of these settings. Connects with the first call."""
    return connect(TensorDockConfig.of(settings))


def connect(
    config: TensorDockConfig,
    *,
    pacer: Pacer | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = asyncio.sleep,
) -> TensorDockProvider:
    """The driver for a configuration; with a pace, a transport and a time of its own unless they are given."""
    pacer = pacer or Pacer(paces(config.pace), patience=config.patience, clock=clock, sleep=sleep)
    client = TensorDockClient(config, pacer, transport=transport)
    fleet = Fleet(client)
    lag = config.listing_lag
    launcher = Launcher(
        client, fleet, provider=NAME, image=config.image, lag=lag.total_seconds(), clock=clock, sleep=sleep
    )
    if not config.has_legacy:
        return TensorDockProvider(client, launcher, fleet, listing_lag=lag)
    patience = config.stop_patience.total_seconds()
    pauser = Pauser(client, fleet, provider=NAME, patience=patience, clock=clock, sleep=sleep)
    return PausingTensorDockProvider(client, launcher, fleet, pauser, listing_lag=lag)
