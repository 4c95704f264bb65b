"""The floors hold, and the linter that says so would notice if they did not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def test_no_room_imports_from_above():
    done = subprocess.run([BIN / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "from datetime import datetime\nNOW = datetime.now()\n",
        "import random\nNUMBER = random.random()\n",
        "import uuid\nID = uuid.uuid4()\n",
        "import asyncio\nSLEEP = asyncio.sleep(1)\n",
    ],
    ids=["clock", "chance", "identity", "sleep"],
)
def test_durable_code_may_not_use_what_replay_cannot_repeat(line: str):
    path = ROOT / "src" / "holdfast" / "workflows" / "planted.py"
    command = [BIN / "ruff", "check", "--no-cache", "--select", "TID251", "--stdin-filename", str(path), "-"]
    done = subprocess.run(command, cwd=ROOT, input=line, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "TID251" in done.stdout


def test_the_package_inits_stay_empty():
    holdfast = ROOT / "src" / "holdfast"
    allowed = {holdfast / "client" / "__init__.py", holdfast / "cli" / "commands" / "market" / "__init__.py"}
    assert {path for path in holdfast.rglob("__init__.py") if path.stat().st_size} <= allowed
