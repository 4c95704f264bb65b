"""The project's machines: finding them, telling of them, and the room that a zone has for more."""

import hashlib
import secrets
from typing import Any

from starlette.requests import Request

from holdfast.embedded import GOOGLE_SSH_PORT
from holdfast.simcloud import contention
from holdfast.simcloud.gcp import operations
from holdfast.simcloud.gcp.disks import attached, attached_row
from holdfast.simcloud.gcp.envelopes import Row, no_answer, not_found
from holdfast.simcloud.gcp.kinds import accelerator_of
from holdfast.simcloud.gcp.names import PROJECT, last, link, path, time, wire_id
from holdfast.simcloud.gcp.records import Machine
from holdfast.simcloud.model import Container, Instance, Slot
from holdfast.simcloud.sim import Rules, Sim

OURS, UNREACHABLE = "holdfast", "unreachable"
SSH_PORT = GOOGLE_SSH_PORT  # a system keeps 22 for its administrator


def zones(rules: Rules) -> list[str]:
    """The zones that the profile has."""
    return sorted({slot.hardware.region for slot in rules.store.slots.all()})


def unreachable(rules: Rules) -> set[str]:
    """The zones that do not answer."""
    return set(rules.store.account().notes.get(UNREACHABLE, []))


def a_zone(rules: Rules, request: Request) -> str:
    """The zone that a path names. Raises WireError (404, or 503 where it does not answer)."""
    zone = str(request.path_params["zone"])
    if zone not in zones(rules):
        raise not_found(path("zones", zone))
    if zone in unreachable(rules):
        raise no_answer(zone)
    return zone


def room(rules: Rules, zone: str, machine: Machine) -> Slot | None:
    """A slot in a zone that such a machine could have now."""
    tenants: dict[int, list[Instance]] = {}
    for instance in rules.store.instances():
        tenants.setdefault(instance.slot_id, []).append(instance)
    for slot in rules.store.slots.all():
        free = not slot.withdrawn and not slot.offline and not contention.is_held(slot, tenants.get(slot.id, []))
        if free and slot.hardware.region == zone and fits(slot, machine):
            return slot
    return None


def fits(slot: Slot, machine: Machine) -> bool:
    """Whether such a machine could stand in a slot, were it free."""
    same = (slot.kind, accelerator_of(slot)) == (machine.machine_type, machine.accelerator)
    return same and slot.hardware.gpus == machine.accelerators


def find(rules: Rules, zone: str, name: str) -> Instance | None:
    """A machine by its name."""
    for instance in rules.store.instances():
        if instance.alias == name and machine_of(instance).zone == zone:
            return instance
    return None


def named(rules: Rules, request: Request) -> Instance:
    """The machine that a path names. Raises WireError (404)."""
    zone, name = a_zone(rules, request), str(request.path_params["instance"])
    found = find(rules, zone, name)
    if found is None:
        raise not_found(path_of(zone, name))
    return found


def machine_of(instance: Instance) -> Machine:
    """What Compute Engine keeps of an instance."""
    return Machine.model_validate(instance.notes)


def keep(rules: Rules, instance: Instance, machine: Machine) -> None:
    """Store what has changed of it."""
    instance.notes = machine.model_dump(mode="json")
    rules.market.change(instance)


def path_of(zone: str, name: str) -> str:
    """Where a machine is found."""
    return path("zones", zone, "instances", name)


def status_of(rules: Rules, instance: Instance) -> str:
    """Google's word. It has none for a machine that nobody can reach: that one runs."""
    machine = machine_of(instance)
    going = machine.soft_off_at is not None and machine.soft_off_at <= rules.clock.now()
    if machine.down_at is not None and going:
        return "SUSPENDING" if machine.suspended else "STOPPING"
    if not instance.granted:
        return "SUSPENDED" if machine.suspended else "TERMINATED"
    if operations.is_up(instance):
        return "RUNNING"
    said = instance.said(rules.market.slot(instance.slot_id), rules.clock.now())
    if said in (Container.ABSENT, Container.CREATED):
        return "PROVISIONING"
    return {Container.LOADING: "STAGING", Container.EXITED: "TERMINATED", Container.STOPPED: "TERMINATED"}.get(
        said, "RUNNING"
    )


def fresh_address() -> str:
    """Any address of this computer's own: on one computer a machine is known by it, as elsewhere by a public one."""
    return f"127.{64 + secrets.randbelow(128)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


def fingerprint(*parts: object) -> str:
    """Changes with what it is made of."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:11] + "="


def labels_of(instance: Instance, machine: Machine) -> dict[str, str]:
    """All labels. Ours is kept where the control API finds it, with the dots that a label of Google's cannot have."""
    ours = {} if instance.label is None else {OURS: instance.label.replace(".", "_")}
    return machine.labels | ours


def split_labels(labels: dict[str, str]) -> tuple[str | None, dict[str, str]]:
    """Ours, and the others."""
    ours = labels.get(OURS)
    others = {name: value for name, value in labels.items() if name != OURS}
    return None if ours is None else ours.replace("_", "."), others


def label_fingerprint(instance: Instance, machine: Machine) -> str:
    """Of all labels."""
    return fingerprint(instance.id, machine.label_version, sorted(labels_of(instance, machine).items()))


def metadata_fingerprint(instance: Instance, machine: Machine) -> str:
    """Of the metadata."""
    return fingerprint(instance.id, machine.metadata_version, "metadata")


def row(sim: Sim, instance: Instance) -> Row:
    """A machine as it is told. What is empty or at its default is left out."""
    machine, name = machine_of(instance), instance.alias
    zone, status = machine.zone, status_of(sim, instance)
    found: Row = {
        "kind": "compute#instance",
        "id": wire_id(instance.id),
        "name": name,
        "status": status,
        "zone": link(path("zones", zone)),
        "machineType": link(path("zones", zone, "machineTypes", machine.machine_type)),
        "creationTimestamp": time(instance.created_at),
        "scheduling": machine.scheduling,
        "disks": [attached_row(disk, index) for index, disk in enumerate(attached(sim, instance.id))],
        "networkInterfaces": [_interface(instance, machine, up=status in ("STAGING", "RUNNING", "STOPPING"))],
        "labelFingerprint": label_fingerprint(instance, machine),
        "metadata": {"kind": "compute#metadata", "fingerprint": metadata_fingerprint(instance, machine)},
        "tags": {"fingerprint": fingerprint(machine.tags)},
        "cpuPlatform": "Intel Sapphire Rapids" if machine.machine_type.startswith("a3") else "Intel Cascade Lake",
        "fingerprint": fingerprint(instance.id, status),
        "selfLink": link(path_of(zone, name)),
    }
    if machine.metadata:
        found["metadata"]["items"] = machine.metadata
    if machine.tags:
        found["tags"]["items"] = machine.tags
    return found | {name: value for name, value in _optional(sim, instance, machine).items() if value}


def _optional(sim: Sim, instance: Instance, machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = {
        "labels": labels_of(instance, machine),
        "lastStartTimestamp": None if machine.started_at is None else time(machine.started_at),
        "lastStopTimestamp": None if machine.stopped_at is None else time(machine.stopped_at),
        "deletionProtection": machine.deletion_protection,
        "serviceAccounts": machine.service_accounts,
    }
    if machine.accelerator is not None:
        kind = link(path("zones", machine.zone, "acceleratorTypes", machine.accelerator))
        found["guestAccelerators"] = [{"acceleratorType": kind, "acceleratorCount": machine.accelerators}]
    if machine.ends_at is not None and instance.granted:
        found["resourceStatus"] = {"scheduling": {"terminationTimestamp": time(machine.ends_at)}}
    return found


def _interface(instance: Instance, machine: Machine, *, up: bool) -> Row:
    access: Row = {"kind": "compute#accessConfig", "type": "ONE_TO_ONE_NAT", "name": "External NAT"}
    access["networkTier"] = "PREMIUM"
    if up and instance.granted:
        access["natIP"] = instance.address
    network = last(machine.network.get("network")) or "default"
    found: Row = {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": link(f"projects/{PROJECT}/global/networks/{network}"),
        "networkIP": f"10.128.{instance.id // 250 % 16}.{instance.id % 250 + 2}",
        "stackType": "IPV4_ONLY",
    }
    if machine.network.get("accessConfigs"):
        found["accessConfigs"] = [access]
    return found
