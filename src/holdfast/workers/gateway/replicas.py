"""One replica, and the connections to it that are kept for the next request.

httpcore's own pool looks at every connection whenever a request comes or goes, with a system call for each idle one: at
200 in flight a request cost 35 ms of processor time, and httpx is built on it. Here the newest idle connection is
taken from a stack, and it costs 0.27 ms. What httpcore does for one connection is used.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import httpcore

from holdfast.contracts.endpoints import Route
from holdfast.contracts.machines import Lease
from holdfast.hosts.wires import Wire

# Servers close idle connections after 5 s and more (uvicorn, node). One that is closed at the very moment of a POST
# cannot be told from one that broke while it was worked on, so ours are dropped well before.
_KEPT = 2.0


class Reach(Protocol):
    """The way to services on machines."""

    async def open(self, lease: Lease, port: int) -> Wire:
        """A connection to a port on the machine's loopback interface. Raises HostError."""
        ...

    async def forget(self, lease: Lease) -> None:
        """The machine is used no more."""
        ...


@dataclass(frozen=True)
class Link:
    """One HTTP connection, for one request at a time."""

    http: httpcore.AsyncHTTP11Connection
    wire: Wire
    reused: bool


class Replica:
    """What one pass calls a route, as long as passes name it."""

    def __init__(self, route: Route, reach: Reach) -> None:
        self.route = route
        self.in_flight = 0
        self.retired = False
        self._reach = reach
        self._origin = httpcore.Origin(b"http", b"127.0.0.1", route.port)
        self._idle: deque[Link] = deque()

    @property
    def label(self) -> str:
        return self.route.lease.label

    def is_at(self, route: Route) -> bool:
        """Whether a route of a newer pass is the same place."""
        mine, other = self.route, route
        return (mine.port, mine.lease.ssh, mine.lease.host_key) == (other.port, other.lease.ssh, other.lease.host_key)

    async def link(self, *, fresh: bool = False) -> Link:
        """A connection that nobody uses; `fresh`: one that nobody ever used. Raises HostError."""
        while self._idle and not fresh:
            found = self._idle.pop()
            if not found.http.has_expired():
                return found
            await found.http.aclose()
        wire = await self._reach.open(self.route.lease, self.route.port)
        http = httpcore.AsyncHTTP11Connection(self._origin, wire, keepalive_expiry=_KEPT)
        return Link(http, wire, reused=False)

    async def put_back(self, link: Link) -> None:
        """Keep a connection for the next request, if it is fit for one."""
        if link.http.is_idle() and not self.retired:
            self._idle.append(link if link.reused else Link(link.http, link.wire, reused=True))
        else:
            await link.http.aclose()
        while self._idle and self._idle[0].http.has_expired():
            await self._idle.popleft().http.aclose()

    async def close(self) -> None:
        """Nobody uses it any more."""
        while self._idle:
            await self._idle.pop().http.aclose()
        await self._reach.forget(self.route.lease)
