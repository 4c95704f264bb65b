"""One connection per lease and process, shared by all who need it. An optimisation only: a lost one is opened again.

A machine that goes on under a new epoch gets a new one: what is said over the older one is said for an epoch that is
over, and the agent refuses it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

import asyncssh

from holdfast.contracts.machines import Lease
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.errors import HostUnreachable
from holdfast.hosts.session import HostSession, open_session

_HANGING_UP = 1.0  # seconds for a machine to take leave; one that is cut off would make us wait for its keepalives


@dataclass
class _Slot:
    """The connection of one label and epoch; `opening` lets the second user wait for what the first one opens."""

    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: HostSession | None = None
    channel: AgentChannel | None = None
    key: object = None  # what the connection was opened to
    users: int = 0
    idle_since: float = 0

    async def close(self) -> None:
        channel, session = self.channel, self.session
        self.channel = self.session = None
        try:
            async with asyncio.timeout(_HANGING_UP):
                if channel is not None:
                    await channel.close()
                if session is not None:
                    await session.close()
        except TimeoutError:
            if session is not None:
                session.connection.abort()


class HostPool:
    """Use as an async context: leaving it closes every connection. What runs on the machines goes on."""

    def __init__(
        self,
        private_key: asyncssh.SSHKey,
        *,
        connect_timeout: timedelta = timedelta(seconds=15),
        idle: timedelta = timedelta(minutes=2),
    ) -> None:
        self._private_key = private_key
        self.connect_timeout = connect_timeout
        self._idle = idle
        self._slots: dict[tuple[str, int], _Slot] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._sweeper = asyncio.create_task(self._close_idle())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        slots, self._slots = list(self._slots.values()), {}
        await asyncio.gather(*(slot.close() for slot in slots))

    @asynccontextmanager
    async def channel(self, lease: Lease, *, start: bool = True) -> AsyncIterator[AgentChannel]:
        """The channel to the agent of a lease, greeted with its epoch; opened when there is none that lives.

        Raises:
            HostError: some kind of it, as `open_session` and `HostSession.reach_agent`; NoAgent only without `start`.
            AgentError: kind `fenced`, when the lease's epoch is over.
            ChannelLost: from any call, when the connection breaks while it is used.
        """
        async with self._use(lease) as slot:
            yield await self._open_channel(slot, lease, start)

    async def session(self, lease: Lease) -> HostSession:
        """The SSH session of a lease, opened when there is none that lives. `host_key` is what it was opened with."""
        async with self._use(lease) as slot, slot.opening:
            return await self._open_session(slot, lease)

    async def drop(self, label: str, epoch: int | None = None) -> None:
        """Forget the connections of a machine that is gone or doubted, or only the one of this epoch. Idempotent."""
        doubted = [key for key in self._slots if key[0] == label and epoch in (None, key[1])]
        slots = [self._slots.pop(key) for key in doubted]
        await asyncio.gather(*(slot.close() for slot in slots))

    @asynccontextmanager
    async def _use(self, lease: Lease) -> AsyncIterator[_Slot]:
        key = (lease.label, lease.epoch)
        slot = self._slots.setdefault(key, _Slot())
        slot.users += 1
        try:
            yield slot
        finally:
            slot.users -= 1
            slot.idle_since = time.monotonic()
            if not slot.users and self._slots.get(key) is not slot:
                await slot.close()  # it was dropped while somebody waited, and opened it anew for himself

    async def _open_channel(self, slot: _Slot, lease: Lease, start: bool) -> AgentChannel:
        async with slot.opening:
            session = await self._open_session(slot, lease)
            if slot.channel is None or slot.channel.closed:
                process = await session.reach_agent(lease.label, start=start, within=self.connect_timeout)
                slot.channel = await _greeted(AgentChannel(process), lease.epoch)
            return slot.channel

    async def _open_session(self, slot: _Slot, lease: Lease) -> HostSession:
        if lease.ssh is None:
            raise HostUnreachable(f"{lease.label} has no address")
        wanted = (lease.ssh, lease.host_key)
        if slot.session is None or slot.key != wanted or slot.session.connection.is_closed():
            await slot.close()
            slot.session = await open_session(
                lease.ssh,
                private_key=self._private_key,
                host_key=lease.host_key or None,
                connect_timeout=self.connect_timeout,
            )
            slot.key = wanted
        return slot.session

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(self._idle.total_seconds() / 4)
            limit = time.monotonic() - self._idle.total_seconds()
            for key, slot in list(self._slots.items()):
                if slot.users == 0 and slot.idle_since < limit:
                    await self.drop(*key)


async def _greeted(channel: AgentChannel, epoch: int) -> AgentChannel:
    """The channel, once the agent has accepted our epoch; closed when it does not."""
    try:
        await channel.greet(epoch)
    except BaseException:
        await channel.close()
        raise
    return channel
