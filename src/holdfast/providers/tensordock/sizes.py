"""What a machine is made of, and what it costs: TensorDock rents vCPUs, memory and disk apart from GPUs."""

import math
from dataclasses import dataclass
from decimal import Decimal

from holdfast.contracts.machines import LaunchOrder, Requirements
from holdfast.providers.tensordock.wire import Available, GpusOfNode, HostnodeRow

LEAST_DISK = 100
# Enough to feed a GPU; a workload that asks for more gets more.
_VCPUS_PER_GPU, _MEMORY_PER_GPU = 4, 16
# The amounts of memory that clients have seen accepted; beyond them, whole steps.
_MEMORY = (2, 4, 6, 8, 10, 16, 32, 48, 64)
_MEMORY_STEP = 32
_PRICE_STEP = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is ordered."""

    gpus: int
    vcpus: int
    memory_gb: int
    disk_gb: int


def size_for(needs: Requirements) -> Size:
    """The smallest machine that meets the needs."""
    return Size(
        gpus=needs.gpu_count,
        vcpus=_even(max(needs.cpu_cores, _VCPUS_PER_GPU * needs.gpu_count)),
        memory_gb=_memory(max(needs.memory_gb, _MEMORY_PER_GPU * needs.gpu_count)),
        disk_gb=max(needs.disk_gb, LEAST_DISK),
    )


def size_of(order: LaunchOrder) -> Size:
    """The machine that was offered, with the disk that is ordered."""
    offer = order.offer
    return Size(
        gpus=offer.gpu_count,
        vcpus=int(offer.cpu_cores),
        memory_gb=int(offer.memory_gb),
        disk_gb=max(order.disk_gb, LEAST_DISK),
    )


def shortage(size: Size, gpus: GpusOfNode, left: Available) -> str:
    """What a node lacks for a machine, "" when it lacks nothing. A limit that it does not tell is none."""
    limits: tuple[tuple[str, float, float | None], ...] = (
        ("GPUs", size.gpus, gpus.available_count),
        ("vCPUs", size.vcpus, left.vcpu_count),
        ("vCPUs", size.vcpus, left.max_vcpus),
        ("vCPUs", size.vcpus, _times(left.max_vcpus_per_gpu, size.gpus)),
        ("GB of memory", size.memory_gb, left.ram_gb),
        ("GB of memory", size.memory_gb, left.max_ram_gb),
        ("GB of memory", size.memory_gb, _times(left.max_ram_per_gpu, size.gpus)),
        ("GB of disk", size.disk_gb, left.storage_gb),
        ("GB of disk", size.disk_gb, left.max_storage_gb),
        ("free ports", 1, None if left.available_ports is None else len(left.available_ports)),
    )
    return next(
        (f"{has:g} {what} are left, {wanted:g} are needed" for what, wanted, has in limits if _lacks(has, wanted)), ""
    )


def price_of(size: Size, gpus: GpusOfNode, node: HostnodeRow) -> tuple[Decimal, Decimal]:
    """USD per hour: for the whole machine, and of that for its disk."""
    each = node.pricing
    disk = each.per_gb_storage_hr * size.disk_gb
    compute = gpus.price_per_hr * size.gpus + each.per_vcpu_hr * size.vcpus + each.per_gb_ram_hr * size.memory_gb
    return _rounded(compute + disk), _rounded(disk)


def _even(number: float) -> int:
    return 2 * math.ceil(number / 2)


def _memory(gb: float) -> int:
    listed = next((amount for amount in _MEMORY if amount >= gb), None)
    return listed or _MEMORY_STEP * math.ceil(gb / _MEMORY_STEP)


def _times(limit: float | None, count: int) -> float | None:
    return None if limit is None else limit * count


def _lacks(has: float | None, wanted: float) -> bool:
    return has is not None and has < wanted


def _rounded(usd: Decimal) -> Decimal:
    return Decimal(f"{usd.quantize(_PRICE_STEP).normalize():f}")
