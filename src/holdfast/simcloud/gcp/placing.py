"""Putting machines into the room that a zone has, and saying why there is none."""

from decimal import Decimal

from holdfast.simcloud.gcp import disks, fleet, ordering, pricing, quotas, storage
from holdfast.simcloud.gcp.envelopes import over_quota
from holdfast.simcloud.gcp.names import path, region_of
from holdfast.simcloud.gcp.operations import Error
from holdfast.simcloud.gcp.ordering import Wanted, WantedDisk, end_of
from holdfast.simcloud.gcp.records import Disk, Machine
from holdfast.simcloud.model import Instance, Order, Slot
from holdfast.simcloud.sim import Rules

_ABOVE_ALL = Decimal(10**6)  # nobody bids: no other bid is higher, and whoever takes a machine back does not ask
_HELP = "https://cloud.google.com/compute/docs/resource-error"


def make(rules: Rules, slot: Slot, wanted: Wanted) -> Instance:
    """Put a machine into a slot, with its disks."""
    machine = wanted.machine
    machine.login, keys = ordering.logins(machine.metadata)
    machine.started_at = rules.clock.now()
    size = sum(disk.size if disk.existing is None else disk.existing.size for disk in wanted.disks)
    rate = pricing.hourly(rules, slot, spot=machine.spot)
    order = Order(
        image=wanted.disks[0].image or "its disk",
        disk=Decimal(size),
        label=wanted.label,
        bid=_ABOVE_ALL if machine.spot else None,
        gpu_rate=rate,
        storage_rate=sum((_rate_of(disk) for disk in wanted.disks), Decimal(0)),
        onstart=ordering.script(machine.metadata, "startup-script"),
        least_seconds=rules.profile.least_charge,
    )
    instance = rules.market.rent(slot.ask_id, order)
    instance.alias, instance.address = wanted.name, fleet.fresh_address()
    instance.keys = dict(enumerate(keys, start=1))
    for disk in wanted.disks:
        _attach(rules, instance, machine.zone, disk)
    fleet.keep(rules, instance, machine)
    return instance


def bring_up(rules: Rules, instance: Instance) -> tuple[int, Error] | None:
    """Give a stopped machine room in its zone. Returns what is in the way, as an operation tells it.

    Raises WireError (403) for a quota.
    """
    machine = fleet.machine_of(instance)
    if failure := quota_failure(rules, machine.zone, quotas.of_machine(machine)):
        return failure
    slot = fleet.room(rules, machine.zone, machine)
    if slot is None:
        return 503, exhausted(rules, machine)
    _move(rules, instance, machine, slot)
    rules.market.start(instance.id)
    return None


def quota_failure(rules: Rules, zone: str, wanted: quotas.Amounts) -> tuple[int, Error] | None:
    """What an operation says of a quota that is broken. Raises WireError (403) for one that the call sees already."""
    found = quotas.breach(rules, region_of(zone), wanted)
    if found is None:
        return None
    if not found.late:
        raise over_quota(found.metric, found.limit, found.where)
    where = "GLOBAL" if found.where == "global" else "REGION"
    name = f"{found.metric.replace('_', '-')}-per-project{'' if where == 'GLOBAL' else '-region'}"
    dimension = {"global": "global"} if where == "GLOBAL" else {"region": region_of(zone)}
    info = {"metricName": f"compute.googleapis.com/{found.metric.lower()}", "limitName": name, "limit": found.limit}
    message = f"Quota '{found.metric}' exceeded.  Limit: {found.limit:.1f} in {found.where}."
    details = [{"quotaInfo": info | {"dimensions": dimension}}]
    return 403, {"code": "QUOTA_EXCEEDED", "message": message, "errorDetails": details}


def exhausted(rules: Rules, machine: Machine) -> Error:
    """What an operation says where a zone has no room. It names the zones that have, if there are any."""
    elsewhere = [zone for zone in fleet.zones(rules) if zone != machine.zone and fleet.room(rules, zone, machine)]
    message = (
        f"The zone '{path('zones', machine.zone)}' does not have enough resources available to fulfill the request."
        "  Try a different zone, or try again later."
    )
    if not elsewhere:
        return {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": message}
    facts = {"vmType": machine.machine_type, "zone": machine.zone, "zonesAvailable": ",".join(elsewhere)}
    if machine.accelerator:
        facts["attachment"] = f"{machine.accelerator}:{machine.accelerators}"
    info = {"domain": "compute.googleapis.com", "reason": "resource_availability", "metadatas": facts}
    links = [{"description": "Troubleshooting documentation", "url": _HELP}]
    return {
        "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "message": message,
        "errorDetails": [{"errorInfo": info}, {"help": {"links": links}}],
    }


def _move(rules: Rules, instance: Instance, machine: Machine, slot: Slot) -> None:
    """It may come up on another machine than before, at another price, and has another address."""
    instance.slot_id, instance.machine_id = slot.id, slot.machine_id
    instance.gpu_rate = pricing.hourly(rules, slot, spot=machine.spot)
    instance.bid = _ABOVE_ALL if machine.spot else None
    instance.address = fleet.fresh_address()
    machine.started_at = rules.clock.now()
    machine.ends_at = end_of(machine.scheduling, machine.started_at)
    machine.suspended = False
    fleet.keep(rules, instance, machine)


def _attach(rules: Rules, instance: Instance, zone: str, wanted: WantedDisk) -> None:
    now = rules.clock.now()
    disk = wanted.existing or Disk(
        id=rules.market.number(),
        name=wanted.name,
        zone=zone,
        kind=wanted.kind,
        size=wanted.size,
        labels=wanted.labels,
        source_image=wanted.image,
        source_snapshot=None if wanted.snapshot is None else wanted.snapshot.name,
        created_at=now,
        ready_at=now,
        contents=None if wanted.snapshot is None else str(storage.folder_of(rules, wanted.snapshot)),
    )
    disks.give(rules, disk, instance, boot=wanted.boot, auto_delete=wanted.auto_delete, device=wanted.device)


def _rate_of(wanted: WantedDisk) -> Decimal:
    if wanted.existing is not None:
        return disks.rate_of(wanted.existing)
    return pricing.disk_hourly(wanted.kind, wanted.size)
