"""Persistent disks: attached to a machine, or by themselves. While a machine has a disk, it is in that machine's line
of the bill; by itself it has its own.
"""

from datetime import datetime
from decimal import Decimal

from holdfast.simcloud.gcp import storage
from holdfast.simcloud.gcp.envelopes import Row
from holdfast.simcloud.gcp.names import PROJECT, link, path, time, wire_id
from holdfast.simcloud.gcp.pricing import disk_hourly
from holdfast.simcloud.gcp.records import Disk
from holdfast.simcloud.model import Holding, Instance
from holdfast.simcloud.sim import Rules

DEFAULT_TYPE = "pd-standard"


def attached(rules: Rules, instance: int) -> list[Disk]:
    """The disks of a machine, the boot disk first."""
    mine = [disk for disk in rules.store.shelf(Disk).all() if disk.user == instance]
    return sorted(mine, key=lambda disk: (not disk.boot, disk.id))


def find(rules: Rules, zone: str, name: str) -> Disk | None:
    """A disk by its name."""
    shelf = rules.store.shelf(Disk)
    return next((disk for disk in shelf.all() if (disk.zone, disk.name) == (zone, name)), None)


def path_of(disk: Disk) -> str:
    """Where a disk is found."""
    return path("zones", disk.zone, "disks", disk.name)


def rate_of(disk: Disk) -> Decimal:
    """USD per hour."""
    return disk_hourly(disk.kind, disk.size)


def by_itself(rules: Rules, disk: Disk, now: datetime) -> None:
    """Nobody has it: it pays for itself, in the name of its label."""
    label = disk.labels.get("holdfast")
    name = disk.name if label is None else label.replace("_", ".")
    rules.market.bill.hold(Holding(id=disk.id, label=name, rate=rate_of(disk), since=now))


def give(rules: Rules, disk: Disk, instance: Instance, *, boot: bool, auto_delete: bool, device: str) -> None:
    """Attach a disk. Machine and rate are the caller's to store."""
    if boot:
        instance.seed = disk.contents
    rules.market.bill.let_go(disk.id, rules.clock.now())
    disk.user, disk.boot, disk.auto_delete, disk.device = instance.id, boot, auto_delete, device or disk.name
    disk.attached_at = rules.clock.now()
    rules.store.shelf(Disk).put(disk)


def part(rules: Rules, disk: Disk) -> None:
    """Detach a disk. The machine's rate is the caller's business."""
    if disk.boot and disk.user is not None:
        storage.take_from_machine(rules, disk, disk.user)
    disk.user, disk.boot, disk.detached_at = None, False, rules.clock.now()
    rules.store.shelf(Disk).put(disk)
    by_itself(rules, disk, rules.clock.now())


def remove(rules: Rules, disk: Disk) -> None:
    """End a disk and its bill."""
    rules.store.shelf(Disk).remove(disk.id)
    storage.forget(rules, disk)
    rules.market.bill.let_go(disk.id, rules.clock.now())


def part_all(rules: Rules, instance: int) -> None:
    """A machine is gone: its disks go with it, or stay by themselves."""
    for disk in attached(rules, instance):
        if disk.auto_delete:
            remove(rules, disk)
        else:
            part(rules, disk)


def attached_row(disk: Disk, index: int) -> Row:
    """A disk as its machine tells of it."""
    return {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": disk.mode,
        "deviceName": disk.device,
        "index": index,
        "source": link(path_of(disk)),
        "boot": disk.boot,
        "autoDelete": disk.auto_delete,
        "diskSizeGb": str(disk.size),
        "interface": "SCSI",
    }


def source_path(reference: str) -> str:
    """The path of an image or a snapshot, from any form of its address."""
    parts = reference.rstrip("/").split("/")
    if "projects" in parts:
        return "/".join(parts[parts.index("projects") :])
    return "/".join(("projects", PROJECT, *parts))


def status_of(disk: Disk, now: datetime) -> str:
    """Google's word."""
    if disk.ready_at <= now:
        return "READY"
    return "RESTORING" if disk.source_snapshot else "CREATING"


def times(disk: Disk) -> Row:
    """When it was last attached and detached, where it was."""
    known = {"lastAttachTimestamp": disk.attached_at, "lastDetachTimestamp": disk.detached_at}
    return {name: time(moment) for name, moment in known.items() if moment is not None}


def number_of(disk: Disk) -> str:
    """Its id."""
    return wire_id(disk.id)
