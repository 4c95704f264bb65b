"""Snapshots: made of a disk in one zone, usable in all. What was on the disk at the call is in them, whatever runs.

A disk must not be copied too often: six times in an hour, and then once in ten minutes. That is told by the operation.
"""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from starlette.requests import Request

from holdfast.simcloud.gcp import attaching, disks, filters, fleet, operations, placing, pricing, storage
from holdfast.simcloud.gcp.bodies import body
from holdfast.simcloud.gcp.envelopes import Row, not_found, stale, taken
from holdfast.simcloud.gcp.names import a_name, labels, last, link, path, region_of, required, time, wire_id
from holdfast.simcloud.gcp.operations import Call, Error
from holdfast.simcloud.gcp.paging import page
from holdfast.simcloud.gcp.records import Disk, Operation, Snapshot
from holdfast.simcloud.hosts.copying import copy_disk
from holdfast.simcloud.model import Holding
from holdfast.simcloud.sim import Rules, Sim

_BURST, _HOUR, _SPACING = 6, timedelta(hours=1), timedelta(minutes=10)
_GLOBAL = "global"


async def create(sim: Sim, request: Request, user: str) -> Row:
    """Copy the disk that the path names."""
    given, call = await body(request), Call(request, user)
    if (before := call.before(sim)) is not None:
        return operations.row(sim, before)
    disk = attaching.named(sim, request)
    return operations.row(sim, await _create(sim, disk, given, call, f"zones/{disk.zone}"))


async def insert(sim: Sim, request: Request, user: str) -> Row:
    """Copy the disk that the body names."""
    given, call = await body(request), Call(request, user)
    if (before := call.before(sim)) is not None:
        return operations.row(sim, before)
    reference = str(required(given.get("sourceDisk"), "resource.sourceDisk")).split("/")
    zone = reference[-3] if len(reference) >= 4 else ""
    disk = disks.find(sim, zone, reference[-1])
    if disk is None:
        raise not_found(path("zones", zone, "disks", reference[-1]))
    return operations.row(sim, await _create(sim, disk, given, call, _GLOBAL))


async def show(sim: Sim, request: Request) -> Row:
    """One snapshot."""
    return _row(sim, _named(sim, request))


async def every(sim: Sim, request: Request) -> Row:
    """All snapshots."""
    rows = [_row(sim, snapshot) for snapshot in sim.store.shelf(Snapshot).all()]
    return page(request, "compute#snapshotList", path(_GLOBAL, "snapshots"), filters.matching(request, rows))


async def delete(sim: Sim, request: Request, user: str) -> Row:
    """Remove a snapshot. Disks that were made from it stay."""
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        snapshot = _named(sim, request)
        sim.store.shelf(Snapshot).remove(snapshot.id)
        sim.market.bill.let_go(snapshot.id, sim.clock.now())
        storage.forget(sim, snapshot)
        operation = operations.begin(sim, "delete", _GLOBAL, _path(snapshot.name), snapshot.id, call=call)
    return operations.row(sim, operation)


async def set_labels(sim: Sim, request: Request, user: str) -> Row:
    """Other labels, for whoever knows the fingerprint of those that are there."""
    given, call = await body(request), Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        snapshot, wanted = _named(sim, request), labels(given.get("labels"))
        if given.get("labelFingerprint") != _label_fingerprint(snapshot):
            raise stale("Labels")
        snapshot.labels, snapshot.label_version = wanted, snapshot.label_version + 1
        sim.store.shelf(Snapshot).put(snapshot)
        operation = operations.begin(sim, "setLabels", _GLOBAL, _path(snapshot.name), snapshot.id, call=call)
    return operations.row(sim, operation)


async def _create(sim: Sim, disk: Disk, given: Row, call: Call, scope: str) -> Operation:
    kind = "createSnapshot" if scope != _GLOBAL else "insert"
    name = a_name(required(given.get("name"), "resource.name"))
    worn, number = labels(given.get("labels")), sim.market.number()
    _refuse_taken(sim, name)
    if failure := _too_often(sim, disk) or placing.quota_failure(sim, disk.zone, {"SNAPSHOTS": 1.0}):
        status, error = failure
        return operations.begin(sim, kind, scope, _path(name), number, call=call, errors=[error], status=status)
    now = sim.clock.now()
    done = now + attaching.takes(sim, f"snapshot/{number}")
    snapshot = Snapshot(
        id=number,
        name=name,
        disk=disks.path_of(disk),
        disk_id=disk.id,
        size=disk.size,
        stored=0,
        labels=worn,
        places=[last(place) for place in given.get("storageLocations") or [region_of(disk.zone)]],
        created_at=now,
        uploading_at=now + (done - now) / 2,
        ready_at=done,
    )
    home = storage.home_of(sim, disk.user) if disk.boot and disk.user is not None else disk.contents
    if home is not None:
        snapshot.stored = await asyncio.to_thread(copy_disk, Path(home), storage.folder_of(sim, snapshot))
    with sim.store.transaction():
        _refuse_taken(sim, name)
        _keep(sim, snapshot, disk, now)
        target = disks.path_of(disk) if scope != _GLOBAL else _path(name)
        return operations.begin(sim, kind, scope, target, number, call=call)


def _keep(sim: Sim, snapshot: Snapshot, disk: Disk, now: datetime) -> None:
    sim.store.shelf(Snapshot).put(snapshot)
    rate = pricing.snapshot_hourly(snapshot.stored)
    label = snapshot.labels.get(fleet.OURS, "").replace("_", ".") or snapshot.name
    sim.market.bill.hold(Holding(id=snapshot.id, label=label, rate=rate, since=now))
    present = sim.store.shelf(Disk).get(disk.id)
    if present is not None:
        present.snapped_at = [*present.snapped_at[-_BURST:], now]
        sim.store.shelf(Disk).put(present)


def _refuse_taken(rules: Rules, name: str) -> None:
    if any(snapshot.name == name for snapshot in rules.store.shelf(Snapshot).all()):
        raise taken(_path(name))


def _too_often(rules: Rules, disk: Disk) -> tuple[int, Error] | None:
    scale, now = rules.profile.threshold_scale, rules.clock.now()
    recent = [moment for moment in disk.snapped_at if now - moment < _HOUR * scale]
    if len(recent) < _BURST or now - recent[-1] >= _SPACING * scale:
        return None
    words = f"Too frequent operations from the source resource '{disks.path_of(disk)}'."
    return 429, {"code": "RESOURCE_OPERATION_RATE_EXCEEDED", "message": words}


def _named(rules: Rules, request: Request) -> Snapshot:
    name = str(request.path_params["snapshot"])
    for snapshot in rules.store.shelf(Snapshot).all():
        if snapshot.name == name:
            return snapshot
    raise not_found(_path(name))


def _path(name: str) -> str:
    return path(_GLOBAL, "snapshots", name)


def _status(snapshot: Snapshot, now: datetime) -> str:
    if snapshot.ready_at <= now:
        return "READY"
    return "UPLOADING" if snapshot.uploading_at <= now else "CREATING"


def _label_fingerprint(snapshot: Snapshot) -> str:
    return fleet.fingerprint(snapshot.id, snapshot.label_version, sorted(snapshot.labels.items()))


def _row(rules: Rules, snapshot: Snapshot) -> Row:
    status = _status(snapshot, rules.clock.now())
    found: Row = {
        "kind": "compute#snapshot",
        "id": wire_id(snapshot.id),
        "name": snapshot.name,
        "status": status,
        "sourceDisk": link(snapshot.disk),
        "sourceDiskId": wire_id(snapshot.disk_id),
        "diskSizeGb": str(snapshot.size),
        "storageLocations": snapshot.places,
        "creationTimestamp": time(snapshot.created_at),
        "labelFingerprint": _label_fingerprint(snapshot),
        "snapshotType": "STANDARD",
        "selfLink": link(_path(snapshot.name)),
    }
    if status == "READY":
        found |= {"storageBytes": str(snapshot.stored), "storageBytesStatus": "UP_TO_DATE"}
    if snapshot.labels:
        found["labels"] = snapshot.labels
    return found
