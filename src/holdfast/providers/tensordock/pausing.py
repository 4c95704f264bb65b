"""Stopping a machine so that its GPU is really given back, and starting it again.

Only the older API, v0, can give the GPU back at a stop. What a stop of v2 does is not documented: where it must stand
in, the status afterwards shows it, and a machine that is merely stopped is an error, for money keeps running.
"""

from collections.abc import Callable
from dataclasses import replace

from holdfast.contracts.machines import Instance, InstanceState
from holdfast.providers.errors import ProviderUnavailable, RequestRejected
from holdfast.providers.tensordock.answers import Refused
from holdfast.providers.tensordock.client import TensorDockClient
from holdfast.providers.tensordock.endpoints import LEGACY_STOP, START, STOP
from holdfast.providers.tensordock.fleet import Fleet, checked
from holdfast.providers.tensordock.launching import Sleep
from holdfast.providers.tensordock.states import DISASSOCIATED, STOPPED, instance_of, plain
from holdfast.providers.tensordock.wire import InstanceRow

_POLL = 2.0
_GIVE_BACK = "true"


class StillCharged(RequestRejected):
    """The machine is stopped and holds its GPU: it costs as much as if it ran. Remedy: destroy it, or start it."""


class Pauser:
    """Stops and starts machines."""

    def __init__(
        self,
        client: TensorDockClient,
        fleet: Fleet,
        *,
        provider: str,
        patience: float,
        clock: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        self._client = client
        self._fleet = fleet
        self._provider = provider
        self._patience = patience  # seconds in which a stop is expected to be carried out
        self._clock = clock
        self._sleep = sleep

    async def stop(self, number: str) -> None:
        """Return when the GPU is given back. May be repeated.

        Raises:
            StillCharged: it is stopped, and its GPU is not given back.
            ProviderUnavailable: it takes longer than expected, or an answer failed; call again.
        """
        if await self._status(number) == DISASSOCIATED:
            return
        refused = await self._give_back(number)
        until = self._clock() + self._patience
        while (status := await self._status(number)) != DISASSOCIATED:
            if self._clock() >= until:
                raise self._not_stopped(number, status, refused)
            await self._sleep(_POLL)

    async def start(self, number: str) -> Instance:
        """As `Pauses.start`. TensorDock queues nothing: a machine whose GPU is taken stays as it is."""
        refusal = None
        try:
            await self._client.call(START, about=checked(number))
        except Refused as refused:
            refusal = refused
        row = await self._row(number)
        found = instance_of(row, provider=self._provider)
        if found.state is not InstanceState.STOPPED:
            return found
        # After an accepted start a row may still tell of the stop before it.
        state = InstanceState.STARTING if refusal is None else InstanceState.WAITING
        return replace(found, state=state, detail=str(refusal or found.detail))

    async def _give_back(self, number: str) -> str:
        """Ask for the stop; returns why the older API would not do it."""
        try:
            await self._client.call_legacy(LEGACY_STOP, server=number, disassociate_resources=_GIVE_BACK)
        except Refused as refused:
            await self._stop_by_v2(number)
            return str(refused)
        return ""

    async def _stop_by_v2(self, number: str) -> None:
        if await self._status(number) in (STOPPED, DISASSOCIATED):
            return
        try:
            await self._client.call(STOP, about=number)
        except Refused:
            if await self._status(number) not in (STOPPED, DISASSOCIATED):
                raise

    def _not_stopped(self, number: str, status: str, refused: str) -> Exception:
        if status != STOPPED:
            return ProviderUnavailable(f"machine {number} is {status} although it was asked to stop")
        why = f" ({refused})" if refused else ""
        return StillCharged(
            f"machine {number} is stopped and TensorDock keeps its GPU reserved: money keeps running at the full price,"
            f" until it is destroyed{why}"
        )

    async def _status(self, number: str) -> str:
        return plain((await self._row(number)).status)

    async def _row(self, number: str) -> InstanceRow:
        row = await self._fleet.find(checked(number))
        if row is None:
            raise RequestRejected(f"TensorDock does not know machine {number}")
        return row
