"""What an insert must say. Everything that the call itself can see is refused here, before anything is made."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from holdfast.simcloud.gcp import disks, images
from holdfast.simcloud.gcp.bodies import child, children, flag
from holdfast.simcloud.gcp.envelopes import Row, WireError, in_use, invalid
from holdfast.simcloud.gcp.fleet import path_of, split_labels
from holdfast.simcloud.gcp.kinds import ACCELERATORS, MACHINE_TYPES, accelerator_of
from holdfast.simcloud.gcp.names import a_name, labels, last, required, whole
from holdfast.simcloud.gcp.pricing import DISK_TYPES
from holdfast.simcloud.gcp.records import Disk, Machine, Snapshot
from holdfast.simcloud.sim import Rules

_MODELS = ("STANDARD", "SPOT", "FLEX_START", "RESERVATION_BOUND")
_LONGEST_SCRIPT = 262_144
_LEAST_RUN, _MOST_RUN = 30, 10_368_000  # seconds


@dataclass
class WantedDisk:
    """A disk of an order: one that exists, or one to be made."""

    boot: bool
    auto_delete: bool
    device: str
    existing: Disk | None = None
    name: str = ""
    kind: str = disks.DEFAULT_TYPE
    size: int = 0
    image: str | None = None
    snapshot: Snapshot | None = None
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class Wanted:
    """An order that makes sense."""

    name: str
    label: str | None
    machine: Machine
    disks: list[WantedDisk]


def read(rules: Rules, zone: str, given: Row, now: datetime) -> Wanted:
    """An order. Raises WireError."""
    name = a_name(required(given.get("name"), "resource.name"))
    ours, others = split_labels(labels(given.get("labels")))
    kind = _machine_type(rules, zone, given.get("machineType"))
    accelerator, count = _accelerator(rules, zone, kind, given.get("guestAccelerators"))
    scheduling = read_scheduling(child(given.get("scheduling"), "resource.scheduling"), gpu=accelerator is not None)
    interfaces = children(given.get("networkInterfaces"), "resource.networkInterfaces")
    if not interfaces:
        raise invalid("resource.networkInterfaces", "''. At least one network interface is required.")
    items = metadata_items(child(given.get("metadata"), "resource.metadata"))
    machine = Machine(
        machine_type=kind,
        zone=zone,
        scheduling=scheduling,
        labels=others,
        metadata=items,
        accelerator=accelerator,
        accelerators=count,
        tags=[str(tag) for tag in child(given.get("tags"), "resource.tags").get("items") or []],
        service_accounts=children(given.get("serviceAccounts"), "resource.serviceAccounts"),
        deletion_protection=flag(given.get("deletionProtection"), "resource.deletionProtection"),
        network=interfaces[0],
        ends_at=end_of(scheduling, now),
    )
    return Wanted(name, ours, machine, _disks(rules, zone, name, given.get("disks")))


def read_scheduling(given: Row, *, gpu: bool) -> Row:
    """A schedule with what follows from it. Raises WireError (400)."""
    model = given.get("provisioningModel", "SPOT" if given.get("preemptible") else "STANDARD")
    if model not in _MODELS:
        raise invalid("resource.scheduling.provisioningModel", f"'{model}'. Must be one of {', '.join(_MODELS)}")
    spot = model == "SPOT"
    maintenance = given.get("onHostMaintenance", "TERMINATE" if spot else "MIGRATE")
    if gpu and maintenance != "TERMINATE":
        raise WireError(400, "badRequest", "Instances with guest accelerators do not support live migration.")
    if spot and maintenance != "TERMINATE":
        raise invalid("resource.scheduling.onHostMaintenance", "Spot instances must be terminated on host maintenance")
    restart = flag(given.get("automaticRestart"), "resource.scheduling.automaticRestart", default=not spot)
    if spot and restart:
        raise invalid("resource.scheduling.automaticRestart", "Scheduling must have automatic restart set to false")
    found: Row = {"onHostMaintenance": maintenance, "automaticRestart": restart, "provisioningModel": model}
    found["preemptible"] = spot
    return found | _ending(given, spot=spot)


def end_of(scheduling: Row, now: datetime) -> datetime | None:
    """When a machine that comes up now ends by its own schedule."""
    if seconds := child(scheduling.get("maxRunDuration"), "maxRunDuration").get("seconds"):
        return now + timedelta(seconds=int(seconds))
    given = scheduling.get("terminationTime")
    return None if given is None else datetime.fromisoformat(given)


def metadata_items(given: Row) -> list[dict[str, str]]:
    """The entries of metadata. Raises WireError (400)."""
    found = {}
    for item in children(given.get("items"), "resource.metadata.items"):
        key, value = item.get("key"), item.get("value", "")
        if not isinstance(key, str) or not key or not isinstance(value, str) or len(value) > _LONGEST_SCRIPT:
            raise invalid("resource.metadata.items", "every item needs a key, and a value of at most 262144 characters")
        if key in found:
            raise invalid("resource.metadata", f"Metadata has duplicate keys: {key}")
        found[key] = value
    return [{"key": key, "value": value} for key, value in found.items()]


def logins(items: list[dict[str, str]]) -> tuple[str, list[str]]:
    """Who may log in, and with which keys: the first user of `ssh-keys`. Root may not; stock images forbid it."""
    text = next((item["value"] for item in items if item["key"] == "ssh-keys"), "")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        user, _, key = line.strip().partition(":")
        if key.startswith(("ssh-", "ecdsa-", "sk-")) and len(key.split()) > 1:
            found.setdefault(user, []).append(key)
    found.pop("root", None)
    return next(iter(found.items()), ("nobody", []))


def script(items: list[dict[str, str]], name: str) -> str | None:
    """A script of the metadata."""
    return next((item["value"] for item in items if item["key"] == name), None) or None


def disk_type(reference: Any, field_name: str) -> str:
    """A kind of disk. Raises WireError (400)."""
    kind = last(reference) or disks.DEFAULT_TYPE
    if kind not in DISK_TYPES:
        raise invalid(field_name, f"'{reference}'. The referenced disk type resource cannot be found.")
    return kind


def source(rules: Rules, given: Row, where: str) -> tuple[str | None, Snapshot | None, int]:
    """What a disk is made from, and the size in GB that it needs for that. Raises WireError (400)."""
    image, snapshot = given.get("sourceImage"), given.get("sourceSnapshot")
    if image and snapshot:
        raise invalid(where, "a disk has one source only")
    if snapshot:
        found = next((one for one in rules.store.shelf(Snapshot).all() if one.name == last(snapshot)), None)
        if found is None:
            raise invalid(f"{where}.sourceSnapshot", f"'{snapshot}'. The referenced snapshot resource cannot be found.")
        if found.ready_at > rules.clock.now():
            raise WireError(400, "resourceNotReady", f"The resource '{last(snapshot)}' is not ready")
        return None, found, found.size
    if image:
        least = images.least_size(disks.source_path(str(image)))
        if least is None:
            raise invalid(f"{where}.sourceImage", f"'{image}'. The referenced image resource cannot be found.")
        return str(image), None, least
    return None, None, 10


def _machine_type(rules: Rules, zone: str, reference: Any) -> str:
    kind = last(required(reference, "resource.machineType"))
    here = {slot.kind for slot in rules.store.slots.all() if slot.hardware.region == zone}
    if kind not in here:
        words = f"'{reference}'. Machine type with name '{kind}' does not exist in zone '{zone}'."
        raise invalid("resource.machineType", words)
    return kind


def _accelerator(rules: Rules, zone: str, kind: str, given: Any) -> tuple[str | None, int]:
    wanted = children(given, "resource.guestAccelerators")
    built_in = MACHINE_TYPES[kind]
    if not wanted:
        return built_in.accelerator, built_in.accelerators
    if len(wanted) > 1:
        raise invalid("resource.guestAccelerators", "at most one kind of accelerator is allowed")
    name = last(wanted[0].get("acceleratorType"))
    count = whole(wanted[0].get("acceleratorCount"), "resource.guestAccelerators[0].acceleratorCount", most=16)
    here = {accelerator_of(slot) for slot in rules.store.slots.all() if slot.hardware.region == zone}
    if name not in ACCELERATORS or name not in here:
        words = f"'{name}'. The referenced accelerator type cannot be found in zone '{zone}'."
        raise invalid("resource.guestAccelerators[0].acceleratorType", words)
    if built_in.accelerator is not None and (name, count) != (built_in.accelerator, built_in.accelerators):
        raise WireError(400, "badRequest", f"[{name}, {count}] is not allowed for machine type {kind}.")
    if built_in.accelerator is None and not kind.startswith("n1-"):
        raise WireError(400, "badRequest", f"Machine type {kind} does not support guest accelerators.")
    return name, count


def _ending(given: Row, *, spot: bool) -> Row:
    found: Row = {}
    action = given.get("instanceTerminationAction", "STOP" if spot else None)
    if action not in (None, "STOP", "DELETE"):
        raise invalid("resource.scheduling.instanceTerminationAction", f"'{action}'. Must be STOP or DELETE")
    if action is not None:
        found["instanceTerminationAction"] = action
    if run := child(given.get("maxRunDuration"), "resource.scheduling.maxRunDuration"):
        where = "resource.scheduling.maxRunDuration.seconds"
        found["maxRunDuration"] = {"seconds": str(whole(run.get("seconds"), where, least=_LEAST_RUN, most=_MOST_RUN))}
    if given.get("terminationTime") is not None:
        found["terminationTime"] = _a_time(given["terminationTime"])
    if ("maxRunDuration" in found or "terminationTime" in found) and action is None:
        raise invalid("resource.scheduling", "a limited run time needs an instanceTerminationAction")
    if notice := child(given.get("preemptionNoticeDuration"), "resource.scheduling.preemptionNoticeDuration"):
        where = "resource.scheduling.preemptionNoticeDuration.seconds"
        found["preemptionNoticeDuration"] = {"seconds": str(whole(notice.get("seconds"), where, least=0, most=120))}
        if not spot:
            raise invalid("resource.scheduling.preemptionNoticeDuration", "is for Spot instances only")
    return found


def _a_time(given: Any) -> str:
    try:
        found = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
    except ValueError as broken:
        raise invalid("resource.scheduling.terminationTime", f"'{given}'. Must be a RFC 3339 time") from broken
    if found.tzinfo is None:
        raise invalid("resource.scheduling.terminationTime", f"'{given}'. Must have an offset")
    return found.isoformat()


def _disks(rules: Rules, zone: str, machine: str, given: Any) -> list[WantedDisk]:
    wanted = children(given, "resource.disks")
    if not wanted or not any(flag(disk.get("boot"), "resource.disks[0].boot") for disk in wanted):
        raise invalid("resource.disks", "''. Boot disk must be specified.")
    found = [_disk(rules, zone, machine, index, disk) for index, disk in enumerate(wanted)]
    if [disk.boot for disk in found].count(True) > 1 or not found[0].boot:
        raise invalid("resource.disks", "The boot disk must be the first and only one.")
    names = [disk.existing.name if disk.existing else disk.name for disk in found]
    if len(set(names)) < len(names):
        raise invalid("resource.disks", "Disks must have different names.")
    return found


def _disk(rules: Rules, zone: str, machine: str, index: int, given: Row) -> WantedDisk:
    where = f"resource.disks[{index}]"
    wanted = WantedDisk(
        boot=flag(given.get("boot"), f"{where}.boot"),
        auto_delete=flag(given.get("autoDelete"), f"{where}.autoDelete"),
        device=str(given.get("deviceName") or ("persistent-disk-0" if index == 0 else "")),
    )
    if given.get("source"):
        wanted.existing = usable(rules, zone, str(given["source"]), f"{where}.source")
        return wanted
    new = child(given.get("initializeParams"), f"{where}.initializeParams")
    wanted.name = a_name(new.get("diskName") or (machine if index == 0 else f"{machine}-{index}"), f"{where}.diskName")
    # As Google does it: a disk of that name is attached, not made anew.
    if new.get("diskName") and disks.find(rules, zone, wanted.name) is not None:
        wanted.existing = usable(rules, zone, wanted.name, f"{where}.initializeParams.diskName")
        return wanted
    wanted.image, wanted.snapshot, least = source(rules, new, f"{where}.initializeParams")
    if wanted.boot and wanted.image is None and wanted.snapshot is None:
        raise invalid(f"{where}.initializeParams.sourceImage", "''. A boot disk needs an image or a snapshot.")
    size = new.get("diskSizeGb", given.get("diskSizeGb"))
    wanted.size = least if size is None else whole(size, f"{where}.initializeParams.diskSizeGb")
    if wanted.size < least:
        words = f"'{wanted.size}'. Disk size cannot be smaller than the size of its source ({least} GB)"
        raise invalid(f"{where}.initializeParams.diskSizeGb", words)
    wanted.kind = disk_type(new.get("diskType"), f"{where}.initializeParams.diskType")
    wanted.labels = labels(new.get("labels"), f"{where}.initializeParams.labels")
    return wanted


def usable(rules: Rules, zone: str, reference: str, where: str) -> Disk:
    """A disk that can be attached. Raises WireError (400)."""
    disk = disks.find(rules, zone, last(reference))
    if disk is None:
        raise invalid(where, f"'{reference}'. The referenced disk resource cannot be found.")
    if disk.user is not None:
        holder = rules.market.instance(disk.user)
        raise in_use(disks.path_of(disk), path_of(zone, holder.alias))
    if disk.ready_at > rules.clock.now():
        raise WireError(400, "resourceNotReady", f"The resource '{disks.path_of(disk)}' is not ready")
    return disk
