"""How long commands take to start, against peers on the same machine in the same run.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install vastai
    python benchmarks/startup.py --peer '/tmp/peers/bin/vastai --help'

Each command runs as a whole process, in turns, so that other load falls on all alike; the least time counts, because
noise only adds. Run it beside a stack that is up (`--data-dir`) to time `holdfast ps` with its answer.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HOLDFAST = str(Path(sys.executable).with_name("holdfast"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", action="append", default=[], help="a command to compare with; may be repeated")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--data-dir", type=Path, default=Path(".holdfast"), help="of a stack that is up")
    options = parser.parse_args()
    ours = [f"{HOLDFAST} --help", f"{HOLDFAST} run --help", f"{HOLDFAST} ps --data-dir {options.data_dir}"]
    commands = [f"{sys.executable} -c pass", *ours, *options.peer]
    best = {command: min(each) for command, each in _rounds(commands, options.rounds).items()}
    print(f"load average {os.getloadavg()[0]:.1f}, least of {options.rounds}")
    print(f"{'seconds':>8}" + "".join(f"{f'of peer {n + 1}':>11}" for n in range(len(options.peer))))
    for command, seconds in best.items():
        ratios = "".join(f"{seconds / best[peer]:11.2f}" for peer in options.peer)
        print(f"{seconds:8.3f}{ratios}  {command.replace(str(Path(HOLDFAST).parent) + '/', '')}")


def _rounds(commands: list[str], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {command: [] for command in commands}
    for _ in range(rounds):
        for command in commands:
            began = time.perf_counter()
            subprocess.run(shlex.split(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            taken[command].append(time.perf_counter() - began)
    return taken


if __name__ == "__main__":
    main()
