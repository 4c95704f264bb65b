"""A stand-in for nvidia-smi on a simulated machine: answers ``--query-gpu`` about the GPUs of its offer.

The load it reports is the CPU use of the machine's own processes since the last question, so that busy work looks busy
and an idle machine idle; a number in ``.gpu-load`` beside it overrides that. Standard library only: it is copied to the
machine and runs there by itself.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MEASURE_AGAIN = 0.5  # seconds; a shorter stretch says little
UNITS = {"memory.total": "MiB", "memory.used": "MiB", "memory.free": "MiB", "utilization.gpu": "%"}

Gpu = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 for a field that does not exist."""
    fields = option(arguments, "--query-gpu")
    if fields is None:
        say(*(f"GPU {gpu['index']}: {gpu['name']} (UUID: {gpu['uuid']})" for gpu in gpus()))
        return 0
    layout = (option(arguments, "--format") or "csv").split(",")
    names = [name.strip() for name in fields.split(",")]
    rows = [measured(gpu) for gpu in gpus()]
    for name in names:
        if any(name not in row for row in rows):
            say(f'Field "{name}" is not a valid field to query.')
            return 2
    header = [] if "noheader" in layout else [", ".join(names)]
    say(*header, *(", ".join(shown(name, row[name], "nounits" not in layout) for name in names) for row in rows))
    return 0


def say(*lines: str) -> None:
    """Print lines."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def option(arguments: list[str], name: str) -> str | None:
    """The value of ``--name=value`` or ``--name value``."""
    for position, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.split("=", 1)[1]
        if argument == name and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def gpus() -> list[Gpu]:
    """The GPUs as the market wrote them down."""
    found: list[Gpu] = json.loads((HERE / ".gpus.json").read_text())
    return found


def measured(gpu: Gpu) -> Gpu:
    """A GPU with its present load."""
    load = current_load()
    used = int(gpu["memory.total"] * (0.6 if load > 5 else 0.01))
    free = gpu["memory.total"] - used
    return gpu | {
        "utilization.gpu": load,
        "memory.used": used,
        "memory.free": free,
        "temperature.gpu": 35 + load // 3,
        "count": len(gpus()),
    }


def shown(name: str, value: object, with_units: bool) -> str:
    """A value as nvidia-smi prints it."""
    unit = UNITS.get(name, "") if with_units else ""
    return f"{value} {unit}".strip()


def current_load() -> int:
    """Per cent: the set load, or the measured one."""
    fixed = HERE / ".gpu-load"
    return int(fixed.read_text()) if fixed.exists() else cpu_load()


def cpu_load() -> int:
    """CPU use in per cent of one core since the last measurement, at most 100."""
    memory = HERE / ".cpu-seen"
    now, spent = time.monotonic(), cpu_seconds()
    try:
        then, before, load = json.loads(memory.read_text())
    except (OSError, ValueError):  # the first question, or one that runs beside another
        then, before, load = now - MEASURE_AGAIN, spent, 0
    if now - then >= MEASURE_AGAIN:
        load = max(0, min(100, int(100 * (spent - before) / (now - then))))
        fresh = HERE / f".cpu-seen.{os.getpid()}"
        fresh.write_text(json.dumps([now, spent, load]))
        fresh.replace(memory)
    return int(load)


def cpu_seconds() -> float:
    """What all living processes of this machine have used so far."""
    mark = ("HOLDFAST_SIM_INSTANCE=" + os.environ.get("HOLDFAST_SIM_INSTANCE", "")).encode()
    ticks = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if mark not in (process / "environ").read_bytes().split(b"\0"):
                continue
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
