"""A process that may write no bytecode keeps that of the workflows in its data directory."""

import subprocess
import sys
from pathlib import Path

import pytest

SHOWS = """
import sys
from pathlib import Path
from holdfast.workers.bytecode import keep_bytecode
keep_bytecode(Path(sys.argv[1]))
import holdfast.workflows.failover
"""


@pytest.mark.parametrize("may_write", [False, True])
def test_it_goes_to_the_data_directory_only_where_it_can_go_nowhere_else(tmp_path: Path, may_write: bool):
    told = {"PYTHONDONTWRITEBYTECODE": "" if may_write else "1", "PYTHONPYCACHEPREFIX": str(tmp_path / "elsewhere")}
    subprocess.run([sys.executable, "-c", SHOWS, str(tmp_path / "data")], env=told, check=True)
    found = {name: bool([*(tmp_path / name).rglob("failover.*.pyc")]) for name in ("data", "elsewhere")}
    assert found == {"data": not may_write, "elsewhere": may_write}
