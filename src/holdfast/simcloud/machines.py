"""What a rented machine is made of: its folder, its environment, its nvidia-smi."""

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from holdfast.simcloud.config import INSTANCES, SimConfig
from holdfast.simcloud.hosts.copying import copy_disk
from holdfast.simcloud.hosts.folder import Facts, HostFolder, HostSpec, Link
from holdfast.simcloud.hosts.processes import MARK, end_tree
from holdfast.simcloud.model import Flaw, Instance, Slot

Inside = Callable[[Instance, Slot], dict[str, str]]
"""The variables that a provider sets inside its machines."""

Tell = Callable[[Instance, Slot], Facts]
"""What a provider tells its machines while they run."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LIE = ("NVIDIA GeForce GTX 1080", 8192)  # what a machine with the wrong GPU turns out to have


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Makes and unmakes machine folders."""

    config: SimConfig
    provider: str
    api_url: str
    inside: Inside
    tell: Tell | None = None
    ssh_port: int = 0  # where their SSH servers listen, each on its own address; 0: any free port

    @property
    def place(self) -> Path:
        """Where the folders are."""
        return self.config.instances(self.provider)

    def folder(self, number: int) -> HostFolder:
        """The folder of an instance, whether it exists or not."""
        return HostFolder(self.place / str(number))

    def numbers(self) -> list[int]:
        """The instances that have a folder on disk."""
        return [int(path.name) for path in self.place.iterdir() if path.name.isdigit()]

    def sow(self, instance: Instance) -> None:
        """Fill a disk that does not exist yet with what it begins with. Idempotent; may take as long as a copy does."""
        folder = self.folder(instance.id)
        if instance.seed is not None and not folder.home.exists():
            copy_disk(Path(instance.seed), folder.home)

    def prepare(self, instance: Instance, slot: Slot) -> HostFolder:
        """Make the folder ready for a boot. Idempotent; what the renter left in the home folder stays."""
        folder = self.folder(instance.id)
        folder.create()
        folder.write_keys(instance.keys.values())
        folder.write_link(link_of(instance, slot))
        if self.tell is not None:
            folder.write_facts(self.tell(instance, slot))
        if gpus := _gpus(instance, slot):
            _write_nvidia_smi(folder.home / "bin", gpus)
        folder.write_spec(
            HostSpec(
                instance=instance.id,
                folder=str(folder.path),
                environment=self._environment(folder, instance, slot),
                onstart=instance.order.onstart,
                market_pid_file=str(self.config.pid_file),
                address=instance.address,
                port=self.ssh_port,
                orphan_after=None if self.config.orphan_after is None else self.config.orphan_after.total_seconds(),
            )
        )
        return folder

    def _environment(self, folder: HostFolder, instance: Instance, slot: Slot) -> dict[str, str]:
        wanted = {name: value for name, value in instance.order.environment.items() if _NAME.fullmatch(name)}
        path = [str(folder.home / "bin"), str(Path(sys.executable).parent), "/usr/local/bin:/usr/bin:/bin"]
        return wanted | {
            "PATH": os.pathsep.join(path),
            "HOME": str(folder.home),
            "TMPDIR": str(folder.home / "tmp"),
            "USER": "root",
            "LOGNAME": "root",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            **self.inside(instance, slot),
            "HOLDFAST_SIM_API": self.api_url,
            "HOLDFAST_SIM_GPU": f"{gpus_of(instance, slot)}x {slot.hardware.gpu}",
            MARK: folder.mark,
        }


def link_of(instance: Instance, slot: Slot) -> Link:
    """The state of a machine's network: a host that is offline is cut off, its work goes on."""
    return Link(cut=instance.cut or slot.offline, bytes_per_second=instance.bytes_per_second)


def gpus_of(instance: Instance, slot: Slot) -> int:
    """How many GPUs of its slot an instance has."""
    return instance.order.gpus or slot.hardware.gpus


def _gpus(instance: Instance, slot: Slot) -> list[dict[str, object]]:
    true = (slot.hardware.gpu_shown_as, slot.hardware.gpu_ram)
    name, memory = _LIE if slot.flaw is Flaw.WRONG_GPU else true
    return [
        {
            "index": index,
            "name": name,
            "memory.total": memory,
            "driver_version": slot.hardware.driver,
            "uuid": f"GPU-{slot.machine_id:08x}-{slot.id:04x}-4000-8000-{index:012x}",
        }
        for index in range(gpus_of(instance, slot))
    ]


def _write_nvidia_smi(folder: Path, gpus: list[dict[str, object]]) -> None:
    (folder / ".gpus.json").write_text(json.dumps(gpus))
    source = resources.files("holdfast.simcloud").joinpath("hosts/nvidia_smi.py").read_text()
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!{sys.executable} -SEs\n{source}")
    tool.chmod(0o755)


def end_all_hosts(data_dir: Path) -> None:
    """Kill every host that a market on this data directory ever started, whether a market runs now or not. Idempotent.

    A market that still runs takes it as the death of all its machines.
    """
    for path in data_dir.glob(f"{INSTANCES}*/*"):
        folder = HostFolder(path)
        end_tree(folder.last_process(), folder.mark)
