"""How long endpoints take to wake; what the gateway adds to a request, how many it carries, whether its memory stays.

    python benchmarks/serverless.py --wakes                        # machines that boot at once, five wakes each
    python benchmarks/serverless.py --wakes --boots zero,realistic --size 1000 --rounds 10
    python benchmarks/serverless.py --gateway
    python benchmarks/serverless.py --gateway --requests 100000 --json found.json

`--wakes` is told in `wakes.py`. What follows is of `--gateway`.

The same service is called straight, through a gateway on the same computer, and through a gateway over SSH to a server
of its own process, in turns. Service, SSH server, gateway and load generator are processes of their own, all in Python,
and share this computer's cores.

- **Open loop**: requests are sent at a steady rate whatever becomes of them, and timed from the moment at which they
  were due. The service thinks so long that as many are in flight as was asked for. What is added is the difference
  between the quantiles.
- **First event**: the same for the first event of a stream.
- **Closed loop**: a few callers, each of whom calls again when answered, and a service that does not think.
- **Processor time** of the gateway for a request of the closed loop: the figure that other load on the computer changes
  least.
- **Memory** of the gateway before the closed loop and after each quarter of it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import wakes
from gateway_parts import memory_of, processor_of
from recoveries import quantile
from stack import say

HERE = Path(__file__).parent
THINK = 4  # seconds
PARTS = 4  # of a closed loop, between which memory is looked at


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    part = parser.add_mutually_exclusive_group(required=True)
    part.add_argument("--gateway", action="store_true", help="measure the gateway")
    part.add_argument("--wakes", action="store_true", help="measure wakes")
    parser.add_argument("--concurrent", type=int, default=200, help="requests in flight in the open loop")
    parser.add_argument("--seconds", type=int, default=30, help="of each open loop")
    parser.add_argument("--rounds", type=int, help="of the open loops (2), or wakes of each kind (5)")
    parser.add_argument("--modes", type=_of(wakes.MODES), default=wakes.MODES, help=f"of {','.join(wakes.MODES)} (all)")
    parser.add_argument("--boots", type=_of(wakes.BOOTS), default=("zero",), help="of zero,realistic (zero)")
    parser.add_argument("--size", type=float, default=10, help="MB of files of a replica")
    parser.add_argument("--seed", type=int, default=20260901, help="of the market, which draws boots by it")
    parser.add_argument("--callers", type=int, default=16, help="of the closed loop")
    parser.add_argument("--requests", type=int, default=5000, help="of each closed loop")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    found = measure_wakes(options) if options.wakes else measure(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


def _of(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        if wrong := [each for each in text.split(",") if each not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: not one of {', '.join(known)}")
        return tuple(text.split(","))

    return parse


def measure_wakes(options: argparse.Namespace) -> list[dict[str, Any]]:
    size = int(options.size * 1_000_000)
    found = wakes.measure(options.boots, options.modes, size=size, rounds=options.rounds or 5, seed=options.seed)
    wakes.show(found, size)
    return wakes.as_json(found)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        ways, pids = start_all(stack)
        for way in ways.values():
            call(way, "/think/0", callers=options.callers, count=500)  # connections, caches
        took: dict[str, list[float]] = {name: [] for name in ways}
        first: dict[str, list[float]] = {name: [] for name in ways}
        speed: dict[str, float] = {}
        used_ms: dict[str, float] = {}
        memories: dict[str, list[float]] = {}
        for number in range(options.rounds or 2):
            for name, way in ways.items():
                say(f"round {number + 1}: {name}")
                rate = options.concurrent / THINK
                took[name] += call(way, f"/think/{THINK * 1000}", rate=rate, count=int(rate * options.seconds))["took"]
                first[name] += call(way, "/events", rate=20, count=20 * options.seconds, events=True)["took"]
        for name, way in ways.items():
            say(f"closed loop: {name}")
            pid = pids.get(name, os.getpid())
            used, memory = processor_of(pid), [memory_of(pid)]
            seconds = 0.0
            for _ in range(PARTS):
                ended = call(way, "/think/0", callers=options.callers, count=options.requests // PARTS)
                seconds += ended["seconds"]
                memory.append(memory_of(pid))
            speed[name] = options.requests / seconds
            if name in pids:
                used_ms[name] = 1000 * (processor_of(pid) - used) / options.requests
                memories[name] = memory
    found = {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "concurrent": options.concurrent,
        "requests": options.requests,
        "open_loop_ms": {way: spread(each, THINK * 1000) for way, each in took.items()},
        "first_event_ms": {way: spread(each, 0) for way, each in first.items()},
        "closed_loop_per_second": speed,
        "processor_ms_per_request": used_ms,
        "memory_mb": memories,
    }
    show(found)
    return found


Way = tuple[int, str]  # a port, and what comes before the path


def start_all(stack: ExitStack) -> tuple[dict[str, Way], dict[str, int]]:
    """The ways to the service, and the gateways' process ids."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    service = stack.enter_context(part("backend"))
    sshd = stack.enter_context(part("sshd", public_key=key.export_public_key().decode()))
    near = stack.enter_context(part("gateway", port=service["port"]))
    by_ssh = {"ssh_port": sshd["port"], "host_key": sshd["host_key"], "private_key": str(folder / "key")}
    far = stack.enter_context(part("gateway", port=service["port"], **by_ssh))
    ways = {"straight": (service["port"], ""), "gateway": (near["port"], "/e"), "gateway over SSH": (far["port"], "/e")}
    return ways, {"gateway": near["pid"], "gateway over SSH": far["pid"]}


@contextmanager
def part(name: str, **options: Any) -> Iterator[dict[str, Any]]:
    """A process, once it is ready; it ends with the block."""
    command = [sys.executable, str(HERE / "gateway_parts.py"), name, json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def call(way: Way, path: str, **options: Any) -> dict[str, Any]:
    """What one load generator found. Times are in ms."""
    with part("load", port=way[0], path=way[1] + path, **options) as found:
        if found["errors"]:
            raise SystemExit(f"{found['errors']} requests failed")
        return found | {"took": [each / 1000 for each in found["took"]]}


def spread(took: list[float], think: float) -> dict[str, float]:
    return {name: quantile(took, share) - think for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}


def show(found: dict[str, Any]) -> None:
    print(f"{found['cores']} cores, load average {found['load_average']:.1f}, {found['concurrent']} in flight")
    heads = ("p50", "p99", "+p50", "+p99", "1st p50", "1st p99", "1/s")
    print(f"{'ms, beyond the thinking':>24}" + "".join(f"{head:>9}" for head in heads))
    base = found["open_loop_ms"]["straight"]
    for way, each in found["open_loop_ms"].items():
        first = found["first_event_ms"][way]
        added = [each[name] - base[name] for name in ("p50", "p99")]
        times = (each["p50"], each["p99"], *added, first["p50"], first["p99"])
        row = "".join(f"{time:9.2f}" for time in times)
        print(f"{way:>24}{row}{found['closed_loop_per_second'][way]:9.0f}")
    for way, memory in found["memory_mb"].items():
        used = found["processor_ms_per_request"][way]
        print(f"{way}: {used:.2f} ms of processor time per request")
        sizes = ", ".join(f"{size:.1f}" for size in memory)
        print(f"{way}: {sizes} MB before and after each quarter of {found['requests']} requests")


if __name__ == "__main__":
    main()
