"""How fast workspaces are saved and restored, against what the store itself can do in the same minutes.

    python benchmarks/checkpoints.py --megabytes 1024

Starts a SeaweedFS of its own, plants a workspace (random bytes for a model and an optimizer, which no codec squeezes,
and 2,000 small logs, which one does), and measures in turn: raw PUT and GET of 16 MiB bodies on as many streams, a
first save, a save with nothing changed, an incremental save, a restore into an empty folder, a restore with everything
there. Each phase of ours runs in a process of its own, so that its peak memory is its own. Ratios are to the raw
transfer of the same direction.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store as Bucket
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the starter of the server lives with the tests

from tests.weed import Weed, run_weed

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.contracts.checkpoints import SaveReason
from holdfast.hosts.local import LocalChannel
from holdfast.settings import StoreSettings

MEBIBYTE = 1024 * 1024
BODY = 16 * MEBIBYTE


def main() -> None:
    options = _options()
    if options.phase:
        asyncio.run(_phase(json.loads(options.phase)))
        return
    with (
        tempfile.TemporaryDirectory(dir=options.folder, prefix="holdfast-bench-") as folder,
        run_weed(Path(folder) / "weed") as weed,
    ):
        _print(_measure(Path(folder), weed, options.megabytes, options.streams), options.megabytes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=1024, help="size of the workspace")
    parser.add_argument("--streams", type=int, default=8, help="streams of the raw transfers (ours uses 8)")
    parser.add_argument("--folder", type=Path, help="where to work; needs four times the size")
    parser.add_argument("--phase", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(folder: Path, weed: Weed, megabytes: int, streams: int) -> list[dict[str, Any]]:
    work = folder / "work"
    _plant(work, megabytes * MEBIBYTE)
    rows = asyncio.run(_raw(weed, megabytes, streams))
    first = _run(folder, weed, name="first save", work=work)
    rows.append(first)
    rows.append(_run(folder, weed, name="nothing changed", work=work, base=first["manifest"]))
    _change(work)
    second = _run(folder, weed, name="incremental save", work=work, base=first["manifest"])
    rows.append(second)
    rows.append(_run(folder, weed, name="restore, empty", target=folder / "target", manifest=second["manifest"]))
    rows.append(_run(folder, weed, name="restore, all there", target=folder / "target", manifest=second["manifest"]))
    subprocess.run(["diff", "-r", work, folder / "target"], check=True)
    return rows


def _plant(work: Path, size: int) -> None:
    """Noise for the model and the optimizer, so that wire and disk are measured rather than zlib; text for the logs."""
    seed = random.Random(1)
    (work / "logs").mkdir(parents=True)
    with (work / "model.bin").open("wb") as file:
        for _ in range(int(size * 0.65) // (8 * MEBIBYTE)):
            file.write(seed.randbytes(8 * MEBIBYTE))
    with (work / "optimizer.bin").open("wb") as file:
        for _ in range(int(size * 0.30) // (8 * MEBIBYTE)):
            file.write(seed.randbytes(8 * MEBIBYTE))
    for number in range(2000):
        (work / "logs" / f"{number}.txt").write_text(f"step {number} loss {seed.random()}\n" * seed.randrange(1, 400))


def _change(work: Path) -> None:
    """A training step: half of the optimizer is rewritten, a log grows."""
    optimizer = work / "optimizer.bin"
    with optimizer.open("r+b") as file:
        for _ in range(optimizer.stat().st_size // 2 // MEBIBYTE):
            file.write(os.urandom(MEBIBYTE))
    with (work / "logs" / "1.txt").open("a") as log:
        log.write("step done\n")


async def _raw(weed: Weed, megabytes: int, streams: int) -> list[dict[str, Any]]:
    bucket = Bucket(
        weed.bucket, prefix="raw", endpoint=weed.endpoint, region="us-east-1", access_key_id=weed.access_key,
        secret_access_key=weed.secret_key, client_options={"allow_http": True, "timeout": "120s"},
    )  # fmt: skip
    keys = [f"body-{number}" for number in range(max(1, min(megabytes, 512) * MEBIBYTE // BODY))]
    body = os.urandom(BODY)
    slots = asyncio.Semaphore(streams)

    async def put(key: str) -> None:
        async with slots:
            await obstore.put_async(bucket, key, body, use_multipart=False)

    async def get(key: str) -> None:
        async with slots:
            await (await obstore.get_async(bucket, key)).bytes_async()

    rows = []
    for name, transfer in (("raw PUT", put), ("raw GET", get)):
        began = time.perf_counter()
        await asyncio.gather(*(transfer(key) for key in keys))
        wire = len(keys) * BODY
        rows.append({"name": name, "seconds": time.perf_counter() - began, "wire": wire, "logical": wire})
    await obstore.delete_async(bucket, keys)
    return rows


def _run(folder: Path, weed: Weed, **order: Any) -> dict[str, Any]:
    """One phase in a fresh process: its time inside, its peak memory, its CPU."""
    keys = {"endpoint": weed.endpoint, "access": weed.access_key, "secret": weed.secret_key, "bucket": weed.bucket}
    command = [sys.executable, __file__, "--phase", json.dumps({**order, **keys}, default=str)]
    done = subprocess.run(command, env={**os.environ, "HOME": str(folder)}, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


async def _phase(order: dict[str, Any]) -> None:
    settings = StoreSettings(
        kind="s3", endpoint=order["endpoint"], bucket=order["bucket"], prefix="bench",
        access_key_id=SecretStr(order["access"]), secret_access_key=SecretStr(order["secret"]),
    )  # fmt: skip
    engine = CheckpointEngine(S3Store(settings))
    began = time.perf_counter()
    if "work" in order:
        saved = await engine.save(
            LocalChannel(), workload="bench", epoch=1, sequence=1, workspace=order["work"],
            base_manifest=order.get("base"), reason=SaveReason.CADENCE,
        )  # fmt: skip
        result = {"wire": saved.bytes_uploaded, "logical": saved.bytes_total, "manifest": saved.manifest}
    else:
        restored = await engine.restore(LocalChannel(), manifest=order["manifest"], workspace=order["target"])
        result = {"wire": restored.bytes_fetched, "logical": restored.bytes_total}
    used = resource.getrusage(resource.RUSAGE_SELF)
    result |= {"name": order["name"], "seconds": time.perf_counter() - began}
    result |= {"cpu": used.ru_utime + used.ru_stime, "peak": _peak_memory()}
    print(json.dumps(result))


def _peak_memory() -> int:
    """Of this program alone: what getrusage tells includes the parent's, from before the exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _print(rows: list[dict[str, Any]], megabytes: int) -> None:
    raw = {row["name"]: row["wire"] / row["seconds"] for row in rows[:2]}
    print(f"\nworkspace of {megabytes} MiB, {os.cpu_count()} cores; MB are 10^6 bytes\n")
    print(f"{'':20}{'s':>8}{'CPU s':>8}{'wire MB':>10}{'wire MB/s':>11}{'MB/s':>8}{'of raw':>8}{'peak MB':>9}")
    for row in rows:
        wire, logical = row["wire"] / row["seconds"], row["logical"] / row["seconds"]
        ratio = wire / raw["raw GET" if "restore" in row["name"] or "GET" in row["name"] else "raw PUT"]
        cpu, peak = (f"{row['cpu']:.1f}", f"{row['peak'] / 1e6:.0f}") if "cpu" in row else ("", "")
        print(
            f"{row['name']:20}{row['seconds']:8.2f}{cpu:>8}{row['wire'] / 1e6:10.1f}{wire / 1e6:11.1f}"
            f"{logical / 1e6:8.0f}{ratio:8.2f}{peak:>9}"
        )


if __name__ == "__main__":
    main()
