"""Host nodes and places: what can be deployed where, at what price.

A node is a machine of the profile. Its slots are the largest single machines that it can hold: a deploy takes the
smallest free one that is large enough, for as long as it holds the GPUs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from holdfast.simcloud import contention
from holdfast.simcloud.model import Instance, Slot
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.tensordock.envelopes import Row
from holdfast.simcloud.tensordock.names import display_name, location_id, node_id, place, v0_name

PER_VCPU = Decimal("0.003")
PER_GB_RAM = Decimal("0.002")
PER_GB_STORAGE = Decimal("0.00005")
_PORTS = range(20000, 20040)
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a machine is made of, beside its GPUs."""

    vcpus: int
    ram: int  # GB
    storage: int  # GB


@dataclass
class Node:
    """One host node with everybody on it."""

    slots: list[Slot]
    tenants: list[Instance] = field(default_factory=list)

    @property
    def id(self) -> str:
        """As deploys name it."""
        return node_id(self.slots[0].machine_id)

    @property
    def region(self) -> str:
        """As the profile writes it."""
        return self.slots[0].hardware.region

    def free(self, model: str) -> list[Slot]:
        """The slots that a new machine could take, the smallest first."""
        found = [slot for slot in self.slots if v0_name(slot.hardware) == model and self._is_free(slot)]
        return sorted(found, key=lambda slot: (slot.hardware.gpus, slot.id))

    def models(self) -> list[str]:
        """The GPUs that the node has, taken or free."""
        return list(dict.fromkeys(v0_name(slot.hardware) for slot in self.slots if not slot.withdrawn))

    def price(self, model: str) -> Decimal:
        """USD per hour for one GPU of a model."""
        slot = next(slot for slot in self.slots if v0_name(slot.hardware) == model)
        return (slot.price / slot.hardware.gpus).quantize(_CENT_OF_A_CENT)

    def ports(self) -> list[int]:
        """The external ports that nobody has."""
        taken = {int(port["external_port"]) for one in self.tenants for port in one.notes["port_forwards"]}
        return [port for port in _PORTS if port not in taken]

    def left(self) -> Size:
        """What is left of everything but GPUs. A stopped machine without GPUs has its disk only."""
        machine, sizes = self.slots[0].hardware, [(size_of(one), one.granted) for one in self.tenants]
        return Size(
            vcpus=machine.cpu_cores - sum(size.vcpus for size, granted in sizes if granted),
            ram=machine.ram // 1000 - sum(size.ram for size, granted in sizes if granted),
            storage=int(machine.disk) - sum(size.storage for size, _ in sizes),
        )

    def _is_free(self, slot: Slot) -> bool:
        tenants = [one for one in self.tenants if one.slot_id == slot.id]
        return not slot.withdrawn and not slot.offline and not contention.is_held(slot, tenants)


def nodes(sim: Sim) -> list[Node]:
    """Every host node, in the order of the profile."""
    found: dict[int, Node] = {}
    for slot in sim.store.slots.all():
        found.setdefault(slot.machine_id, Node([])).slots.append(slot)
    for tenant in sim.store.instances():
        found[tenant.machine_id].tenants.append(tenant)
    return list(found.values())


def size_of(instance: Instance) -> Size:
    """As it was deployed."""
    return Size(**instance.notes["size"])


def rates(node: Node, model: str, gpus: int, size: Size) -> tuple[Decimal, Decimal]:
    """USD per hour: for everything that stops with the GPUs, and for the disk."""
    compute = node.price(model) * gpus + PER_VCPU * size.vcpus + PER_GB_RAM * size.ram
    return compute, PER_GB_STORAGE * size.storage


def node_row(node: Node) -> Row:
    """One host node. A GPU that is sold out is listed with none available."""
    left, machine = node.left(), node.slots[0].hardware
    return {
        "id": node.id,
        "location_id": location_id(node.region),
        "engine": "kvm",
        "uptime_percentage": round(100 * machine.reliability, 2),
        "available_resources": {
            "gpus": [_gpu_row(node, model) for model in node.models()],
            "vcpu_count": left.vcpus,
            "ram_gb": left.ram,
            "storage_gb": left.storage,
            "max_vcpus": left.vcpus,
            "max_ram_gb": left.ram,
            "max_storage_gb": left.storage,
            "max_vcpus_per_gpu": left.vcpus,
            "max_ram_per_gpu": left.ram,
            "available_ports": node.ports(),
            "has_public_ip_available": False,
        },
        "pricing": _pricing(),
        "location": _place_row(node),
    }


def location_rows(found: Iterable[Node]) -> Iterator[Row]:
    """One row for each place, with the GPUs that can be deployed there."""
    places: dict[str, list[Node]] = {}
    for node in found:
        places.setdefault(node.region, []).append(node)
    for region, there in places.items():
        models = {model: [node for node in there if node.free(model)] for node in there for model in node.models()}
        gpus = [_deployable(model, having) for model, having in models.items() if having]
        yield {"id": location_id(region), "tier": 3, "gpus": gpus} | place(region)


def _gpu_row(node: Node, model: str) -> Row:
    # The largest machine that can be had, not the sum: what is told can be deployed.
    largest = max((slot.hardware.gpus for slot in node.free(model)), default=0)
    return {"v0Name": model, "availableCount": largest, "price_per_hr": float(node.price(model))}


def _deployable(model: str, having: list[Node]) -> Row:
    cheapest = min(having, key=lambda node: node.price(model))
    left, slot = cheapest.left(), cheapest.free(model)[-1]
    return {
        "v0Name": model,
        "displayName": display_name(slot.hardware),
        "max_count": slot.hardware.gpus,
        "price_per_hr": float(cheapest.price(model)),
        "resources": {"max_vcpus": left.vcpus, "max_ram_gb": left.ram, "max_storage_gb": left.storage},
        "pricing": _pricing(),
        "network_features": {
            "dedicated_ip_available": False,
            "port_forwarding_available": True,
            "network_storage_available": False,
        },
    }


def _place_row(node: Node) -> Row:
    machine = node.slots[0].hardware
    return place(node.region) | {
        "uuid": location_id(node.region),
        "has_network_storage": False,
        "network_speed_gbps": round(machine.download / 1000, 3),
        "network_speed_upload_gbps": round(machine.upload / 1000, 3),
        "organization": node_id(node.slots[0].host_id),
        "organizationName": f"Host {node.slots[0].host_id}",
        "tier": 3,
    }


def _pricing() -> Row:
    return {
        "per_vcpu_hr": float(PER_VCPU),
        "per_gb_ram_hr": float(PER_GB_RAM),
        "per_gb_storage_hr": float(PER_GB_STORAGE),
    }
