"""Google's machine types and accelerator types, those of them that a profile may put into a zone."""

from dataclasses import dataclass
from typing import Final

from holdfast.simcloud.model import Slot


@dataclass(frozen=True)
class MachineType:
    """What a machine of a type is made of. N1 machines bring no GPU: it is ordered beside them."""

    name: str
    vcpus: int
    memory: int  # MB
    accelerator: str | None = None
    accelerators: int = 0

    @property
    def family(self) -> str:
        """Such as `g2`."""
        return self.name.split("-")[0]


MACHINE_TYPES: Final = {
    each.name: each
    for each in (
        MachineType("g2-standard-4", 4, 16_384, "nvidia-l4", 1),
        MachineType("g2-standard-8", 8, 32_768, "nvidia-l4", 1),
        MachineType("g2-standard-12", 12, 49_152, "nvidia-l4", 1),
        MachineType("a2-highgpu-1g", 12, 87_040, "nvidia-tesla-a100", 1),
        MachineType("a2-ultragpu-1g", 12, 174_080, "nvidia-a100-80gb", 1),
        MachineType("a3-highgpu-1g", 26, 239_616, "nvidia-h100-80gb", 1),
        MachineType("a3-highgpu-8g", 208, 1_916_928, "nvidia-h100-80gb", 8),
        MachineType("n1-standard-4", 4, 15_360),
        MachineType("n1-standard-8", 8, 30_720),
        MachineType("e2-standard-2", 2, 8_192),
    )
}

ACCELERATORS: Final = {
    "nvidia-l4": ("NVIDIA L4", 8),
    "nvidia-tesla-t4": ("NVIDIA T4", 4),
    "nvidia-tesla-a100": ("NVIDIA A100 40GB", 16),
    "nvidia-a100-80gb": ("NVIDIA A100 80GB", 8),
    "nvidia-h100-80gb": ("NVIDIA H100 80GB", 8),
}
"""By name: how it is described, and how many one machine may have."""

_OF_GPU: Final = {
    "L4": "nvidia-l4",
    "T4": "nvidia-tesla-t4",
    "A100 SXM4 40GB": "nvidia-tesla-a100",
    "A100 SXM4": "nvidia-a100-80gb",
    "H100 SXM": "nvidia-h100-80gb",
}

METRICS: Final = {
    "nvidia-l4": "NVIDIA_L4_GPUS",
    "nvidia-tesla-t4": "NVIDIA_T4_GPUS",
    "nvidia-tesla-a100": "NVIDIA_A100_GPUS",
    "nvidia-a100-80gb": "NVIDIA_A100_80GB_GPUS",
}
"""The regional quota of a GPU. Newer ones have none there."""


def accelerator_of(slot: Slot) -> str | None:
    """Google's name for the GPU of a slot; None for a machine without one."""
    return _OF_GPU[slot.hardware.gpu] if slot.hardware.gpus else None


def type_of(slot: Slot) -> MachineType:
    """The machine type that stands in a slot."""
    return MACHINE_TYPES[slot.kind]
