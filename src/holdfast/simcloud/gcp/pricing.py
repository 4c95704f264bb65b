"""What machines and disks cost: prices of parts, which Google's catalog has, add up to that of a machine.

The profile names the price of whole machines; the part that is left for the GPU, or for the vCPU of a machine without
one, follows from it. It is a region's price: that of the first slot there with this GPU. A change of that slot's price
changes them all.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from holdfast.simcloud.gcp.kinds import MachineType, type_of
from holdfast.simcloud.gcp.names import region_of
from holdfast.simcloud.market import MONTH_HOURS
from holdfast.simcloud.model import Slot
from holdfast.simcloud.sim import Rules

_NANO = Decimal("0.000000001")
_MB_PER_GB = 1024


@dataclass(frozen=True)
class Parts:
    """USD per hour: for a vCPU, a GB of memory, a GPU."""

    core: Decimal
    memory: Decimal
    gpu: Decimal = Decimal(0)

    def of_machine(self, kind: MachineType, gpus: int) -> Decimal:
        """The price of a machine of a type."""
        return self.core * kind.vcpus + self.memory * kind.memory / _MB_PER_GB + self.gpu * gpus


_ON_DEMAND: Final = {
    "g2": (Decimal("0.024988"), Decimal("0.002927")),
    "a2": (Decimal("0.031611"), Decimal("0.004237")),
    "a3": (Decimal("0.029273"), Decimal("0.002552")),
    "n1": (Decimal("0.031611"), Decimal("0.004237")),
    "e2": (Decimal("0.021811"), Decimal("0.002923")),
}
_SPOT_SHARE: Final = Decimal("0.4")  # of the price on demand

DISK_TYPES: Final = {
    "pd-standard": Decimal("0.04"),
    "pd-balanced": Decimal("0.10"),
    "pd-ssd": Decimal("0.17"),
}
"""USD per GB and month of 30 days."""
SNAPSHOT: Final = Decimal("0.05")
"""USD per GB and month of 30 days."""


def parts(rules: Rules, slot: Slot, *, spot: bool) -> Parts:
    """The prices of the parts of such a machine in its region."""
    first = next(one for one in rules.store.slots.all() if _same_part(one, slot))
    core, memory = _ON_DEMAND[type_of(slot).family]
    if spot:
        core, memory = core * _SPOT_SHARE, memory * _SPOT_SHARE
    of_first, price = type_of(first), first.min_bid if spot else first.price
    rest = price - (Parts(core, memory).of_machine(of_first, 0))
    if first.hardware.gpus:
        return Parts(core, memory, _nano(rest / first.hardware.gpus))
    return Parts(_nano(core + rest / of_first.vcpus), memory)


def hourly(rules: Rules, slot: Slot, *, spot: bool) -> Decimal:
    """USD per hour for a machine without its disks."""
    return parts(rules, slot, spot=spot).of_machine(type_of(slot), slot.hardware.gpus)


def disk_hourly(kind: str, size: int) -> Decimal:
    """USD per hour for a disk of so many GB."""
    return DISK_TYPES[kind] * size / MONTH_HOURS


def snapshot_hourly(stored: int) -> Decimal:
    """USD per hour for a snapshot of so many bytes."""
    return SNAPSHOT * stored / 2**30 / MONTH_HOURS


def _same_part(one: Slot, slot: Slot) -> bool:
    if region_of(one.hardware.region) != region_of(slot.hardware.region):
        return False
    same_family = type_of(one).family == type_of(slot).family
    return same_family and (one.hardware.gpu, bool(one.hardware.gpus)) == (slot.hardware.gpu, bool(slot.hardware.gpus))


def _nano(price: Decimal) -> Decimal:
    return max(Decimal(0), price).quantize(_NANO)
