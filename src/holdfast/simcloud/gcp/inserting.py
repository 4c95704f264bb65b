"""Making a machine. The name is the client's: a second insert of it is refused, whoever made the first.

What the call cannot see fails inside the operation: that the zone has no capacity, or, where a lever says so, a quota.
A failed insert leaves nothing behind.
"""

from starlette.requests import Request

from holdfast.simcloud.gcp import disks, fleet, operations, ordering, placing, quotas
from holdfast.simcloud.gcp.bodies import body
from holdfast.simcloud.gcp.envelopes import Row, taken
from holdfast.simcloud.gcp.names import path
from holdfast.simcloud.gcp.operations import Call
from holdfast.simcloud.gcp.ordering import Wanted
from holdfast.simcloud.gcp.records import Operation, Waits
from holdfast.simcloud.sim import Sim


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
    failure = placing.quota_failure(sim, zone, _amounts(wanted))
    slot = None if failure else fleet.room(sim, zone, wanted.machine)
    if slot is None and failure is None:
        failure = (503, placing.exhausted(sim, wanted.machine))
    scope = f"zones/{zone}"
    if slot is None and failure is not None:
        status, error = failure
        number = sim.market.number()
        return operations.begin(sim, "insert", scope, target, number, call=call, errors=[error], status=status)
    assert slot is not None
    instance = placing.make(sim, slot, wanted)
    return operations.begin(sim, "insert", scope, target, instance.id, call=call, waits=Waits.RUNNING)


def _amounts(wanted: Wanted) -> quotas.Amounts:
    found = quotas.of_machine(wanted.machine)
    for disk in wanted.disks:
        if disk.existing is None:
            for metric, amount in quotas.of_disk(disk.kind, disk.size).items():
                found[metric] = found.get(metric, 0.0) + amount
    return found
