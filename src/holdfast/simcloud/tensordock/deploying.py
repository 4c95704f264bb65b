"""Deploying a machine: what an order must say, and what becomes of it. Not idempotent: every accepted call is one more.

The login lets in the order's key and no other. `runcmd` of `cloud_init` runs at the machine's first start; its other
parts are accepted and have no effect.
"""

import shlex
import uuid
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.errors import DiskTooLarge, NoCredit, OfferGone
from holdfast.simcloud.model import Instance, Order
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.tensordock import secrets
from holdfast.simcloud.tensordock.bodies import attributes, text, whole
from holdfast.simcloud.tensordock.envelopes import Row, WireError, unavailable
from holdfast.simcloud.tensordock.instances import KIND, short_row
from holdfast.simcloud.tensordock.names import location_id
from holdfast.simcloud.tensordock.nodes import Node, Size, nodes, rates

IMAGES = (
    "ubuntu2204",
    "ubuntu2404",
    "ubuntu2404_ml_everything",
    "ubuntu2404_ml_pytorch",
    "ubuntu2404_ml_tensorflow",
    "windows10",
)
LEAST_STORAGE = 100
LEAST_BALANCE = Decimal(1)
_RAM = (2, 4, 6, 8, 10, 16, 32, 48, 64)
_RAM_STEP = 32  # beyond the list
_SCRIPT = 16_384
_KEY = 1  # the number of the only key of a machine


async def deploy(sim: Sim, request: Request) -> Row:
    """Carry an order out. Raises WireError."""
    wanted = await attributes(request, KIND)
    name, image = text(wanted.get("name"), "name"), wanted.get("image")
    if image not in IMAGES:
        raise WireError(400, f"image must be one of {', '.join(IMAGES)}")
    size, model, gpus = _resources(wanted.get("resources"))
    key, script = _key(sim, wanted), _script(wanted.get("cloud_init"))
    node = _node(sim, wanted, model, gpus)
    forwards = _forwards(wanted.get("port_forwards"), node)
    if sim.market.credit() < LEAST_BALANCE:
        raise WireError(400, f"You need at least ${LEAST_BALANCE} in your account to deploy", as_ok=True)
    compute, storage = rates(node, model, gpus, size)
    order = Order(
        image=str(image),
        disk=Decimal(size.storage),
        label=name,
        onstart=script,
        gpus=gpus,
        gpu_rate=compute,
        storage_rate=storage,
        reserved=True,
    )
    notes = {"size": asdict(size), "model": model, "port_forwards": forwards}
    return short_row(sim, _made(sim, node, order, key, notes), "queued")


def repeat_last(sim: Sim) -> None:
    """Carry the last order out once more, where there is room: nobody is told of the second machine."""
    last = sim.store.instances()[-1]
    for node in nodes(sim):
        if _has_room(node, last.notes["model"], last.order.gpus or 1):
            _made(sim, node, last.order, last.keys[_KEY], last.notes)
            return


def _made(sim: Sim, node: Node, order: Order, key: str, notes: Row) -> Instance:
    slot = next((slot for slot in node.free(notes["model"]) if slot.hardware.gpus >= (order.gpus or 1)), None)
    left = node.left()
    size = Size(**notes["size"])
    if slot is None or size.vcpus > left.vcpus or size.ram > left.ram or size.storage > left.storage:
        raise unavailable()
    try:
        with sim.store.transaction():
            instance = sim.market.rent(slot.ask_id, order)
            instance.alias, instance.keys, instance.notes = str(uuid.uuid4()), {_KEY: key}, notes
            sim.market.change(instance)
    except (OfferGone, DiskTooLarge, NoCredit) as refused:
        raise unavailable() from refused
    sim.conductor.wake()
    return instance


def _resources(given: Any) -> tuple[Size, str, int]:
    if not isinstance(given, dict):
        raise WireError(400, "resources is required")
    vcpus = whole(given.get("vcpu_count"), "vcpu_count", least=2)
    ram = whole(given.get("ram_gb"), "ram_gb", least=2)
    storage = whole(given.get("storage_gb"), "storage_gb", least=LEAST_STORAGE)
    if vcpus % 2:
        raise WireError(400, "vcpu_count must be even")
    if ram not in _RAM and (ram < _RAM[-1] or ram % _RAM_STEP):
        raise WireError(400, f"ram_gb must be one of {', '.join(map(str, _RAM))}, or a multiple of {_RAM_STEP}")
    gpus = given.get("gpus")
    if not isinstance(gpus, dict) or not gpus:
        raise unavailable()  # the profile has no machines without GPUs
    if len(gpus) > 1:
        raise WireError(400, "gpus must name one model")
    ((model, wanted),) = gpus.items()
    count = whole(wanted.get("count") if isinstance(wanted, dict) else None, "count", most=64)
    return Size(vcpus=vcpus, ram=ram, storage=storage), model, count


def _node(sim: Sim, wanted: Row, model: str, gpus: int) -> Node:
    node, location = wanted.get("hostnode_id"), wanted.get("location_id")
    if (node is None) == (location is None):
        raise WireError(400, "Exactly one of location_id and hostnode_id is required")
    matches: Callable[[Node], bool] = (
        (lambda each: each.id == node)
        if location is None
        else (lambda each: location_id(each.region) == location and _has_room(each, model, gpus))
    )
    found = next(filter(matches, nodes(sim)), None)
    if found is None and location is None:
        raise WireError(404, "Hostnode not found")
    if found is None or not _has_room(found, model, gpus):
        raise unavailable()
    return found


def _has_room(node: Node, model: str, gpus: int) -> bool:
    return any(slot.hardware.gpus >= gpus for slot in node.free(model))


def _key(sim: Sim, wanted: Row) -> str:
    key, number = wanted.get("ssh_key"), wanted.get("ssh_key_id")
    if (key is None) == (number is None):
        raise WireError(400, "Exactly one of ssh_key and ssh_key_id is required")
    found = text(key, "ssh_key", longest=_SCRIPT) if number is None else secrets.ssh_key(sim, number)
    if not found.startswith(("ssh-", "ecdsa-", "sk-")) or len(found.split()) < 2 or "\n" in found.strip():
        raise WireError(400, "ssh_key is not a public key")
    return found.strip()


def _forwards(given: Any, node: Node) -> list[dict[str, int]]:
    free, found = node.ports(), []
    if given is not None and not isinstance(given, list):
        raise WireError(400, "port_forwards must be a list")
    for forward in given or []:
        if not isinstance(forward, dict):
            raise WireError(400, "port_forwards must be a list of objects")
        inner = whole(forward.get("internal_port"), "internal_port", most=65_535)
        outer = whole(forward.get("external_port"), "external_port", most=65_535)
        if outer not in free:
            raise WireError(400, f"External port {outer} is not available on this hostnode")
        free.remove(outer)
        found.append({"internal_port": inner, "external_port": outer})
    return found


def _script(cloud_init: Any) -> str | None:
    commands = cloud_init.get("runcmd") if isinstance(cloud_init, dict) else None
    if not commands:
        return None
    if not isinstance(commands, list):
        raise WireError(400, "cloud_init.runcmd must be a list")
    lines = [shlex.join(map(str, each)) if isinstance(each, list) else str(each) for each in commands]
    once = ["test -e ~/.cloud-init-ran && exit 0", "touch ~/.cloud-init-ran"]
    return text("\n".join([*once, *lines]), "cloud_init.runcmd", longest=_SCRIPT)
