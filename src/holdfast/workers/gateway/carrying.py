"""Carry one request to a replica and its answer back, and once more elsewhere where that cannot do harm.

Safe to send once more: what never reached a replica, and what asks for nothing that happening twice would change
(RFC 9110, section 9.2.2) as long as nothing was heard in answer.
"""

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import httpcore

from holdfast.contracts.endpoints import DoorSpec
from holdfast.hosts.errors import HostError
from holdfast.workers.gateway import headers
from holdfast.workers.gateway.answers import Refusal
from holdfast.workers.gateway.bodies import Body
from holdfast.workers.gateway.calls import Call
from holdfast.workers.gateway.gates import Gate
from holdfast.workers.gateway.headers import Headers
from holdfast.workers.gateway.replicas import Link, Replica

_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
_REPEATS = 2  # of a request that some replica took and did not answer


@dataclass(frozen=True)
class Errand:
    """A call, and what a replica is to be sent for it."""

    call: Call
    door: DoorSpec
    target: bytes
    headers: Headers
    body: Body

    def is_harmless(self) -> bool:
        """Whether it may be sent once more although a replica took it, and nothing was heard in answer."""
        if self.call.method in _IDEMPOTENT:
            return self.body.may_be_repeated
        return not self.body.touched and not self.body.is_empty

    def request_to(self, port: int) -> httpcore.Request:
        patience = self.door.patience.total_seconds()
        return httpcore.Request(
            self.call.method,
            httpcore.URL(scheme=b"http", host=b"127.0.0.1", port=port, target=self.target),
            headers=[(b"host", b"127.0.0.1:%d" % port), *self.headers],
            content=self.body,
            extensions={"timeout": {"read": patience, "write": patience}},
        )


async def carry(errand: Errand, gate: Gate) -> None:
    """Answer a call. Raises Refusal, CallerGone and CallerSilent, also when the answer has begun."""
    call, until = errand.call, monotonic() + errand.door.wait.total_seconds()
    taken = 0  # by replicas that did not answer
    while True:
        began = monotonic()
        replica = await gate.enter(errand.door, until)
        call.held += (waited := monotonic() - began)
        call.waited += waited
        try:
            link = await _reached(gate, replica, fresh=taken > 0)
            if link is not None:
                call.replica = replica.route.replica
                if not await _exchange(errand, gate, replica, link, last=taken == _REPEATS):
                    return
                taken += 1
        finally:
            await gate.leave(replica)
        call.retries += 1


async def _reached(gate: Gate, replica: Replica, *, fresh: bool) -> Link | None:
    try:
        return await replica.link(fresh=fresh)
    except HostError:
        gate.broke(replica)
        return None


async def _exchange(errand: Errand, gate: Gate, replica: Replica, link: Link, *, last: bool) -> bool:
    """Ask, and pass the answer on. True: it is to be asked again, which the `last` try never is."""
    call, body = errand.call, errand.body
    heard, asked_at = link.wire.heard, monotonic()
    response: httpcore.Response | None = None
    try:
        response = await link.http.handle_async_request(errand.request_to(replica.route.port))
        call.waited += monotonic() - asked_at
        await _pass_on(call, response)
    except httpcore.TimeoutException:
        _fail(call, "silent_replica", _silent(errand.door.patience))
    except (httpcore.NetworkError, httpcore.ProtocolError):
        unheard = link.wire.heard == heard
        if unheard and not link.reused:
            gate.broke(replica)
        if unheard and not last and errand.is_harmless():
            return True
        _fail(call, "broken_replica", _broke_off(asked_before=errand.is_harmless() and last))
    finally:
        call.upstream += monotonic() - asked_at
        call.received = body.size
        if response is not None:
            await response.aclose()
        await replica.put_back(link)
    return False


def _silent(patience: timedelta) -> Refusal:
    return Refusal(504, "replica_silent", f"the replica said nothing for {patience.total_seconds():g} s")


def _broke_off(*, asked_before: bool) -> Refusal:
    told = "the replica broke off before it answered"
    if asked_before:
        return Refusal(502, "replica_broke_off", f"{told}, each of {_REPEATS + 1} times that it was asked")
    told = f"{told}; whether it did something is not known, so it was not asked again"
    return Refusal(502, "replica_broke_off", told)


def _fail(call: Call, cause: str, told: Refusal) -> None:
    call.cut = cause
    if not call.answered:
        raise told


async def _pass_on(call: Call, response: httpcore.Response) -> None:
    if not 200 <= response.status <= 599:
        raise httpcore.RemoteProtocolError(f"status {response.status}")
    answer = headers.for_caller(response.headers, call.id)
    length = headers.first(answer, b"content-length")
    left = int(length) if length is not None and length.isdigit() else -1
    await call.start(response.status, answer)
    ended = False
    async for piece in response.aiter_stream():
        left -= len(piece)
        # The last piece tells that it is the last one, where that is known: one message to the caller, not two.
        await call.write(piece, more=not (ended := left == 0))
    if not ended:
        await call.write(b"", more=False)
