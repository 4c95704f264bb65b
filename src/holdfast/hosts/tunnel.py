"""Connections to services on rented machines, through SSH: no port of theirs is open to anybody.

One SSH connection per lease carries any number of channels, each a TCP connection on the machine's own loopback
interface. The machine's key must be pinned already: what is sent here is other people's data.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakSet

import asyncssh

from holdfast.contracts.machines import Lease
from holdfast.hosts import ssh
from holdfast.hosts.errors import HostRefused, HostUnreachable
from holdfast.hosts.wires import Wire

# Bytes in flight per channel, and at most so many wait here for a caller who reads slowly. A session's 8 MiB, for each
# of some hundred callers, would be memory; 2 MiB still are 20 MB/s at a distance of 100 ms.
_WINDOW = 2 * 1024 * 1024
_HANGING_UP = 1.0  # seconds for a machine to take leave


@dataclass
class _Slot:
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: asyncssh.SSHClientConnection | None = None
    wires: WeakSet[Wire] = field(default_factory=WeakSet)
    ending: asyncio.TimerHandle | None = None  # it was forgotten, and is kept a while for whoever comes back

    def keep(self) -> None:
        if self.ending is not None:
            self.ending.cancel()
            self.ending = None


class Tunnels:
    """The ways to all machines of one process. A connection that was lost is opened again when it is needed."""

    def __init__(
        self, private_key: asyncssh.SSHKey, *, connect_timeout: timedelta, kept: timedelta = timedelta(minutes=1)
    ) -> None:
        self._private_key = private_key
        self._connect_timeout = connect_timeout
        self._kept = kept.total_seconds()
        self._hanging_up: set[asyncio.Task[None]] = set()
        self._slots: dict[tuple[object, ...], _Slot] = {}

    async def open(self, lease: Lease, port: int) -> Wire:
        """A connection to 127.0.0.1:`port` of the machine.

        Raises:
            HostError: the machine cannot be reached, is another one, or nothing listens there.
        """
        slot = self._slots.setdefault(_key(lease), _Slot())
        slot.keep()
        connection = await self._connected(slot, lease)
        try:
            async with asyncio.timeout(self._connect_timeout.total_seconds()):
                wire = Wire()
                await connection.create_connection(lambda: wire, "127.0.0.1", port, encoding=None, window=_WINDOW)
        except asyncssh.ChannelOpenError as error:
            raise HostUnreachable(f"nothing answers at port {port} of {lease.label}: {error.reason}") from error
        except (TimeoutError, OSError, asyncssh.Error) as error:
            # It is not hung up on: others may hear of it still. One that is dead is found so by its keepalives.
            raise HostUnreachable(f"the connection to {lease.label} broke: {error or 'silence'}") from error
        slot.wires.add(wire)
        return wire

    async def forget(self, lease: Lease) -> None:
        """A machine is used no more. Its connection is closed a while after its last use. Idempotent."""
        slot = self._slots.get(_key(lease))
        if slot is not None and slot.ending is None:
            slot.ending = asyncio.get_running_loop().call_later(self._kept, self._end, _key(lease))

    async def close(self) -> None:
        """Close all connections."""
        slots, self._slots = list(self._slots.values()), {}
        for slot in slots:
            slot.keep()
        await asyncio.gather(*(_hang_up(slot) for slot in slots))

    def _end(self, key: tuple[object, ...]) -> None:
        slot = self._slots[key]
        if any(not wire.closed for wire in slot.wires):  # whoever forgot it was not its only user
            slot.ending = asyncio.get_running_loop().call_later(self._kept, self._end, key)
            return
        task = asyncio.create_task(_hang_up(self._slots.pop(key)))
        self._hanging_up.add(task)
        task.add_done_callback(self._hanging_up.discard)

    async def _connected(self, slot: _Slot, lease: Lease) -> asyncssh.SSHClientConnection:
        async with slot.opening:
            if slot.connection is None or slot.connection.is_closed():
                slot.connection = await self._connect(lease)
            return slot.connection

    async def _connect(self, lease: Lease) -> asyncssh.SSHClientConnection:
        if lease.ssh is None:
            raise HostUnreachable(f"{lease.label} has no address")
        if not lease.host_key:
            raise HostRefused(f"the key of {lease.label} was never pinned, and callers' data go to no stranger")
        return await ssh.connect(
            lease.ssh,
            private_key=self._private_key,
            host_key=lease.host_key,
            connect_timeout=self._connect_timeout,
        )


def _key(lease: Lease) -> tuple[object, ...]:
    return lease.label, lease.ssh, lease.host_key


async def _hang_up(slot: _Slot) -> None:
    if (connection := slot.connection) is None:
        return
    connection.close()
    try:
        async with asyncio.timeout(_HANGING_UP):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
