"""What is on disks that no machine has, and in snapshots: folders beside those of the machines."""

from pathlib import Path

from holdfast.simcloud.gcp.records import Disk, Snapshot
from holdfast.simcloud.hosts.copying import remove_disk
from holdfast.simcloud.hosts.folder import HostFolder
from holdfast.simcloud.sim import Rules


def home_of(rules: Rules, instance: int) -> Path:
    """What is on the boot disk of a machine."""
    return HostFolder(rules.config.instances(rules.provider) / str(instance)).home


def folder_of(rules: Rules, thing: Disk | Snapshot) -> Path:
    """Where a disk or a snapshot keeps what is on it."""
    kind = "disks" if isinstance(thing, Disk) else "snapshots"
    return rules.config.data_dir / f"{kind}-{rules.provider}" / str(thing.id)


def take_from_machine(rules: Rules, disk: Disk, instance: int) -> None:
    """A boot disk leaves its machine with all that is on it."""
    home, folder = home_of(rules, instance), folder_of(rules, disk)
    if home.exists():
        remove_disk(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        home.replace(folder)
        disk.contents = str(folder)


def forget(rules: Rules, thing: Disk | Snapshot) -> None:
    """A disk or a snapshot is gone. What another disk still begins with stays until that one is gone, too."""
    folder = folder_of(rules, thing)
    if not any(disk.contents == str(folder) for disk in rules.store.shelf(Disk).all()):
        remove_disk(folder)
