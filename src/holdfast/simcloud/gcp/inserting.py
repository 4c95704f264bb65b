"""Making a machine. The name is the client's: a second insert of it is refused, whoever made the first.

What the call cannot see fails inside the operation: that the zone has no capacity, or, where a lever says so, a quota.
A failed insert leaves nothing behind.
"""

from decimal import Decimal

from starlette.requests import Request

from holdfast.simcloud.gcp import disks, fleet, operations, ordering, pricing, quotas
from holdfast.simcloud.gcp.bodies import body
from holdfast.simcloud.gcp.envelopes import Row, over_quota, taken
from holdfast.simcloud.gcp.names import path, region_of
from holdfast.simcloud.gcp.operations import Call, Error
from holdfast.simcloud.gcp.ordering import Wanted, WantedDisk
from holdfast.simcloud.gcp.records import Disk, Machine, Operation, Waits
from holdfast.simcloud.model import Instance, Order, Slot
from holdfast.simcloud.sim import Rules, Sim

_HELP = "https://cloud.google.com/compute/docs/resource-error"


async def insert(sim: Sim, request: Request, user: str) -> Row:
    """Carry an order out. Raises WireError."""
    zone, given, call = fleet.a_zone(sim, request), await body(request), Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        operation = _insert(sim, zone, given, call)
    sim.conductor.wake()
    return operations.row(sim, operation)


def _insert(sim: Sim, zone: str, given: Row, call: Call) -> Operation:
    wanted = ordering.read(sim, zone, given, sim.clock.now())
    target = fleet.path_of(zone, wanted.name)
    if fleet.find(sim, zone, wanted.name) is not None:
        raise taken(target)
    for disk in wanted.disks:
        if disk.existing is None and disks.find(sim, zone, disk.name) is not None:
            raise taken(path("zones", zone, "disks", disk.name))
    failure = quota_failure(sim, zone, _amounts(wanted))
    slot = None if failure else fleet.room(sim, zone, wanted.machine)
    if slot is None and failure is None:
        failure = (503, exhausted(sim, wanted.machine))
    scope = f"zones/{zone}"
    if slot is None and failure is not None:
        status, error = failure
        number = sim.market.number()
        return operations.begin(sim, "insert", scope, target, number, call=call, errors=[error], status=status)
    assert slot is not None
    instance = make(sim, slot, wanted)
    return operations.begin(sim, "insert", scope, target, instance.id, call=call, waits=Waits.RUNNING)


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
        bid=max(rate, slot.min_bid) if machine.spot else None,
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
    )
    disks.give(rules, disk, instance, boot=wanted.boot, auto_delete=wanted.auto_delete, device=wanted.device)


def _rate_of(wanted: WantedDisk) -> Decimal:
    if wanted.existing is not None:
        return disks.rate_of(wanted.existing)
    return pricing.disk_hourly(wanted.kind, wanted.size)


def _amounts(wanted: Wanted) -> quotas.Amounts:
    found = quotas.of_machine(wanted.machine)
    for disk in wanted.disks:
        if disk.existing is None:
            for metric, amount in quotas.of_disk(disk.kind, disk.size).items():
                found[metric] = found.get(metric, 0.0) + amount
    return found
