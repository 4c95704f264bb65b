"""Vast.ai's API over the market: every endpoint with its minimum interval, and what all of them have in common."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.simcloud.errors import BidTooLow
from holdfast.simcloud.model import Trouble
from holdfast.simcloud.pacing import Limit, Pacing
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.vast import access, billing, instances, metrics, offers
from holdfast.simcloud.vast.bodies import LARGEST
from holdfast.simcloud.vast.callers import Caller, authenticate
from holdfast.simcloud.vast.envelopes import (
    WireError,
    gateway_error,
    no_such_call,
    other_shape,
    refused_as_ok,
    too_frequent,
)

Handler = Callable[[Sim, Caller, Request], Awaitable[Any]]
_EMPTY: dict[str, dict[str, object]] = {
    "search": {"offers": []},
    "list": {
        "success": True,
        "instances_found": 0,
        "total_instances": 0,
        "label_counts": {},
        "next_token": None,
        "instances": [],
    },
}


@dataclass(frozen=True)
class Endpoint:
    """One call of the API. ``style`` is how its 429 looks."""

    name: str
    method: str
    path: str
    handler: Handler
    limit: Limit
    style: str = "text"


def endpoints(logs: access.Logs) -> list[Endpoint]:
    """The API. The names are what faults are aimed at."""
    one = "/api/v0/instances/{instance:int}/"
    return [
        Endpoint("search", "POST", "/api/v0/bundles/", offers.search, Limit(per_minute=10)),
        Endpoint("search", "PUT", "/api/v0/search/asks/", offers.search_asks, Limit(per_minute=10)),
        Endpoint("rent", "PUT", "/api/v0/asks/{ask:int}/", offers.rent, Limit(threshold=4.5, penalty=12.0), "detail"),
        Endpoint("list", "GET", "/api/v1/instances/", instances.list_instances, Limit(threshold=1.0)),
        Endpoint("deprecated_list", "GET", "/api/v0/instances/", instances.deprecated_list, Limit(threshold=1.0)),
        Endpoint("show", "GET", one, instances.show, Limit(threshold=2.0), "detail"),
        Endpoint("change", "PUT", one, instances.change, Limit(threshold=1.0)),
        Endpoint("destroy", "DELETE", one, instances.destroy, Limit(threshold=3.0), "envelope"),
        Endpoint(
            "change_bid",
            "PUT",
            "/api/v0/instances/bid_price/{instance:int}/",
            instances.change_bid,
            Limit(threshold=5.5),
            "detail",
        ),
        Endpoint("reboot", "PUT", "/api/v0/instances/reboot/{instance:int}/", instances.reboot, Limit(threshold=1.0)),
        Endpoint(
            "recycle", "PUT", "/api/v0/instances/recycle/{instance:int}/", instances.recycle, Limit(threshold=1.0)
        ),
        Endpoint("logs", "PUT", "/api/v0/instances/request_logs/{instance:int}/", logs.request, Limit(threshold=1.0)),
        Endpoint("keys", "GET", "/api/v0/ssh/", access.account_keys, Limit(threshold=1.0)),
        Endpoint("add_key", "POST", "/api/v0/ssh/", access.add_account_key, Limit(threshold=1.0)),
        Endpoint("remove_key", "DELETE", "/api/v0/ssh/{key:int}/", access.remove_account_key, Limit(threshold=1.0)),
        Endpoint("instance_keys", "GET", f"{one}ssh/", access.instance_keys, Limit(threshold=1.0)),
        Endpoint("attach_key", "POST", f"{one}ssh/", access.attach_key, Limit(threshold=1.0)),
        Endpoint("detach_key", "DELETE", one + "ssh/{key:int}/", access.detach_key, Limit(threshold=2.0)),
        Endpoint("charges", "GET", "/api/v0/charges/", billing.charges, Limit(threshold=1.0)),
        Endpoint("account", "GET", "/api/v0/users/current/", access.current_user, Limit(threshold=1.0)),
        # The official client leaves the slash out here.
        Endpoint("account", "GET", "/api/v0/users/current", access.current_user, Limit(threshold=1.0)),
        Endpoint(
            "prices_now", "GET", "/api/v0/metrics/gpu/current/", metrics.gpu_current, Limit(threshold=3.0), "detail"
        ),
        Endpoint("prices", "GET", "/api/v0/metrics/gpu/history/", metrics.gpu_history, Limit(threshold=3.0), "detail"),
    ]


def routes(sim: Sim) -> list[Route]:
    """Everything that Vast.ai serves, and the address where logs are fetched."""
    pacing, logs = Pacing(sim.profile.threshold_scale), access.Logs()

    async def results(request: Request) -> Response:
        return await logs.fetch(sim, request)

    calls = [
        Route(endpoint.path, _guarded(sim, endpoint, pacing), methods=[endpoint.method]) for endpoint in endpoints(logs)
    ]
    other = Route("/api/{path:path}", _guarded(sim, _OTHER, pacing), methods=_METHODS)
    return [*calls, other, Route("/results/{instance:int}/{number:int}/{tail:int}", results)]


async def _no_such_call(_sim: Sim, caller: Caller, request: Request) -> Any:
    caller.require(None)
    raise no_such_call(request.method, request.url.path)


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_OTHER = Endpoint("other", "", "", _no_such_call, Limit())


def _guarded(sim: Sim, endpoint: Endpoint, pacing: Pacing) -> Callable[[Request], Awaitable[Response]]:
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
            return refused_as_ok()
        if Trouble.TOO_FREQUENT in struck:
            return too_frequent(endpoint.style, endpoint.limit.threshold)
        response = await _answer(
            sim, endpoint, pacing, request, empty=Trouble.EMPTY_LIST in struck, twice=Trouble.ACCEPTED_TWICE in struck
        )
        return _silence(sim, request) if Trouble.LOST_RESPONSE in struck else response

    return call


async def _answer(
    sim: Sim, endpoint: Endpoint, pacing: Pacing, request: Request, *, empty: bool, twice: bool
) -> Response:
    try:
        caller = authenticate(sim, request)
        if any(isinstance(value, int) and value > LARGEST for value in request.path_params.values()):
            raise WireError(400, "invalid_args", "error 400/1008: no id is as large as that")
        if not pacing.admit(endpoint.name, caller.identity, endpoint.limit):
            return too_frequent(endpoint.style, endpoint.limit.threshold)
        if empty and endpoint.name in _EMPTY:
            return JSONResponse(_EMPTY[endpoint.name])
        answer = await endpoint.handler(sim, caller, request)
        if twice and isinstance(answer, dict) and "new_contract" in answer:
            _rent_again(sim, answer["new_contract"])
        return JSONResponse(answer)
    except WireError as refusal:
        return refusal.response()


def _rent_again(sim: Sim, number: int) -> None:
    """The order is carried out once more: a second machine wears its label, and nobody is told."""
    first = sim.market.instance(number)
    with suppress(BidTooLow):  # it exists nevertheless
        sim.market.rent(sim.market.slot(first.slot_id).ask_id, first.order)


def _silence(sim: Sim, request: Request) -> Response:
    """Cut the caller off; the response is for nobody."""
    sim.hang_up(request)
    return Response()
