"""The gateway as an ASGI application: who is asked for, by whom, and what becomes of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Any
from urllib.parse import unquote

from holdfast.contracts.endpoints import EndpointCard
from holdfast.telemetry.gateway_metrics import GatewayMetrics
from holdfast.workers.gateway import headers, openai
from holdfast.workers.gateway.answers import SOON, Refusal, too_large, unauthorized, unavailable
from holdfast.workers.gateway.bodies import (
    MEGABYTE,
    Body,
    CallerGone,
    CallerSilent,
    Receive,
    Room,
    StreamedBody,
)
from holdfast.workers.gateway.calls import GONE, Call, Send
from holdfast.workers.gateway.carrying import Errand, carry
from holdfast.workers.gateway.directory import Directory, admits, digest_of
from holdfast.workers.gateway.doorkeeper import Doorkeeper
from holdfast.workers.gateway.gates import Gate, Timing
from holdfast.workers.gateway.lines import Line
from holdfast.workers.gateway.replicas import Reach

_UNREAD_PATIENCE = 60.0  # seconds that a caller of /v1 may be silent before it is known whom he calls

log = logging.getLogger("holdfast.gateway")


class Gateway:
    """Serve it with `serving.Server`; it reads the directory while `open` is entered."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        reach: Reach,
        metrics: GatewayMetrics,
        *,
        name: str,
        refresh: timedelta,
        room: int,
        timing: Timing | None = None,
    ) -> None:
        self.directory = Directory(doorkeeper, every=refresh, changed=self._forget_old_gates)
        self.draining = False
        self._doorkeeper = doorkeeper
        self._reach = reach
        self._metrics = metrics
        self._name = name
        self._room = Room(room)
        self._timing = timing or Timing()
        self._gates: dict[str, Gate] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Leaving gives every pass back."""
        await self.directory.refresh()
        keeping = asyncio.create_task(self.directory.keep())
        try:
            yield
        finally:
            keeping.cancel()
            gates = [gate.close() for gate in self._gates.values()]
            await asyncio.gather(keeping, self.directory.close(), *gates, return_exceptions=True)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        call = Call(scope, send)
        line: Line = scope["state"]["line"]
        task = asyncio.current_task()
        assert task is not None
        if line.lost:  # before we began
            return
        line.on_lost = task.cancel
        try:
            await self._answer(call, line, receive)
        finally:
            line.on_lost = None
            call.count(self._metrics)

    async def _answer(self, call: Call, line: Line, receive: Receive) -> None:
        """Whatever happens, the caller hears of it, or is cut off."""
        try:
            await self._refusing(call, line, receive)
        except (CallerSilent, CallerGone, asyncio.CancelledError):  # also while he was told
            call.cut = call.cut or ("gone" if line.lost else "slow_reader")
        if not call.finished:
            call.status = call.status or GONE
            line.cut()

    async def _refusing(self, call: Call, line: Line, receive: Receive) -> None:
        try:
            await self._serve(call, receive)
            return
        except Refusal as refusal:
            told = refusal
        except CallerSilent as silent:
            call.cut = "slow_sender" if str(silent) == "sends" else "slow_reader"
            told = Refusal(408, "request_timeout", "the rest of the request did not come")
        except CallerGone:
            call.cut = "gone"
            return
        except asyncio.CancelledError:  # by the line, or by the server when it has drained for long enough
            call.cut = "gone" if line.lost else "drained"
            told = unavailable("draining", "this gateway ends", retry_after=SOON)
        except Exception:
            log.exception("request %s failed", call.id)
            call.cut = "failed"
            told = Refusal(500, "gateway_failed", "the gateway failed; its log says how")
        if not call.answered and not line.lost:
            await call.refuse(told)

    async def _serve(self, call: Call, receive: Receive) -> None:
        first, _, rest = call.path[1:].partition(b"/")
        if first == b"healthz":
            await self._health(call)
        elif (headers.first(call.headers, b"upgrade") or b"").lower() == b"websocket":
            raise Refusal(501, "websockets_unsupported", "WebSockets are not carried; plain HTTP and event streams are")
        elif first == b"v1":
            await self._serve_by_model(call, receive)
        else:
            await self._serve_by_name(call, receive, unquote(first.decode("latin-1")), b"/" + rest)

    async def _health(self, call: Call) -> None:
        if self.draining:
            raise unavailable("draining", "this gateway is about to end", retry_after=SOON)
        self._require_directory()
        await call.answer(200, b'{"status": "ok"}\n')

    def _require_directory(self) -> None:
        if not self.directory.known:
            raise unavailable("control_unreachable", self.directory.trouble)

    # /<endpoint>/…

    async def _serve_by_name(self, call: Call, receive: Receive, name: str, target: bytes) -> None:
        self._require_directory()
        card = await self.directory.named(name)
        if card is not None and not admits(card, digest_of(call.token)):
            await self.directory.refresh_soon()  # the token may be a new one
            card = await self.directory.named(name)
        if card is None:
            raise Refusal(404, "endpoint_not_found", f"there is no endpoint {name[:80]!r}")
        call.endpoint = card.name
        if not admits(card, digest_of(call.token)):
            raise unauthorized(call.token is not None)
        _require_size(call, card.door.body_mb)
        patience = card.door.patience.total_seconds()
        body = Body() if call.length == 0 else StreamedBody(receive, limit_mb=card.door.body_mb, patience=patience)
        sent = self._headers(call, card, length=call.length, prefix=f"/{name}")
        await self._carry(call, card, target, sent, body)

    # /v1/…

    async def _serve_by_model(self, call: Call, receive: Receive) -> None:
        self._require_directory()
        allowed = self.directory.open_to(call.token)
        if not allowed:
            await self.directory.refresh_soon()  # the token may be a new one
            if not (allowed := self.directory.open_to(call.token)):
                raise unauthorized(call.token is not None)
        if call.method == "GET" and call.path.startswith(b"/v1/models"):
            await self._list_models(call, allowed)
            return
        body = await self._read_whole(call, receive, limit_mb=max(card.door.body_mb for card in allowed))
        try:
            card = await self._card_for(call, openai.model_in(body.whole))
            _require_size(call, card.door.body_mb, found=body.size)
            sent = self._headers(call, card, length=body.size, prefix="")
            await self._carry(call, card, call.path, sent, body)
        finally:
            self._room.give_back(body.size)

    async def _read_whole(self, call: Call, receive: Receive, *, limit_mb: float) -> Body:
        _require_size(call, limit_mb)
        if call.length == 0:
            return Body()
        began = monotonic()
        body = await StreamedBody(receive, limit_mb=limit_mb, patience=_UNREAD_PATIENCE).read_whole(self._room)
        call.waited += monotonic() - began
        call.received = body.size
        return body

    async def _card_for(self, call: Call, model: str) -> EndpointCard:
        card = await self.directory.serving(model)
        if card is not None and not admits(card, digest_of(call.token)):
            await self.directory.refresh_soon()
            card = await self.directory.serving(model)
        if card is None or not admits(card, digest_of(call.token)):
            raise openai.unknown(model)
        call.endpoint = card.name
        return card

    async def _list_models(self, call: Call, allowed: list[EndpointCard]) -> None:
        models = openai.models_of(allowed)
        wanted = unquote(call.path.removeprefix(b"/v1/models").decode("latin-1")).strip("/")
        if wanted and wanted not in models:
            raise openai.unknown(wanted)
        await call.answer(200, openai.one(wanted) if wanted else openai.listing(models))

    # Both.

    def _headers(self, call: Call, card: EndpointCard, *, length: int | None, prefix: str) -> headers.Headers:
        return headers.for_replica(
            call.headers,
            caller=call.caller,
            scheme=call.scope["scheme"],
            prefix=prefix,
            request_id=call.id,
            keep_token=card.door.open and not self.directory.knows(call.token),
            length=length,
        )

    async def _carry(self, call: Call, card: EndpointCard, path: bytes, sent: headers.Headers, body: Body) -> None:
        call.patience = card.door.patience.total_seconds()
        query: bytes = call.scope["query_string"]
        target = path + b"?" + query if query else path
        await carry(Errand(call, card.door, target, sent, body), self._gate(card.name))

    def _gate(self, name: str) -> Gate:
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = Gate(
                name,
                gateway=self._name,
                doorkeeper=self._doorkeeper,
                reach=self._reach,
                metrics=self._metrics,
                timing=self._timing,
            )
        return gate

    def _forget_old_gates(self, cards: Mapping[str, EndpointCard]) -> None:
        for name in [name for name, gate in self._gates.items() if name not in cards and gate.asleep]:
            del self._gates[name]


def _require_size(call: Call, limit_mb: float, *, found: int | None = None) -> None:
    size = call.length if found is None else found
    if size is not None and size > limit_mb * MEGABYTE:
        raise too_large(limit_mb)
