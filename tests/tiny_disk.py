"""A disk so small that a test can fill it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SIZE = 2 * 1024 * 1024
FILL = "dd if=/dev/zero of=fill bs=4k 2>/dev/null"  # a shell command that takes all that is left


@contextmanager
def tiny_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own at `folder`, which is made."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk to fill")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tiny", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all room on the disk at `folder`; returns the file that has it."""
    taken = folder / "fill"
    with suppress(OSError), taken.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return taken
