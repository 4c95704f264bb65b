"""The account's machines: their states in TensorDock's words, stopping, starting and ending them."""

from datetime import datetime
from decimal import Decimal

from starlette.requests import Request

from holdfast.simcloud.errors import GpuTaken
from holdfast.simcloud.machines import gpus_of
from holdfast.simcloud.model import Container, Flaw, Instance, Slot
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.tensordock.envelopes import Row, WireError
from holdfast.simcloud.tensordock.names import v0_name
from holdfast.simcloud.tensordock.nodes import size_of

KIND = "virtualmachine"
STOPPED, DISASSOCIATED = "stopped", "StoppedDisassociated"
_ADDRESS = "127.0.0.1"
# A host that nobody can reach is not told apart from one that runs: TensorDock has no word for it.
_WORDS = {
    Container.ABSENT: "queued",
    Container.CREATED: "starting",
    Container.LOADING: "starting",
    Container.RUNNING: "running",
    Container.OFFLINE: "running",
    Container.EXITED: STOPPED,
    Container.STOPPED: STOPPED,
}
_BROKEN = (Flaw.NO_IMAGE, Flaw.BROKEN_RUNTIME)


def find(sim: Sim, name: str) -> Instance:
    """The machine with this id. Raises WireError (404)."""
    for instance in sim.store.instances():
        if instance.alias == name:
            return instance
    raise WireError(404, "Instance not found")


def named(sim: Sim, request: Request) -> Instance:
    """The machine that a path names."""
    return find(sim, str(request.path_params["instance"]))


def status_of(instance: Instance, slot: Slot, now: datetime) -> str:
    """TensorDock's word."""
    if not instance.granted:
        return DISASSOCIATED
    if slot.flaw in _BROKEN and instance.container in (Container.CREATED, Container.LOADING):
        return "error"
    return _WORDS[instance.said(slot, now)]


def short_row(sim: Sim, instance: Instance, status: str | None = None) -> Row:
    """As lists and answers to actions have it."""
    slot = sim.market.slot(instance.slot_id)
    told = status or status_of(instance, slot, sim.clock.now())
    return {"type": KIND, "id": instance.alias, "name": instance.label, "status": told}


def full_row(sim: Sim, instance: Instance) -> Row:
    """As one machine is shown. It has an address while it runs."""
    slot, size = sim.market.slot(instance.slot_id), size_of(instance)
    model = v0_name(slot.hardware)
    port = instance.port if status_of(instance, slot, sim.clock.now()) == "running" else None
    return short_row(sim, instance) | {
        "ipAddress": None if port is None else _ADDRESS,
        # Not the ordered port: on one computer it may be somebody else's.
        "portForwards": [] if port is None else [{"internal_port": 22, "external_port": port}],
        "resources": {
            "vcpu_count": size.vcpus,
            "ram_gb": size.ram,
            "storage_gb": size.storage,
            "gpus": {model: {"count": gpus_of(instance, slot), "v0Name": model}},
        },
        "rateHourly": money(instance.gpu_rate + instance.storage_rate),
    }


async def every(sim: Sim, _request: Request) -> list[Row]:
    """All visible machines. A new one may not be visible yet."""
    now = sim.clock.now()
    return [short_row(sim, instance) for instance in sim.store.instances() if instance.visible_at <= now]


async def show(sim: Sim, request: Request) -> Row:
    """One machine."""
    return full_row(sim, named(sim, request))


async def start(sim: Sim, request: Request) -> Row:
    """Start it where its GPUs are, if they are free. Nothing is queued."""
    instance = named(sim, request)
    await begin(sim, instance)
    return short_row(sim, instance, "starting")


async def stop(sim: Sim, request: Request) -> Row:
    """Shut it down. Its GPUs stay reserved, and are paid for."""
    instance = named(sim, request)
    if not is_up(instance):
        raise WireError(409, f"Instance is already {_state(sim, instance)}")
    sim.market.rest(instance.id)
    await sim.conductor.follow()
    return short_row(sim, instance, "stopping")


async def delete(sim: Sim, request: Request) -> Row:
    """End it; when this answers, nothing of it is left."""
    instance = named(sim, request)
    row = short_row(sim, instance, "deleting")
    sim.market.destroy(instance.id)
    await sim.conductor.follow()
    return row


async def begin(sim: Sim, instance: Instance) -> None:
    """Start a stopped machine. Raises WireError (409 or 400)."""
    if is_up(instance):
        raise WireError(409, "Instance is already running")
    try:
        sim.market.start(instance.id)
    except GpuTaken as taken:
        raise WireError(400, "Not enough GPUs are available on the hostnode to start this instance") from taken
    finally:
        await sim.conductor.follow()


def is_up(instance: Instance) -> bool:
    """Whether it runs, or is on its way there."""
    return instance.granted and instance.container not in (Container.STOPPED, Container.EXITED)


def money(amount: Decimal) -> float:
    """Dollars as the wire has them."""
    return float(round(amount, 6))


def _state(sim: Sim, instance: Instance) -> str:
    return status_of(instance, sim.market.slot(instance.slot_id), sim.clock.now()).lower()
