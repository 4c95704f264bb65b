"""Stopping a machine, which gives its GPU back, and starting it again, which its zone may have no room for."""

from dataclasses import replace

from holdfast.contracts.machines import Instance, InstanceState
from holdfast.providers.errors import ProviderUnavailable, RequestRejected
from holdfast.providers.gcp.answers import NotFound
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.endpoints import START, STOP
from holdfast.providers.gcp.fleet import Fleet, checked
from holdfast.providers.gcp.operations import NO_QUOTA, NO_ROOM, Operations, errors_of, words_of
from holdfast.providers.gcp.states import TERMINATED, instance_of
from holdfast.providers.gcp.wire import InstanceRow


class Pauser:
    """Stops and starts machines."""

    def __init__(self, client: GcpClient, fleet: Fleet, follower: Operations, *, provider: str, ssh_port: int) -> None:
        self._client = client
        self._fleet = fleet
        self._operations = follower
        self._provider = provider
        self._ssh_port = ssh_port

    async def stop(self, number: str) -> None:
        """As `Pauses.stop`: returns when the stop is accepted and has not failed. May be repeated."""
        row = await self._row(number)
        if row.status == TERMINATED:
            return
        zone, name = checked(number)
        try:
            answer = await self._client.call(STOP, zone=zone, name=name)
        except NotFound as gone:
            raise RequestRejected(f"Google does not know machine {number}") from gone
        if errors := errors_of(await self._operations.followed(zone, answer)):
            raise ProviderUnavailable(f"machine {number} was not stopped: {words_of(errors)}")

    async def start(self, number: str) -> Instance:
        """As `Pauses.start`. Google queues nothing: a machine for which there is no room stays as it is."""
        await self._row(number)
        zone, name = checked(number)
        try:
            answer = await self._client.call(START, zone=zone, name=name)
        except NotFound as gone:
            raise RequestRejected(f"Google does not know machine {number}") from gone
        errors = errors_of(await self._operations.followed(zone, answer))
        found = instance_of(await self._row(number), provider=self._provider, ssh_port=self._ssh_port)
        if any(each.code in (*NO_ROOM, NO_QUOTA) for each in errors):
            return replace(found, state=InstanceState.WAITING, detail=words_of(errors))
        if errors:
            raise ProviderUnavailable(f"machine {number} was not started: {words_of(errors)}")
        # After an accepted start a row may still tell of the stop before it.
        off = found.state in (InstanceState.STOPPED, InstanceState.INTERRUPTED, InstanceState.EXITED)
        return replace(found, state=InstanceState.STARTING) if off else found

    async def _row(self, number: str) -> InstanceRow:
        row = await self._fleet.find(number)
        if row is None:
            raise RequestRejected(f"Google does not know machine {number}")
        return row
