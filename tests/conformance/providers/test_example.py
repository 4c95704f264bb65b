"""The example of a driver in a package of its own: it installs, is found by its name, and passes the suite."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.example_driver import EXAMPLE, install, paths


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("installed"))


def run(installed: Path, *arguments: str) -> str:
    """What Python prints in a process that has the package."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env=os.environ | paths(installed), cwd=EXAMPLE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_package_adds_its_provider(installed: Path) -> None:
    script = (
        "from holdfast.providers.registry import build, known; from holdfast.settings import ProviderSettings; "
        "print(known(), build('pebble', ProviderSettings()).name)"
    )
    told = run(installed, "-c", script)
    assert "'pebble'" in told and "'vast'" in told
    assert told.split()[-1] == "pebble"


def test_the_example_passes_the_suite(installed: Path) -> None:
    told = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60")
    passed = int(told.rsplit(" passed", 1)[0].split()[-1])
    assert passed > 50 and "failed" not in told
