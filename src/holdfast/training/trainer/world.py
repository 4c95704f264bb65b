"""The processes that train together: one for each GPU, as torchrun starts them, or a single one."""

import ctypes
import os
import random
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from .failures import MACHINE_UNFIT, TrainerFailure

_PATIENCE = timedelta(hours=1)  # a step of one process may wait for another's samples, or for a slow disk


@dataclass(frozen=True)
class World:
    """Which of how many this process is, and where it computes."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks for all."""
        return self.rank == 0

    @property
    def many(self) -> bool:
        return self.size > 1

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes."""
        if not self.many:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(together)
        return [float(each) for each in together.tolist()]

    def from_all(self, value: Any) -> list[Any]:
        """One value of each process, at the leader; empty elsewhere."""
        if not self.many:
            return [value]
        gathered: list[Any] | None = [None] * self.size if self.leads else None
        dist.gather_object(value, gathered)
        return gathered or []

    def wait(self) -> None:
        """Until all are here."""
        if self.many:
            dist.barrier()

    def autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Computes in 16 bits where that is asked for; what is learned stays in 32."""
        if precision != "bf16":
            return nullcontext()
        context: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=torch.bfloat16)
        return context


def join(precision: str, threads: int) -> World:
    """Join the other processes, and make this one compute the same way each time.

    Raises:
        TrainerFailure: the GPU cannot compute in the precision that is asked for.
    """
    rank, size, local = (int(os.environ.get(name, default)) for name, default in _TOLD)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before the first kernel: else its sums may differ
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)  # with another number of them sums are added in another order
    if torch.cuda.is_available():
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
        if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            name = torch.cuda.get_device_name(device)
            raise TrainerFailure(MACHINE_UNFIT, f"a {name} has no bf16; ask for a newer GPU, or for precision: fp32")
    else:
        device = torch.device("cpu")
    if size > 1:
        _end_with_parent()
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    return World(rank, size, device)


def _end_with_parent() -> None:
    """torchrun gives each process a session of its own: one that outlived it would train on beside its successor."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_PR_SET_PDEATHSIG = 1
_TOLD = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


def leave(world: World) -> None:
    if world.many:
        dist.destroy_process_group()


def begin_chance(seed: int) -> None:
    """Every generator of random numbers from one seed, the same in all processes: their adapters begin equal."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # the libraries use this generator
    torch.manual_seed(seed)


def chance_of(world: World) -> dict[str, Any]:
    """The state of every generator of this process, in plain values and tensors."""
    kind, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, following = random.getstate()
    return {
        "python": [version, list(internal), following],
        "numpy": [kind, [int(each) for each in keys], int(place), int(has_gauss), float(gauss)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(world.device) if world.device.type == "cuda" else None,
    }


def set_chance(world: World, state: dict[str, Any]) -> None:
    """Every generator as it was."""
    version, internal, following = state["python"]
    random.setstate((version, tuple(internal), following))
    kind, keys, place, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), place, has_gauss, gauss))
    torch.set_rng_state(state["torch"])
    if world.device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], world.device)


def place(world: World) -> dict[str, Any]:
    """What the result may depend on beside the order: software and hardware."""
    import peft  # noqa: PLC0415 (slow, and not needed to join)
    import transformers  # noqa: PLC0415 (as above)

    cuda = world.device.type == "cuda"
    return {
        "torch": torch.__version__.split("+")[0],
        "cuda": torch.version.cuda if cuda else None,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "device": torch.cuda.get_device_name(world.device) if cuda else "cpu",
        "processes": world.size,
        "threads": torch.get_num_threads(),
    }
