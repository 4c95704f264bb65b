"""Looking at machines, and what is done to them by the calls under their address."""

from starlette.requests import Request

from holdfast.simcloud.gcp import filters, fleet, life, operations
from holdfast.simcloud.gcp.envelopes import Row, WireError
from holdfast.simcloud.gcp.names import path
from holdfast.simcloud.gcp.operations import Call
from holdfast.simcloud.gcp.paging import aggregated, page
from holdfast.simcloud.gcp.records import Waits
from holdfast.simcloud.sim import Sim


async def show(sim: Sim, request: Request) -> Row:
    """One machine."""
    return fleet.row(sim, fleet.named(sim, request))


async def every(sim: Sim, request: Request) -> Row:
    """The machines of a zone. A new one may not be listed yet."""
    zone = fleet.a_zone(sim, request)
    rows = [row for row in _listed(sim) if row["zone"].endswith(f"/{zone}")]
    return page(request, "compute#instanceList", path("zones", zone, "instances"), filters.matching(request, rows))


async def everywhere(sim: Sim, request: Request) -> Row:
    """The machines of all zones."""
    rows = filters.matching(request, _listed(sim))
    return aggregated(
        request, "compute#instanceAggregatedList", "instances", fleet.zones(sim), rows, silent=fleet.unreachable(sim)
    )


async def delete(sim: Sim, request: Request, user: str) -> Row:
    """End a machine, and the disks that go with it. Its system is asked to shut down first."""
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        instance = fleet.named(sim, request)
        machine = fleet.machine_of(instance)
        if machine.deletion_protection:
            words = "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion.'"
            raise WireError(400, "invalidResourceUsage", words)
        life.go_down(sim, instance, then_gone=True)
        operation = operations.on(sim, "delete", instance, call, waits=Waits.GONE)
    await sim.conductor.follow()
    return operations.row(sim, operation)


def _listed(sim: Sim) -> list[Row]:
    now = sim.clock.now()
    return [fleet.row(sim, instance) for instance in sim.store.instances() if instance.visible_at <= now]
