"""The example of a driver in a package of its own: it installs, is found by its name, and passes the suite."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples/driver"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, as `pip install` leaves it."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([*pip, *offline, str(EXAMPLE)], check=True)
    return folder


def run(installed: Path, *arguments: str) -> str:
    """What Python prints in a process that has the package."""
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, cwd=EXAMPLE, capture_output=True, text=True, check=False)
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
    assert " passed" in told and "failed" not in told
    passed = int(told.rsplit(" passed", 1)[0].split()[-1])
    assert passed > 50
