"""Disks as things of their own: making, growing, removing them, and giving them to machines and taking them back."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from random import Random

from starlette.requests import Request

from holdfast.simcloud.gcp import disks, filters, fleet, operations, placing, quotas, storage
from holdfast.simcloud.gcp.bodies import body, flag
from holdfast.simcloud.gcp.envelopes import Row, WireError, in_use, invalid, not_found, stale, taken
from holdfast.simcloud.gcp.names import a_name, labels, link, path, required, time, whole
from holdfast.simcloud.gcp.operations import Call
from holdfast.simcloud.gcp.ordering import disk_type, source, usable
from holdfast.simcloud.gcp.paging import aggregated, page
from holdfast.simcloud.gcp.records import Disk, Operation
from holdfast.simcloud.model import Instance
from holdfast.simcloud.sim import Rules, Sim

Work = Callable[[Call], Operation]


async def insert(sim: Sim, request: Request, user: str) -> Row:
    """Make a disk: empty, from an image, or from a snapshot."""
    zone, given = fleet.a_zone(sim, request), await body(request)
    if "sourceImage" in request.query_params:
        given = given | {"sourceImage": request.query_params["sourceImage"]}
    return _done(sim, request, user, lambda call: _insert(sim, zone, given, call))


async def show(sim: Sim, request: Request) -> Row:
    """One disk."""
    return _row(sim, named(sim, request))


async def every(sim: Sim, request: Request) -> Row:
    """The disks of a zone."""
    zone = fleet.a_zone(sim, request)
    rows = [_row(sim, disk) for disk in sim.store.shelf(Disk).all() if disk.zone == zone]
    return page(request, "compute#diskList", path("zones", zone, "disks"), filters.matching(request, rows))


async def everywhere(sim: Sim, request: Request) -> Row:
    """The disks of all zones."""
    rows = filters.matching(request, [_row(sim, disk) for disk in sim.store.shelf(Disk).all()])
    return aggregated(
        request, "compute#diskAggregatedList", "disks", fleet.zones(sim), rows, silent=fleet.unreachable(sim)
    )


async def delete(sim: Sim, request: Request, user: str) -> Row:
    """Remove a disk that no machine has."""

    def work(call: Call) -> Operation:
        disk = named(sim, request)
        if disk.user is not None:
            holder = sim.market.instance(disk.user)
            raise in_use(disks.path_of(disk), fleet.path_of(disk.zone, holder.alias))
        disks.remove(sim, disk)
        return on(sim, "delete", disk, call)

    return _done(sim, request, user, work)


async def resize(sim: Sim, request: Request, user: str) -> Row:
    """Make a disk larger."""
    given = await body(request)

    def work(call: Call) -> Operation:
        disk = named(sim, request)
        size = whole(given.get("sizeGb"), "sizeGb")
        if size < disk.size:
            words = f"'{size}'. Disk cannot be shrunk from {disk.size} GB"
            raise invalid("sizeGb", words)
        failure = placing.quota_failure(sim, disk.zone, quotas.of_disk(disk.kind, size - disk.size))
        if failure:
            return on(sim, "resizeDisk", disk, call, failure=failure)
        disk.size = size
        sim.store.shelf(Disk).put(disk)
        if disk.user is None:
            sim.market.bill.let_go(disk.id, sim.clock.now())
            disks.by_itself(sim, disk, sim.clock.now())
        else:
            _reckon(sim, sim.market.instance(disk.user))
        return on(sim, "resizeDisk", disk, call)

    return _done(sim, request, user, work)


async def set_labels(sim: Sim, request: Request, user: str) -> Row:
    """Other labels, for whoever knows the fingerprint of those that are there."""
    given = await body(request)

    def work(call: Call) -> Operation:
        disk, wanted = named(sim, request), labels(given.get("labels"))
        if given.get("labelFingerprint") != _label_fingerprint(disk):
            raise stale("Labels")
        disk.labels, disk.label_version = wanted, disk.label_version + 1
        sim.store.shelf(Disk).put(disk)
        return on(sim, "setLabels", disk, call)

    return _done(sim, request, user, work)


async def attach(sim: Sim, request: Request, user: str) -> Row:
    """Give a disk to a machine; a boot disk to a stopped one only."""
    given = await body(request)

    def work(call: Call) -> Operation:
        instance = fleet.named(sim, request)
        zone, boot = fleet.machine_of(instance).zone, flag(given.get("boot"), "boot")
        disk = usable(sim, zone, str(required(given.get("source"), "source")), "source")
        if boot and (instance.granted or any(one.boot for one in disks.attached(sim, instance.id))):
            raise WireError(400, "badRequest", "A boot disk can be attached to a stopped instance without one only.")
        auto_delete, device = flag(given.get("autoDelete"), "autoDelete"), str(given.get("deviceName") or "")
        disks.give(sim, disk, instance, boot=boot, auto_delete=auto_delete, device=device)
        _reckon(sim, instance)
        return operations.on(sim, "attachDisk", instance, call)

    return _done(sim, request, user, work)


async def detach(sim: Sim, request: Request, user: str) -> Row:
    """Take a disk from a machine; the boot disk from a stopped one only."""

    def work(call: Call) -> Operation:
        instance = fleet.named(sim, request)
        disk = _by_device(sim, instance, request)
        if disk.boot and instance.granted:
            raise WireError(400, "badRequest", "The boot disk of a running instance cannot be detached.")
        disks.part(sim, disk)
        _reckon(sim, sim.market.instance(instance.id))
        return operations.on(sim, "detachDisk", instance, call)

    return _done(sim, request, user, work)


async def set_auto_delete(sim: Sim, request: Request, user: str) -> Row:
    """Whether a disk goes with its machine."""
    wanted = request.query_params.get("autoDelete")
    if wanted not in ("true", "false"):
        raise invalid("autoDelete", f"'{wanted}'. Must be true or false")

    def work(call: Call) -> Operation:
        instance = fleet.named(sim, request)
        disk = _by_device(sim, instance, request)
        disk.auto_delete = wanted == "true"
        sim.store.shelf(Disk).put(disk)
        return operations.on(sim, "setDiskAutoDelete", instance, call)

    return _done(sim, request, user, work)


def named(rules: Rules, request: Request) -> Disk:
    """The disk that a path names. Raises WireError (404)."""
    zone, name = fleet.a_zone(rules, request), str(request.path_params["disk"])
    found = disks.find(rules, zone, name)
    if found is None:
        raise not_found(path("zones", zone, "disks", name))
    return found


def on(
    rules: Rules, kind: str, disk: Disk, call: Call, *, failure: tuple[int, operations.Error] | None = None
) -> Operation:
    """Write down what a call has started on a disk."""
    status, errors = (None, None) if failure is None else (failure[0], [failure[1]])
    target, scope = disks.path_of(disk), f"zones/{disk.zone}"
    return operations.begin(rules, kind, scope, target, disk.id, call=call, errors=errors, status=status)


def _insert(sim: Sim, zone: str, given: Row, call: Call) -> Operation:
    name = a_name(required(given.get("name"), "resource.name"))
    if disks.find(sim, zone, name) is not None:
        raise taken(path("zones", zone, "disks", name))
    image, snapshot, least = source(sim, given, "resource")
    size = least if given.get("sizeGb") is None else whole(given["sizeGb"], "resource.sizeGb")
    if size < least:
        raise invalid("resource.sizeGb", f"'{size}'. Disk size cannot be smaller than that of its source ({least} GB)")
    now = sim.clock.now()
    disk = Disk(
        id=sim.market.number(),
        name=name,
        zone=zone,
        kind=disk_type(given.get("type"), "resource.type"),
        size=size,
        labels=labels(given.get("labels")),
        source_image=image,
        source_snapshot=None if snapshot is None else snapshot.name,
        created_at=now,
        ready_at=now + takes(sim, f"disk/{name}"),
        contents=None if snapshot is None else str(storage.folder_of(sim, snapshot)),
    )
    if failure := placing.quota_failure(sim, zone, quotas.of_disk(disk.kind, disk.size)):
        return on(sim, "insert", disk, call, failure=failure)
    sim.store.shelf(Disk).put(disk)
    disks.by_itself(sim, disk, now)
    return on(sim, "insert", disk, call)


def takes(rules: Rules, what: str) -> timedelta:
    """How long work on disks and snapshots takes."""
    dice = Random(f"{rules.profile.seed}/{what}")  # noqa: S311 - a simulation, not a secret
    return timedelta(seconds=rules.profile.operation.draw(dice))


def _done(sim: Sim, request: Request, user: str, work: Work) -> Row:
    call = Call(request, user)
    with sim.store.transaction():
        operation = call.before(sim) or work(call)
    sim.conductor.wake()
    return operations.row(sim, operation)


def _reckon(rules: Rules, instance: Instance) -> None:
    """Its disks are others now: so is what they cost."""
    instance.storage_rate = sum((disks.rate_of(disk) for disk in disks.attached(rules, instance.id)), Decimal(0))
    rules.market.change(instance)


def _by_device(rules: Rules, instance: Instance, request: Request) -> Disk:
    device = request.query_params.get("deviceName", "")
    for disk in disks.attached(rules, instance.id):
        if disk.device == device:
            return disk
    raise invalid("deviceName", f"'{device}'. No attached disk found with device name '{device}'")


def _label_fingerprint(disk: Disk) -> str:
    return fleet.fingerprint(disk.id, disk.label_version, sorted(disk.labels.items()))


def _row(rules: Rules, disk: Disk) -> Row:
    now = rules.clock.now()
    found: Row = {
        "kind": "compute#disk",
        "id": disks.number_of(disk),
        "name": disk.name,
        "zone": link(path("zones", disk.zone)),
        "sizeGb": str(disk.size),
        "type": link(path("zones", disk.zone, "diskTypes", disk.kind)),
        "status": disks.status_of(disk, now),
        "creationTimestamp": time(disk.created_at),
        "labelFingerprint": _label_fingerprint(disk),
        "physicalBlockSizeBytes": "4096",
        "selfLink": link(disks.path_of(disk)),
    }
    if disk.labels:
        found["labels"] = disk.labels
    if disk.user is not None:
        found["users"] = [link(fleet.path_of(disk.zone, rules.market.instance(disk.user).alias))]
    if disk.source_image:
        found["sourceImage"] = link(disks.source_path(disk.source_image))
    if disk.source_snapshot:
        found["sourceSnapshot"] = link(path("global", "snapshots", disk.source_snapshot))
    return found | disks.times(disk)
