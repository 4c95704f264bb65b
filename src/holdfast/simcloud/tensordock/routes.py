"""TensorDock's API over the market: v2, the older v0, and what their calls have in common.

All of it lies under `/tensordock`, for the paths of v0 begin as another provider's do.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.simcloud.model import Trouble
from holdfast.simcloud.pacing import Limit, Pacing
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.tensordock import deploying, discovery, instances, legacy, secrets
from holdfast.simcloud.tensordock.envelopes import (
    Row,
    Turns,
    WireError,
    failed_as_ok,
    gateway_error,
    other_shape,
    too_frequent,
)

PREFIX = "/tensordock"
V2, V0 = f"{PREFIX}/api/v2", f"{PREFIX}/api/v0"
_LIMIT = Limit(per_minute=100)
_ONE = f"{V2}/instances/{{instance}}"
Handler = Callable[[Sim, Request], Awaitable[Any]]
Shape = Callable[[Turns, Any], Row | None]


def _as_it_is(_turns: Turns, answer: Row) -> Row:
    return answer


def _machines(turns: Turns, rows: list[Row]) -> Row:
    return turns.many("list", "instances", [_spelt(turns, row) for row in rows])


def _shown(turns: Turns, row: Row) -> Row:
    return turns.one("show", _spelt(turns, row))


def _acted(turns: Turns, row: Row) -> Row:
    return turns.one("act", _spelt(turns, row))


def _deleted(turns: Turns, row: Row) -> Row | None:
    """With a body, or without any."""
    return turns.pick("delete", ({"data": row}, None))


def _spelt(turns: Turns, row: Row) -> Row:
    return row | {"status": turns.word(row["status"])}


@dataclass(frozen=True)
class Endpoint:
    """One call. Its name is what faults are aimed at; `shape` makes an answer of what the handler returns."""

    name: str
    method: str
    path: str
    handler: Handler
    shape: Shape = _as_it_is
    keyless: bool = False  # open to everybody, or with credentials of its own


ENDPOINTS = (
    Endpoint("locations", "GET", f"{V2}/locations", discovery.locations, keyless=True),
    Endpoint("hostnodes", "GET", f"{V2}/hostnodes", discovery.hostnodes),
    Endpoint("hostnode", "GET", f"{V2}/hostnodes/{{node}}", discovery.hostnode),
    Endpoint("deploy", "POST", f"{V2}/instances", deploying.deploy, _acted),
    Endpoint("list", "GET", f"{V2}/instances", instances.every, _machines),
    Endpoint("show", "GET", _ONE, instances.show, _shown),
    Endpoint("start", "POST", f"{_ONE}/start", instances.start, _acted),
    Endpoint("stop", "POST", f"{_ONE}/stop", instances.stop, _acted),
    Endpoint("delete", "DELETE", _ONE, instances.delete, _deleted),
    Endpoint("secrets", "GET", f"{V2}/secrets", secrets.every),
    Endpoint("add_secret", "POST", f"{V2}/secrets", secrets.add),
    Endpoint("secret", "GET", f"{V2}/secrets/{{secret}}", secrets.show),
    Endpoint("remove_secret", "DELETE", f"{V2}/secrets/{{secret}}", secrets.remove),
    Endpoint("legacy_auth", "POST", f"{V0}/auth/test", partial(legacy.call, legacy.auth_test), keyless=True),
    Endpoint("legacy_balance", "POST", f"{V0}/billing/balance", partial(legacy.call, legacy.balance), keyless=True),
    Endpoint("legacy_list", "POST", f"{V0}/client/list", partial(legacy.call, legacy.every), keyless=True),
    Endpoint("legacy_show", "POST", f"{V0}/client/get/single", partial(legacy.call, legacy.show), keyless=True),
    Endpoint("legacy_start", "POST", f"{V0}/client/start/single", partial(legacy.call, legacy.start), keyless=True),
    Endpoint("legacy_stop", "POST", f"{V0}/client/stop/single", partial(legacy.call, legacy.stop), keyless=True),
    Endpoint("legacy_delete", "POST", f"{V0}/client/delete/single", partial(legacy.call, legacy.delete), keyless=True),
)
"""The API."""


def routes(sim: Sim) -> list[Route]:
    """Everything that TensorDock serves."""
    pacing, turns = Pacing(sim.profile.threshold_scale), Turns()
    calls = [
        Route(endpoint.path, _guarded(sim, endpoint, pacing, turns), methods=[endpoint.method])
        for endpoint in ENDPOINTS
    ]
    return [*calls, Route(f"{PREFIX}/{{path:path}}", _no_such_call, methods=["GET", "POST", "PUT", "DELETE"])]


async def _no_such_call(_request: Request) -> Response:
    # A page: nothing may be concluded from a wrong address, least of all that a machine is gone.
    return gateway_error(404)


def _guarded(sim: Sim, endpoint: Endpoint, pacing: Pacing, turns: Turns) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        struck = sim.troubles.strike(endpoint.name)
        if latency := struck.get(Trouble.LATENCY):
            await asyncio.sleep(float(latency.seconds))
        if Trouble.DOWN in struck:
            return _silence(sim, request)
        if error := struck.get(Trouble.HTTP_ERROR):
            return gateway_error(error.status)
        if Trouble.OTHER_SHAPE in struck:
            return other_shape()
        if Trouble.REFUSED_AS_OK in struck:
            return failed_as_ok()
        if Trouble.TOO_FREQUENT in struck:
            return too_frequent()
        if Trouble.EMPTY_LIST in struck and endpoint.name in ("list", "hostnodes", "locations"):
            return JSONResponse({"data": {"instances" if endpoint.name == "list" else endpoint.name: []}})
        response = await _answer(sim, endpoint, pacing, turns, request)
        if Trouble.ACCEPTED_TWICE in struck and endpoint.name == "deploy" and response.status_code == 200:
            deploying.repeat_last(sim)
        return _silence(sim, request) if Trouble.LOST_RESPONSE in struck else response

    return call


async def _answer(sim: Sim, endpoint: Endpoint, pacing: Pacing, turns: Turns, request: Request) -> Response:
    try:
        if not endpoint.keyless:
            _authenticate(sim, request)
            # One limit for the account, whatever is called.
            if not pacing.admit("v2", "account", _LIMIT):
                return too_frequent()
        answer = endpoint.shape(turns, await endpoint.handler(sim, request))
    except WireError as refusal:
        return refusal.response()
    return Response(status_code=204) if answer is None else JSONResponse(answer)


def _authenticate(sim: Sim, request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), sim.tenant_key.encode()):
        raise WireError(401, "Unauthorized")


def _silence(sim: Sim, request: Request) -> Response:
    """Cut the caller off; the response is for nobody."""
    sim.hang_up(request)
    return Response()
