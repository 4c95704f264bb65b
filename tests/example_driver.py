"""The example of a driver in a package of its own (examples/driver), installed apart, and its provider running."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples/driver"
KEY = "pebble-key"


def install(folder: Path) -> Path:
    """The package in a folder, as `pip install` leaves it; to be named in PYTHONPATH."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([*pip, *offline, str(EXAMPLE)], check=True)
    return folder


def paths(installed: Path) -> dict[str, str]:
    """The environment of a process that has the package."""
    return {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def pebble(installed: Path) -> Iterator[str]:
    """The example's provider in a process of its own; its address."""
    command = [sys.executable, "-u", "-m", "pebble.cloud", "0"]
    running = subprocess.Popen(command, env=os.environ | paths(installed), stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        yield running.stdout.readline().split()[-1]
    finally:
        running.terminate()
        running.wait()
        running.stdout.close()
