"""Changing what a machine wears and how it is scheduled, and reading what it says on its serial port."""

from collections.abc import Callable

from starlette.requests import Request

from holdfast.simcloud.gcp import fleet, operations, storage
from holdfast.simcloud.gcp.bodies import body, flag
from holdfast.simcloud.gcp.envelopes import Row, WireError, invalid, stale
from holdfast.simcloud.gcp.names import labels, whole
from holdfast.simcloud.gcp.operations import Call
from holdfast.simcloud.gcp.ordering import end_of, logins, metadata_items, read_scheduling, script
from holdfast.simcloud.gcp.records import Machine
from holdfast.simcloud.model import Instance
from holdfast.simcloud.sim import Sim

Change = Callable[[Instance, Machine], None]


async def set_labels(sim: Sim, request: Request, user: str) -> Row:
    """Other labels, for whoever knows the fingerprint of those that are there."""
    given = await body(request)

    def change(instance: Instance, machine: Machine) -> None:
        wanted = labels(given.get("labels"))
        if given.get("labelFingerprint") != fleet.label_fingerprint(instance, machine):
            raise stale("Labels")
        instance.label, machine.labels = fleet.split_labels(wanted)
        machine.label_version += 1

    return await _changed(sim, request, user, "setLabels", change)


async def set_metadata(sim: Sim, request: Request, user: str) -> Row:
    """Other metadata, for whoever knows the fingerprint of what is there. Keys count from the next login on."""
    given = await body(request)

    def change(instance: Instance, machine: Machine) -> None:
        items = metadata_items(given)
        if given.get("fingerprint") != fleet.metadata_fingerprint(instance, machine):
            raise stale("Metadata")
        machine.metadata, machine.metadata_version = items, machine.metadata_version + 1
        login, keys = logins(items)
        # The host has one login for as long as it is up.
        machine.login = machine.login if instance.granted and keys else login
        instance.keys = dict(enumerate(keys, start=1))
        instance.order.onstart = script(items, "startup-script")

    return await _changed(sim, request, user, "setMetadata", change)


async def set_scheduling(sim: Sim, request: Request, user: str) -> Row:
    """Another schedule; a running machine may be given another end only."""
    given = await body(request)

    def change(instance: Instance, machine: Machine) -> None:
        wanted = read_scheduling(machine.scheduling | given, gpu=machine.accelerator is not None)
        if instance.granted and wanted["provisioningModel"] != machine.scheduling["provisioningModel"]:
            words = "The provisioning model can be changed only while the instance is TERMINATED."
            raise WireError(400, "badRequest", words)
        machine.scheduling = wanted
        machine.ends_at = end_of(wanted, machine.started_at or sim.clock.now())

    return await _changed(sim, request, user, "setScheduling", change)


async def set_deletion_protection(sim: Sim, request: Request, user: str) -> Row:
    """Whether a delete is refused."""
    wanted = request.query_params.get("deletionProtection", "true")
    if wanted not in ("true", "false"):
        raise invalid("deletionProtection", f"'{wanted}'. Must be true or false")

    def change(_instance: Instance, machine: Machine) -> None:
        machine.deletion_protection = flag(wanted == "true", "deletionProtection")

    return await _changed(sim, request, user, "setDeletionProtection", change)


async def serial_port(sim: Sim, request: Request) -> Row:
    """What the start script printed, from a byte on; nothing of it is kept after a stop."""
    instance = fleet.named(sim, request)
    whole(request.query_params.get("port", "1"), "port", most=4)
    start = whole(request.query_params.get("start", "0"), "start", least=0, most=2**53)
    if not instance.granted:
        path = fleet.path_of(fleet.machine_of(instance).zone, instance.alias)
        raise WireError(400, "resourceNotReady", f"The resource '{path}' is not ready")
    log = storage.home_of(sim, instance.id) / "onstart.log"
    text = log.read_bytes() if log.exists() else b""
    return {
        "kind": "compute#serialPortOutput",
        "contents": text[start:].decode("utf-8", "replace"),
        "start": str(start),
        "next": str(max(start, len(text))),
    }


async def _changed(sim: Sim, request: Request, user: str, kind: str, change: Change) -> Row:
    call = Call(request, user)
    with sim.store.transaction():
        if (before := call.before(sim)) is not None:
            return operations.row(sim, before)
        instance = fleet.named(sim, request)
        machine = fleet.machine_of(instance)
        change(instance, machine)
        fleet.keep(sim, instance, machine)
        operation = operations.on(sim, kind, instance, call)
    await sim.conductor.follow()
    return operations.row(sim, operation)
