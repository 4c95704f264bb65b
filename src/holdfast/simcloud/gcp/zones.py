"""What exists where: machine types, accelerator types, zones, regions with their quotas, the project."""

from collections.abc import Iterator

from starlette.requests import Request

from holdfast.simcloud.gcp import filters, fleet, quotas
from holdfast.simcloud.gcp.envelopes import Row, not_found
from holdfast.simcloud.gcp.kinds import ACCELERATORS, MACHINE_TYPES, MachineType, accelerator_of
from holdfast.simcloud.gcp.names import PROJECT, link, path, region_of, wire_id
from holdfast.simcloud.gcp.paging import aggregated, page
from holdfast.simcloud.sim import Sim

_SINCE = "2019-01-15T12:00:00.000-08:00"


async def all_accelerator_types(sim: Sim, request: Request) -> Row:
    """The GPUs of all zones. That one exists in a zone does not mean that it can be had."""
    rows = filters.matching(request, list(_accelerator_types(sim)))
    return aggregated(request, "compute#acceleratorTypeAggregatedList", "acceleratorTypes", fleet.zones(sim), rows)


async def all_machine_types(sim: Sim, request: Request) -> Row:
    """The machine types of all zones."""
    rows = filters.matching(request, list(_machine_types(sim)))
    return aggregated(request, "compute#machineTypeAggregatedList", "machineTypes", fleet.zones(sim), rows)


async def accelerator_types(sim: Sim, request: Request) -> Row:
    """The GPUs of a zone."""
    zone = fleet.a_zone(sim, request)
    rows = [row for row in _accelerator_types(sim) if row["zone"].endswith(f"/{zone}")]
    where = path("zones", zone, "acceleratorTypes")
    return page(request, "compute#acceleratorTypeList", where, filters.matching(request, rows))


async def machine_types(sim: Sim, request: Request) -> Row:
    """The machine types of a zone."""
    zone = fleet.a_zone(sim, request)
    rows = [row for row in _machine_types(sim) if row["zone"] == zone]
    where = path("zones", zone, "machineTypes")
    return page(request, "compute#machineTypeList", where, filters.matching(request, rows))


async def machine_type(sim: Sim, request: Request) -> Row:
    """One machine type."""
    zone, name = fleet.a_zone(sim, request), request.path_params["type"]
    for row in _machine_types(sim):
        if (row["zone"], row["name"]) == (zone, name):
            return row
    raise not_found(path("zones", zone, "machineTypes", name))


async def all_zones(sim: Sim, request: Request) -> Row:
    """The zones."""
    rows = [_zone_row(zone) for zone in fleet.zones(sim)]
    return page(request, "compute#zoneList", path("zones"), filters.matching(request, rows))


async def zone(sim: Sim, request: Request) -> Row:
    """One zone."""
    return _zone_row(fleet.a_zone(sim, request))


async def all_regions(sim: Sim, request: Request) -> Row:
    """The regions with their quotas."""
    rows = [_region_row(sim, region) for region in _regions(sim)]
    return page(request, "compute#regionList", path("regions"), filters.matching(request, rows))


async def region(sim: Sim, request: Request) -> Row:
    """One region with its quotas."""
    return _region_row(sim, a_region(sim, request))


async def project(sim: Sim, _request: Request) -> Row:
    """The project with its quotas."""
    return {
        "kind": "compute#project",
        "id": wire_id(1),
        "name": PROJECT,
        "creationTimestamp": _SINCE,
        "quotas": quotas.rows(sim, None),
        "defaultServiceAccount": "481216234210-compute@developer.gserviceaccount.com",
        "defaultNetworkTier": "PREMIUM",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "selfLink": link(f"projects/{PROJECT}"),
    }


def a_region(sim: Sim, request: Request) -> str:
    """The region that a path names. Raises WireError (404)."""
    name = str(request.path_params["region"])
    if name not in _regions(sim):
        raise not_found(path("regions", name))
    return name


def _regions(sim: Sim) -> list[str]:
    return sorted({region_of(zone) for zone in fleet.zones(sim)})


def _accelerator_types(sim: Sim) -> Iterator[Row]:
    for zone_name in fleet.zones(sim):
        slots = [slot for slot in sim.store.slots.all() if slot.hardware.region == zone_name]
        for name in sorted({name for slot in slots if (name := accelerator_of(slot))}):
            described, most = ACCELERATORS[name]
            yield {
                "kind": "compute#acceleratorType",
                "id": wire_id(10_000 + list(ACCELERATORS).index(name)),
                "name": name,
                "description": described,
                "maximumCardsPerInstance": most,
                "creationTimestamp": _SINCE,
                "zone": link(path("zones", zone_name)),
                "selfLink": link(path("zones", zone_name, "acceleratorTypes", name)),
            }


def _machine_types(sim: Sim) -> Iterator[Row]:
    for zone_name in fleet.zones(sim):
        slots = [slot for slot in sim.store.slots.all() if slot.hardware.region == zone_name]
        for name in sorted({slot.kind for slot in slots}):
            yield _machine_type_row(MACHINE_TYPES[name], zone_name)


def _machine_type_row(kind: MachineType, zone_name: str) -> Row:
    gpus = "" if kind.accelerator is None else f", {kind.accelerators} {ACCELERATORS[kind.accelerator][0]} GPUs"
    found: Row = {
        "kind": "compute#machineType",
        "id": wire_id(20_000 + list(MACHINE_TYPES).index(kind.name)),
        "name": kind.name,
        "description": f"{kind.vcpus} vCPUs, {kind.memory // 1024} GB RAM{gpus}",
        "guestCpus": kind.vcpus,
        "memoryMb": kind.memory,
        "isSharedCpu": False,
        "architecture": "X86_64",
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "creationTimestamp": _SINCE,
        "zone": zone_name,  # a name here, where other things have an address
        "selfLink": link(path("zones", zone_name, "machineTypes", kind.name)),
    }
    if kind.accelerator is not None:
        found["accelerators"] = [{"guestAcceleratorType": kind.accelerator, "guestAcceleratorCount": kind.accelerators}]
    return found


def _zone_row(name: str) -> Row:
    return {
        "kind": "compute#zone",
        "id": wire_id(30_000 + sum(name.encode())),
        "name": name,
        "description": name,
        "status": "UP",
        "region": link(path("regions", region_of(name))),
        "creationTimestamp": _SINCE,
        "selfLink": link(path("zones", name)),
    }


def _region_row(sim: Sim, name: str) -> Row:
    here = [zone_name for zone_name in fleet.zones(sim) if region_of(zone_name) == name]
    return {
        "kind": "compute#region",
        "id": wire_id(40_000 + sum(name.encode())),
        "name": name,
        "description": name,
        "status": "UP",
        "zones": [link(path("zones", zone_name)) for zone_name in here],
        "quotas": quotas.rows(sim, name),
        "creationTimestamp": _SINCE,
        "selfLink": link(path("regions", name)),
    }
