"""Where the time of a recovery goes: failovers in a row on the simulated market, by phase, with percentiles.

    python benchmarks/failover.py --megabytes 10 --megabytes 1024 --failovers 20

Brings up a stack of its own with machines that boot at once, places a workload whose workspace holds random bytes
(nothing compresses, nothing is shared), and takes its machine away again and again: odd times outbid, even times
killed. "ours" is detect + decide + provision + connect + start: everything but the machine's boot, the bytes and the
work's own first step. The provider's minimum intervals between calls are the real ones (4.5 s between two rents, for
one), so the run rests between failovers: losses that come faster than that wait for the provider, not for us. In the
same run the restored bytes are fetched once more from the same store, raw and in parallel: the limit that `restore` is
compared with.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from holdfast.checkpoints.format import Manifest
from holdfast.checkpoints.stores.opening import open_store
from holdfast.client import Holdfast
from holdfast.contracts.incidents import Incident, Phases
from holdfast.contracts.spec import CheckpointSpec, PriceSpec, ResourcesSpec, WorkloadSpec
from holdfast.contracts.workload import Phase
from holdfast.settings import Settings, load_settings
from holdfast.simcloud.control import SimControl
from holdfast.workers.stack.commands import down, up
from holdfast.workers.stack.plan import MARKET, UpOptions
from holdfast.workers.stack.services import MARKET_FOLDER

OURS = ("detect", "decide", "provision", "connect", "start")
PROFILE = "extends: default\nboot: {kind: constant, seconds: 0}\n"
WORK = """python3 -c '
import json, os, time
for step in range(10**9):
    draft = os.environ["HOLDFAST_PROGRESS_FILE"] + ".draft"
    with open(draft, "w") as file:
        json.dump({"step": step}, file)
    os.replace(draft, os.environ["HOLDFAST_PROGRESS_FILE"])
    time.sleep(0.05)
'"""
PATIENCE = 300.0  # seconds for one failover before the run is given up
LOOK_EVERY = 0.2
STREAMS = 8


def main() -> None:
    options = _options()
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="holdfast-bench-") as folder, _stack(Path(folder)):
        for megabytes in options.megabytes or [10]:
            results.append(asyncio.run(_measure(Path(folder), megabytes, options.failovers, options.rest)))
            _print(results[-1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, action="append", help="size of the workspace; may be repeated")
    parser.add_argument("--failovers", type=int, default=20)
    parser.add_argument("--rest", type=float, default=6.0, help="seconds between a recovery and the next loss")
    parser.add_argument("--folder", type=Path, help="where to work; needs six times the size")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args()


@contextmanager
def _stack(home: Path) -> Iterator[None]:
    profile = home / "profile.yaml"
    profile.write_text(PROFILE)
    command = (*MARKET, "--profile", str(profile))
    up(UpOptions(data_dir=home, detach=True, auto_ports=True, market_command=command), _to_stderr)
    try:
        yield
    finally:
        down(home, _to_stderr)


async def _measure(home: Path, megabytes: int, failovers: int, rest: float) -> dict[str, Any]:
    settings = load_settings(data_dir=home)
    name = f"bench-{megabytes}"
    workdir = home / "work" / name
    _plant(workdir, megabytes)
    async with Holdfast.connect(settings) as holdfast:
        with SimControl.of_data_dir(home / MARKET_FOLDER) as market:
            await holdfast.run(_spec(name), workdir=workdir)
            await _running(holdfast, name, epoch=1)
            for number in range(failovers):
                await asyncio.sleep(rest)
                await asyncio.to_thread(_take_away, market, name, number)
                await _recovered(holdfast, name, number + 1)
                _to_stderr(f"{name}: {number + 1} of {failovers}")
        report = await holdfast.report(name)
        head = await holdfast.checkpoint(name)
        raw = await _raw_get(settings, head.manifest)
        await holdfast.stop(name, save=False)
    return {
        "megabytes": megabytes,
        "load": os.getloadavg()[0],
        "raw_get_seconds": raw,
        "incidents": _rows(report.incidents),
    }


def _take_away(market: SimControl, name: str, number: int) -> None:
    """A rival stays for a while only: one who stayed for good would leave the market empty in the end."""
    if number % 2:
        market.kill(name)
    else:
        market.outbid(name, lasting=timedelta(seconds=30))


def _plant(folder: Path, megabytes: int) -> None:
    folder.mkdir(parents=True)
    per_file = min(megabytes, 64)
    for number in range(megabytes // per_file):
        (folder / f"part-{number:03d}.bin").write_bytes(os.urandom(per_file * 1_000_000))


def _spec(name: str) -> WorkloadSpec:
    return WorkloadSpec(
        name=name,
        command=WORK,
        price=PriceSpec(max_hourly=Decimal(3)),
        resources=ResourcesSpec(disk_gb=10),
        checkpoint=CheckpointSpec(every=timedelta(hours=1)),
        stop_grace=timedelta(seconds=1),
    )


async def _running(holdfast: Holdfast, name: str, *, epoch: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            status = (await holdfast.status(name)).status
            if status.phase is Phase.RUNNING and status.epoch >= epoch:
                return
            if status.phase.is_final:
                raise SystemExit(f"{name} ended: {status.reason}")
            await asyncio.sleep(LOOK_EVERY)


async def _recovered(holdfast: Holdfast, name: str, incidents: int) -> None:
    """Until the report holds so many incidents, each with its first progress."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = (await holdfast.report(name)).incidents
            if len(found) >= incidents and found[-1].recovered_at is not None:
                return
            await asyncio.sleep(LOOK_EVERY)


async def _raw_get(settings: Settings, manifest: str) -> float:
    """Seconds to fetch the packs of a checkpoint, eight at a time, and throw them away."""
    store = open_store(settings)
    data = await store.get(manifest)
    assert data is not None
    gate = asyncio.Semaphore(STREAMS)

    async def fetch(key: str) -> None:
        async with gate:
            assert await store.get(key) is not None

    began = time.perf_counter()
    await asyncio.gather(*(fetch(key) for key in Manifest.decode(manifest, data).packs))
    took = time.perf_counter() - began
    await store.close()
    return took


def _rows(incidents: tuple[Incident, ...]) -> list[dict[str, Any]]:
    rows = []
    for each in incidents:
        phases = {field.name: getattr(each.phases, field.name).total_seconds() for field in fields(Phases)}
        assert each.recovery_time is not None
        ours = sum(phases[name] for name in OURS)
        total = each.recovery_time.total_seconds()
        rows.append(
            {"cause": each.cause.value, **phases, "ours": ours, "recovery_time": total, "tries": len(each.attempts)}
        )
    return rows


def _print(result: dict[str, Any]) -> None:
    rows = result["incidents"]
    print(f"\n{result['megabytes']} MB workspace, {len(rows)} failovers, load average {result['load']:.1f}")
    print(f"{'seconds':16}{'p50':>8}{'p95':>8}{'max':>8}")
    for name in (*(field.name for field in fields(Phases)), "ours", "recovery_time"):
        values = sorted(row[name] for row in rows)
        mark = "  <- detect + decide + provision + connect + start" if name == "ours" else ""
        print(f"{name:16}{_quantile(values, 0.5):8.2f}{_quantile(values, 0.95):8.2f}{values[-1]:8.2f}{mark}")
    restore = _quantile(sorted(row["restore"] for row in rows), 0.5)
    raw = result["raw_get_seconds"]
    print(f"restore p50 is {restore / raw:.1f} x a raw parallel GET of the same bytes in the same run ({raw:.2f} s)")


def _quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    return values[min(len(values) - 1, max(0, -(-int(share * 100) * len(values) // 100) - 1))]


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
