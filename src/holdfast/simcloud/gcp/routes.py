"""Compute Engine's API over the market, the token endpoint, the price list, and what their calls have in common.

All of it lies under `/gcp`. The Compute API lies under `/compute/v1` as well, for clients that can be told a host only.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.simcloud.gcp import (
    advice,
    attaching,
    catalog,
    editing,
    images,
    inserting,
    instances,
    operations,
    running,
    snapshots,
    tokens,
    zones,
)
from holdfast.simcloud.gcp.envelopes import (
    Row,
    WireError,
    failed_as_ok,
    gateway_error,
    not_found,
    other_shape,
    too_frequent,
)
from holdfast.simcloud.gcp.names import PROJECT
from holdfast.simcloud.model import Trouble
from holdfast.simcloud.pacing import Limit, Pacing
from holdfast.simcloud.sim import Sim

PREFIX: Final = "/gcp"
COMPUTE: Final = "/compute/v1"
_PROJECT = "/projects/{project}"
_ZONE, _REGION, _GLOBAL = f"{_PROJECT}/zones/{{zone}}", f"{_PROJECT}/regions/{{region}}", f"{_PROJECT}/global"
_MACHINE = f"{_ZONE}/instances/{{instance}}"
_DISK, _SNAPSHOT = f"{_ZONE}/disks/{{disk}}", f"{_GLOBAL}/snapshots/{{snapshot}}"
_IMAGES = "/projects/{image_project}/global/images"
_LIMITS: Final = {"queries": 1500, "get": 1500, "list": 1500, "operation_reads": 1500, "global_writes": 375}
"""Calls per minute, by group."""
Look = Callable[[Sim, Request], Awaitable[Row]]
Act = Callable[[Sim, Request, str], Awaitable[Row]]


@dataclass(frozen=True)
class Endpoint:
    """One call. Its name is what faults are aimed at; its group says which limit it counts for."""

    name: str
    method: str
    path: str
    look: Look | None = None
    act: Act | None = None  # changes something, in somebody's name
    group: str = "get"


def _list(name: str, path: str, look: Look) -> Endpoint:
    return Endpoint(name, "GET", path, look, group="list")


def _act(name: str, method: str, path: str, act: Act, group: str = "queries") -> Endpoint:
    return Endpoint(name, method, path, act=act, group=group)


def _operations(scope: str) -> tuple[Endpoint, ...]:
    one = f"{scope}/operations/{{operation}}"
    return (
        _list("operations", f"{scope}/operations", operations.every),
        Endpoint("operation", "GET", one, operations.show, group="operation_reads"),
        Endpoint("wait", "POST", f"{one}/wait", operations.wait, group="operation_reads"),
    )


ENDPOINTS: Final = (
    Endpoint("project", "GET", _PROJECT, zones.project),
    _list("zones", f"{_PROJECT}/zones", zones.all_zones),
    Endpoint("zone", "GET", _ZONE, zones.zone),
    _list("regions", f"{_PROJECT}/regions", zones.all_regions),
    Endpoint("region", "GET", _REGION, zones.region),
    _list("accelerator_types", f"{_PROJECT}/aggregated/acceleratorTypes", zones.all_accelerator_types),
    _list("machine_types", f"{_PROJECT}/aggregated/machineTypes", zones.all_machine_types),
    _list("zone_accelerator_types", f"{_ZONE}/acceleratorTypes", zones.accelerator_types),
    _list("zone_machine_types", f"{_ZONE}/machineTypes", zones.machine_types),
    Endpoint("machine_type", "GET", f"{_ZONE}/machineTypes/{{type}}", zones.machine_type),
    Endpoint("capacity_history", "POST", f"{_REGION}/advice/capacityHistory", advice.capacity_history),
    Endpoint("capacity", "POST", f"{_REGION}/advice/capacity", advice.capacity),
    _act("insert", "POST", f"{_ZONE}/instances", inserting.insert),
    _list("list", f"{_ZONE}/instances", instances.every),
    _list("aggregated", f"{_PROJECT}/aggregated/instances", instances.everywhere),
    Endpoint("get", "GET", _MACHINE, instances.show),
    _act("delete", "DELETE", _MACHINE, instances.delete),
    _act("start", "POST", f"{_MACHINE}/start", running.start),
    _act("stop", "POST", f"{_MACHINE}/stop", running.stop),
    _act("suspend", "POST", f"{_MACHINE}/suspend", running.suspend),
    _act("resume", "POST", f"{_MACHINE}/resume", running.resume),
    _act("reset", "POST", f"{_MACHINE}/reset", running.reset),
    _act("simulate_maintenance", "POST", f"{_MACHINE}/simulateMaintenanceEvent", running.simulate_maintenance),
    _act("set_labels", "POST", f"{_MACHINE}/setLabels", editing.set_labels),
    _act("set_metadata", "POST", f"{_MACHINE}/setMetadata", editing.set_metadata),
    _act("set_scheduling", "POST", f"{_MACHINE}/setScheduling", editing.set_scheduling),
    _act("set_deletion_protection", "POST", f"{_MACHINE}/setDeletionProtection", editing.set_deletion_protection),
    Endpoint("serial_port", "GET", f"{_MACHINE}/serialPort", editing.serial_port),
    _act("attach_disk", "POST", f"{_MACHINE}/attachDisk", attaching.attach),
    _act("detach_disk", "POST", f"{_MACHINE}/detachDisk", attaching.detach),
    _act("set_auto_delete", "POST", f"{_MACHINE}/setDiskAutoDelete", attaching.set_auto_delete),
    _act("insert_disk", "POST", f"{_ZONE}/disks", attaching.insert),
    _list("disks", f"{_ZONE}/disks", attaching.every),
    _list("aggregated_disks", f"{_PROJECT}/aggregated/disks", attaching.everywhere),
    Endpoint("disk", "GET", _DISK, attaching.show),
    _act("delete_disk", "DELETE", _DISK, attaching.delete),
    _act("resize_disk", "POST", f"{_DISK}/resize", attaching.resize),
    _act("set_disk_labels", "POST", f"{_DISK}/setLabels", attaching.set_labels),
    _act("create_snapshot", "POST", f"{_DISK}/createSnapshot", snapshots.create, "global_writes"),
    _act("insert_snapshot", "POST", f"{_GLOBAL}/snapshots", snapshots.insert, "global_writes"),
    _list("snapshots", f"{_GLOBAL}/snapshots", snapshots.every),
    Endpoint("snapshot", "GET", _SNAPSHOT, snapshots.show),
    _act("delete_snapshot", "DELETE", _SNAPSHOT, snapshots.delete, "global_writes"),
    _act("set_snapshot_labels", "POST", f"{_SNAPSHOT}/setLabels", snapshots.set_labels, "global_writes"),
    *_operations(_ZONE),
    *_operations(_REGION),
    *_operations(_GLOBAL),
)
"""The calls of the Compute API inside the project."""
_ELSEWHERE: Final = (
    Endpoint("image_family", "GET", f"{_IMAGES}/family/{{family}}", images.by_family),
    Endpoint("image", "GET", f"{_IMAGES}/{{image}}", images.by_name),
)
_LISTS: Final[dict[str, Row | None]] = {
    **dict.fromkeys(("list", "operations", "zones", "regions", "disks", "snapshots")),
    **{name: {} for name in ("aggregated", "aggregated_disks", "accelerator_types", "machine_types")},
}
"""What the lists have for `items` when they are empty: most have none."""


def routes(sim: Sim) -> list[Route]:
    """Everything that Google serves here."""
    account = tokens.open_account(sim.config.data_dir, f"{sim.url}{PREFIX}/token")
    desk = _Desk(sim, account)
    calls = [
        Route(f"{prefix}{COMPUTE}{endpoint.path}", desk.guarded(endpoint), methods=[endpoint.method])
        for prefix in (PREFIX, "")
        for endpoint in (*ENDPOINTS, *_ELSEWHERE)
    ]
    prices = Endpoint("skus", "GET", "", catalog.skus, group="list")
    everything = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [
        Route(f"{PREFIX}/token", desk.token, methods=["POST"]),
        Route(f"{PREFIX}/v1/services/{{service}}/skus", desk.guarded(prices), methods=["GET"]),
        *calls,
        *(Route(f"{prefix}{COMPUTE}/{{path:path}}", _no_such_call, methods=everything) for prefix in (PREFIX, "")),
        Route(f"{PREFIX}/{{path:path}}", _no_such_call, methods=everything),
    ]


async def _no_such_call(_request: Request) -> Response:
    # A page: nothing may be concluded from a wrong address, least of all that a machine is gone.
    return gateway_error(404)


class _Desk:
    """Where every call comes by: faults, tokens, limits."""

    def __init__(self, sim: Sim, account: tokens.Account) -> None:
        self._sim = sim
        self._account = account
        self._pacing = Pacing(sim.profile.threshold_scale)

    async def token(self, request: Request) -> Response:
        """Exchange a signed assertion for a token."""
        return await self._under_faults("token", request, partial(tokens.exchange, self._sim, self._account, request))

    def guarded(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """A call under its name, for callers with a token."""

        async def call(request: Request) -> Response:
            return await self._under_faults(endpoint.name, request, partial(self._answer, endpoint, request))

        return call

    async def _under_faults(self, name: str, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
        struck = self._sim.troubles.strike(name)
        if latency := struck.get(Trouble.LATENCY):
            await asyncio.sleep(float(latency.seconds))
        if Trouble.DOWN in struck:
            return self._silence(request)
        if error := struck.get(Trouble.HTTP_ERROR):
            return gateway_error(error.status)
        if Trouble.OTHER_SHAPE in struck:
            return other_shape()
        if Trouble.REFUSED_AS_OK in struck:
            return failed_as_ok()
        if Trouble.TOO_FREQUENT in struck:
            return too_frequent(name).response()
        if Trouble.EMPTY_LIST in struck and name in _LISTS:
            return JSONResponse({"kind": "compute#list"} | ({} if _LISTS[name] is None else {"items": _LISTS[name]}))
        response = await answer()
        if Trouble.ACCEPTED_TWICE in struck and response.status_code == 200:
            response = await answer()  # it came twice; the caller hears what the second one was told
        return self._silence(request) if Trouble.LOST_RESPONSE in struck else response

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        try:
            tokens.authenticate(self._sim, self._account, request)
            if (project := request.path_params.get("project", PROJECT)) != PROJECT:
                raise not_found(f"projects/{project}")
            if not self._pacing.admit(endpoint.group, PROJECT, Limit(per_minute=_LIMITS[endpoint.group])):
                raise too_frequent(endpoint.group)
            return JSONResponse(await self._done(endpoint, request))
        except WireError as refusal:
            return refusal.response()

    async def _done(self, endpoint: Endpoint, request: Request) -> Row:
        if endpoint.look is not None:
            return await endpoint.look(self._sim, request)
        assert endpoint.act is not None, f"{endpoint.name} does nothing"
        return await endpoint.act(self._sim, request, self._account.email)

    def _silence(self, request: Request) -> Response:
        """Cut the caller off; the response is for nobody."""
        self._sim.hang_up(request)
        return Response()
