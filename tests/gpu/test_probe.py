"""On a machine with an NVIDIA GPU: the agent's probe against the driver's own word."""

import shutil
import subprocess
from pathlib import Path

import pytest

from holdfast.hosts.agent.machine import GpuMeter, probe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here: nvidia-smi is not installed"),
]


def driver_says(field: str) -> list[str]:
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()


def test_the_probe_finds_every_gpu_with_its_name_and_memory(tmp_path: Path):
    found = probe(str(tmp_path))
    assert [gpu["name"] for gpu in found["gpus"]] == driver_says("name")
    assert [gpu["memory_mb"] for gpu in found["gpus"]] == [int(mb) for mb in driver_says("memory.total")]


def test_the_meter_reads_load_within_its_bounds():
    percent, memory_mb = GpuMeter().load()
    assert percent is None or 0 <= percent <= 100
    assert memory_mb is None or memory_mb >= 0
