"""Starting and stopping machines. A stop frees the room in the zone; a start needs room anew, and may find none."""

from starlette.requests import Request

from holdfast.simcloud.gcp import disks, fleet, life, operations, placing
from holdfast.simcloud.gcp.envelopes import Row, WireError, not_ready
from holdfast.simcloud.gcp.operations import Call
from holdfast.simcloud.gcp.records import Operation, Waits
from holdfast.simcloud.model import Instance
from holdfast.simcloud.sim import Sim


async def stop(sim: Sim, request: Request, user: str) -> Row:
    """Stop a machine. One that is stopped stays so."""
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        instance = fleet.named(sim, request)
        if fleet.machine_of(instance).suspended:
            raise _unsupported("stop", fleet.status_of(sim, instance))
        if instance.granted:
            life.go_down(sim, instance)
        operation = operations.on(sim, "stop", instance, call, waits=Waits.STOPPED)
    await sim.conductor.follow()
    return operations.row(sim, operation)


async def suspend(sim: Sim, request: Request, user: str) -> Row:
    """Put a running machine to sleep. One with GPUs cannot."""
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        instance = fleet.named(sim, request)
        machine, status = fleet.machine_of(instance), fleet.status_of(sim, instance)
        if machine.accelerator is not None or status != "RUNNING":
            raise _unsupported("suspend", "a machine with accelerators" if machine.accelerator else status)
        life.go_down(sim, instance, suspended=True)
        operation = operations.on(sim, "suspend", instance, call, waits=Waits.STOPPED)
    await sim.conductor.follow()
    return operations.row(sim, operation)


async def start(sim: Sim, request: Request, user: str) -> Row:
    """Start a stopped machine. One that runs goes on running."""
    return await _begin(sim, request, user, "start", suspended=False)


async def resume(sim: Sim, request: Request, user: str) -> Row:
    """Wake a machine that sleeps."""
    return await _begin(sim, request, user, "resume", suspended=True)


async def reset(sim: Sim, request: Request, user: str) -> Row:
    """Switch a running machine off and on again."""
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        instance = fleet.named(sim, request)
        if fleet.status_of(sim, instance) != "RUNNING":
            raise not_ready(fleet.path_of(fleet.machine_of(instance).zone, instance.alias))
        sim.market.reboot(instance.id)
        operation = operations.on(sim, "reset", instance, call, waits=Waits.RUNNING)
    await sim.conductor.follow()
    return operations.row(sim, operation)


async def simulate_maintenance(sim: Sim, request: Request, user: str) -> Row:
    """Exercise what Google does to a machine: a Spot machine is preempted; another one has its maintenance unharmed."""
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        instance = fleet.named(sim, request)
        if fleet.status_of(sim, instance) != "RUNNING":
            raise not_ready(fleet.path_of(fleet.machine_of(instance).zone, instance.alias))
        if fleet.machine_of(instance).spot:
            life.preempt(sim, instance)
        operation = operations.on(sim, "simulateMaintenanceEvent", instance, call)
    await sim.conductor.follow()
    return operations.row(sim, operation)


async def _begin(sim: Sim, request: Request, user: str, kind: str, *, suspended: bool) -> Row:
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        operation = _begun(sim, fleet.named(sim, request), kind, call, suspended=suspended)
    await sim.conductor.follow()
    return operations.row(sim, operation)


def _begun(sim: Sim, instance: Instance, kind: str, call: Call, *, suspended: bool) -> Operation:
    machine, target = fleet.machine_of(instance), ""
    target = fleet.path_of(machine.zone, instance.alias)
    if machine.down_at is not None:
        raise not_ready(target)
    if machine.suspended != suspended:
        raise _unsupported(kind, fleet.status_of(sim, instance))
    if instance.granted:
        return operations.on(sim, kind, instance, call)
    if not any(disk.boot for disk in disks.attached(sim, instance.id)):
        raise WireError(400, "badRequest", f"The resource '{target}' has no boot disk")
    if failure := placing.bring_up(sim, instance):
        status, error = failure
        return operations.on(sim, kind, instance, call, errors=[error], status=status)
    return operations.on(sim, kind, sim.market.instance(instance.id), call, waits=Waits.RUNNING)


def _unsupported(what: str, state: str) -> WireError:
    return WireError(400, "unsupportedOperation", f"UNSUPPORTED_OPERATION: {what} is not possible for {state}.")
