"""On a machine with an NVIDIA GPU: the agent's probe against the driver's own word."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.hosts.agent.machine import GpuMeter, probe
from tests.gpu.lane import PYTHON, lacks, measured

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(lacks()), reason=lacks()),
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here: nvidia-smi is not installed"),
]


def driver_says(field: str) -> list[str]:
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()


def test_the_probe_finds_every_gpu_with_its_name_and_memory(tmp_path: Path):
    found = probe(str(tmp_path))
    assert [gpu["name"] for gpu in found["gpus"]] == driver_says("name")
    assert [gpu["memory_mb"] for gpu in found["gpus"]] == [int(mb) for mb in driver_says("memory.total")]
    measured("probe", **found)


_BUSY = """
import time, torch
a, ends = torch.randn(4096, 4096, device="cuda"), time.monotonic() + 90
while time.monotonic() < ends:
    a = (a @ a).clamp(-1, 1)
    torch.cuda.synchronize()
"""


def test_the_meter_sees_that_a_gpu_works_and_that_it_rests():
    meter = GpuMeter(every=0.5)
    work = subprocess.Popen([PYTHON, "-c", _BUSY])
    try:
        until(lambda: (meter.load()[0] or 0) >= 50 and (meter.load()[1] or 0) > 0)
        driver = float(driver_says("memory.used")[0])
        until(lambda: abs((meter.load()[1] or 0) - driver) <= 64)
        busy = meter.load()
    finally:
        work.kill()
        work.wait()
    until(lambda: meter.load()[0] == 0)
    measured("meter", busy_percent=busy[0], busy_mb=busy[1], driver_mb=driver, idle_percent=meter.load()[0])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.2)
