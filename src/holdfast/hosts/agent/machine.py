"""What the machine is and how busy it is. A fact that cannot be had is absent, never guessed."""

import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

_GPU_FACTS = "name,memory.total,driver_version,uuid"
_GPU_LOAD = "utilization.gpu,memory.used"
_SMI_PATIENCE = 20.0  # seconds; the tool is slow when no process keeps the driver awake
_MB = 1024 * 1024


def probe(folder: str) -> Dict[str, Any]:
    """The machine's parts. Waits for nvidia-smi, where there is one."""
    return {
        "gpus": [_gpu(row) for row in ask_gpus(_GPU_FACTS) if len(row) == 4],
        "cpu_cores": cpu_cores(),
        "memory_mb": memory_limit() // _MB,
        "disk_free_mb": shutil.disk_usage(folder).free // _MB,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "is_root": os.geteuid() == 0,
        "facts": {"machine": platform.machine(), "executable": sys.executable},
    }


def _gpu(row: List[str]) -> Dict[str, Any]:
    memory = number(row[1])
    return {"name": row[0], "memory_mb": int(memory or 0), "driver": row[2], "uuid": row[3]}


def ask_gpus(query: str) -> List[List[str]]:
    """One row of fields per GPU; empty when the machine has no working nvidia-smi."""
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SMI_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode != 0:
        return []
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [[field.strip() for field in line.split(",")] for line in lines if line.strip()]


def number(text: str) -> Optional[float]:
    """The number in a field of nvidia-smi; None for `[N/A]` and its like."""
    try:
        return float(text)
    except ValueError:
        return None


def cpu_cores() -> int:
    """Cores that this container may really use."""
    cores = len(os.sched_getaffinity(0))
    quota, period = _cgroup_quota()
    return max(1, min(cores, round(quota / period))) if quota > 0 else cores


def _cgroup_quota() -> Tuple[int, int]:
    fields = _read("/sys/fs/cgroup/cpu.max").split()
    if len(fields) == 2:
        return (int(fields[0]) if fields[0].isdigit() else -1), int(fields[1])
    quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
    period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    return (int(quota), int(period)) if quota and period else (-1, 100_000)


def memory_limit() -> int:
    """Bytes of memory that this container may use."""
    total = _memory_facts().get("MemTotal", 0)
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _read(name).strip()
        if text.isdigit():
            return min(total, int(text))
    return total


def memory_used() -> int:
    """Bytes of memory in use, page cache excluded where the kernel tells."""
    for name in ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"):
        text = _read(name).strip()
        if text.isdigit():
            return int(text)
    facts = _memory_facts()
    return facts.get("MemTotal", 0) - facts.get("MemAvailable", 0)


def _memory_facts() -> Dict[str, int]:
    pairs = (line.split(":") for line in _read("/proc/meminfo").splitlines())
    return {name: int(rest.split()[0]) * 1024 for name, rest in pairs}


def _read(name: str) -> str:
    try:
        with open(name, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


class CpuMeter:
    """Share of all cores that was busy since the last question, in percent."""

    def __init__(self) -> None:
        self._last = self._ticks()

    def percent(self) -> Optional[float]:
        busy, total = self._ticks()
        spent, passed = busy - self._last[0], total - self._last[1]
        if passed <= 0:
            return None
        self._last = (busy, total)
        return round(100.0 * spent / passed, 1)

    def _ticks(self) -> Tuple[int, int]:
        fields = [int(field) for field in _read("/proc/stat").split("\n", 1)[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)


class GpuMeter:
    """The newest GPU load, measured in the background because nvidia-smi may take seconds or hang."""

    def __init__(self, every: float = 5.0) -> None:
        self._every = every
        self._load: Tuple[Optional[float], Optional[float]] = (None, None)
        threading.Thread(target=self._measure, name="gpus", daemon=True).start()

    def load(self) -> Tuple[Optional[float], Optional[float]]:
        """Mean use in percent and total memory used in MB over all GPUs; None where nothing is known."""
        return self._load

    def _measure(self) -> None:
        while shutil.which("nvidia-smi"):
            self._load = summarise([row for row in ask_gpus(_GPU_LOAD) if len(row) == 2])
            time.sleep(self._every)


def summarise(rows: List[List[str]]) -> Tuple[Optional[float], Optional[float]]:
    """Mean of the first fields and sum of the second; a field that is no number does not count."""
    use = [value for value in (number(row[0]) for row in rows) if value is not None]
    memory = [value for value in (number(row[1]) for row in rows) if value is not None]
    return (sum(use) / len(use) if use else None), (sum(memory) if memory else None)
