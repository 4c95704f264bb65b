"""How long a recovery takes, by strategy and by phase, beside the time that boot and bytes alone would take.

    python benchmarks/failover.py                       # 10 MB, machines that boot at once, three rounds
    python benchmarks/failover.py --full                # 10 MB and 1 GB, both kinds of boots, five rounds
    python benchmarks/failover.py --strategies warmpool,auto --sizes 1GB --boots realistic --rounds 10

For each strategy a workload of its own, whose workspace holds random bytes (nothing compresses, nothing is shared) and
whose ladder is that strategy alone, loses its machine again and again; `auto` is the ladder of all four, ordered by
what the recoveries before it took. Machines are outbid, which is how spot machines are lost; for `coldstart` every
other one is killed instead: a killed machine is started again in place, an outbid one is followed by a new and empty
one. A standby holds the newest checkpoint when its workload is lost, and the next loss waits until the pool is full
again. The provider's minimum intervals between calls are the real ones (4.5 s between two rents, for one), so the run
rests between failovers: losses that come faster than that wait for the provider, not for us.

Boots are in real time. `realistic` ones take 30 to 90 s, drawn by the market for each machine from its seed. The limit
of a recovery is the boot that was drawn for its machine, and the bytes that it fetched at the speed of a plain copy of
the same files, synced to the same disk, right after it. A standby need not boot: its limit is its bytes. `least` is the
same with the best copy of the whole run, three in a row at the beginning included. The difference matters on a virtual
machine that gives memory back to its host: what follows soon reuses pages that are still there, and neither a restore
nor a copy after a boot of a minute can.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import recoveries as figures
from recoveries import LADDER, Cell, Measured, Recovery, size_of
from stack import clock, running_stack, say

from holdfast.checkpoints.format import Manifest
from holdfast.checkpoints.stores.opening import open_store
from holdfast.client import Holdfast
from holdfast.contracts import names
from holdfast.contracts.activities import ResumeResult, resume_work
from holdfast.contracts.incidents import Incident
from holdfast.contracts.machines import Lease
from holdfast.contracts.pools import PoolPhase, PoolSpec, PoolStatus
from holdfast.contracts.spec import (
    CheckpointSpec,
    FailoverSpec,
    Order,
    PriceSpec,
    ResourcesSpec,
    Strategy,
    WorkloadSpec,
)
from holdfast.contracts.workload import Phase
from holdfast.embedded import MARKET_FOLDER
from holdfast.settings import Settings, load_settings
from holdfast.simcloud.control import SimControl
from holdfast.simcloud.profile import Profile, load

STRATEGIES = (*(each.value for each in Strategy), LADDER)
BOOTS = {"zero": "{kind: constant, seconds: 0}", "realistic": "{kind: uniform, low: 30, high: 90}"}
LONGEST_BOOT = {"zero": 0.0, "realistic": 90.0}
PROFILE = """extends: default
seed: {seed}
boot: {boot}
slots:  # enough that no machine has to be rented twice while its rival or its past is in the way
  - {{gpu: RTX 4090, price: 0.30, bid: 0.17, machine: 20000, host: 2000, region: "Sweden, SE", count: 24}}
  - {{gpu: RTX 4090, price: 0.31, bid: 0.18, machine: 21000, host: 2100, region: "Germany, DE", count: 24}}
"""
WORK = """python3 -c '
import json, os, time
for step in range(10**9):
    draft = os.environ["HOLDFAST_PROGRESS_FILE"] + ".draft"
    with open(draft, "w") as file:
        json.dump({"step": step}, file)
    os.replace(draft, os.environ["HOLDFAST_PROGRESS_FILE"])
    time.sleep(0.05)
'"""
LOOK_EVERY = 0.5  # each look is work for the computer that is being measured
STREAMS = 8
COPIES = 3
QUIET = 1.5  # average load above which figures are worth little
MEGABYTE = 1_000_000
UNITS = {"MB": MEGABYTE, "GB": 1000 * MEGABYTE}
# What the run is expected to take, and after how long it is given up: seconds for everything but boots, and bytes in a
# second, for each recovery and for each time that a workload or a standby is put on a machine.
EXPECTED = (4.0, 150 * MEGABYTE)
AT_MOST = (15.0, 40 * MEGABYTE)
STACK = 20.0  # seconds to start one and to stop it


@dataclass(frozen=True, kw_only=True)
class Options:
    strategies: tuple[str, ...]
    sizes: tuple[int, ...]
    boots: tuple[str, ...]
    rounds: int
    rest: float
    seed: int
    folder: Path | None
    json: Path | None


def main() -> None:
    options = _options(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the stack must not be left behind
    expected, at_most = (_duration(options, *pace) for pace in (EXPECTED, AT_MOST))
    times = options.rounds * len(options.strategies) * len(options.sizes) * len(options.boots)
    say(f"{times} failovers: about {clock(expected)} on a quiet computer, given up after {clock(at_most)}")
    if (load := os.getloadavg()[0]) > QUIET:
        say(f"the load is {load:.1f}: other programs run, and the figures will be worth little")
    progress = Progress(expected=expected, until=time.monotonic() + at_most)
    cells: list[Cell] = []
    try:
        for boots in options.boots:
            with tempfile.TemporaryDirectory(dir=options.folder, prefix="holdfast-bench-") as folder:
                asyncio.run(_measure_boots(Path(folder), boots, options, progress, cells))
    except TimeoutError as late:
        raise SystemExit(f"given up after {clock(time.monotonic() - progress.began)}: {late}") from late
    finally:
        if options.json:
            options.json.write_text(json.dumps([figures.as_json(cell) for cell in cells], indent=2) + "\n")
    say(f"took {clock(time.monotonic() - progress.began)}")


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0].replace("\n", " "),
        epilog="example: --strategies warmpool,auto --sizes 1GB --boots realistic --rounds 10 --json found.json",
    )
    told = ",".join(STRATEGIES)
    parser.add_argument("--strategies", metavar="NAMES", type=_words(STRATEGIES), default=told, help=f"of {told} (all)")
    parser.add_argument("--sizes", metavar="SIZES", type=_sizes, help="of the workspace, such as 10MB,1GB (10MB)")
    parser.add_argument("--boots", metavar="KINDS", type=_words(tuple(BOOTS)), help="of zero,realistic (zero)")
    parser.add_argument("--rounds", metavar="N", type=_positive, help="losses for each strategy (3; with --full 5)")
    parser.add_argument("--full", action="store_true", help="10MB,1GB and zero,realistic: 100 minutes")
    parser.add_argument("--rest", metavar="S", type=float, default=6.0, help="between a recovery and the next loss (6)")
    parser.add_argument("--seed", type=int, default=20260901, help="of the market, which draws boots by it")
    parser.add_argument("--folder", type=Path, help="where to work; needs twelve times the largest size")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every recovery to this file")
    given = parser.parse_args(arguments)
    small, full = ((10 * MEGABYTE,), ("zero",), 3), ((10 * MEGABYTE, 1000 * MEGABYTE), tuple(BOOTS), 5)
    sizes, boots, rounds = full if given.full else small
    return Options(
        strategies=given.strategies,
        sizes=given.sizes or sizes,
        boots=given.boots or boots,
        rounds=given.rounds or rounds,
        rest=given.rest,
        seed=given.seed,
        folder=given.folder,
        json=given.json,
    )


def _words(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(text.split(",")))
        if wrong := [each for each in found if each not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: not one of {', '.join(known)}")
        return tuple(each for each in known if each in found)  # the ladder last: it goes by what the others took

    return parse


def _sizes(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(float(each[:-2]) * UNITS[each[-2:].upper()]) for each in text.split(","))
    except (KeyError, ValueError, OverflowError):
        found = ()
    if not found or min(found) < MEGABYTE:
        raise argparse.ArgumentTypeError(f"{text!r}: write sizes like 10MB,1GB; 1MB at least")
    return found


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number, 1 at least")
    return int(text)


def _duration(options: Options, seconds: float, pace: float) -> float:
    """Seconds for the whole run, when whatever is put on a machine takes so long beside its boot."""
    total = 0.0
    for boots in options.boots:
        boot = LONGEST_BOOT[boots] if pace == AT_MOST[1] else LONGEST_BOOT[boots] * 2 / 3
        total += STACK
        for size in options.sizes:
            once = boot + seconds + size / pace
            for asked in options.strategies:
                warm = asked in (Strategy.WARMPOOL, LADDER)
                per_round = options.rest + once + (seconds + size / pace if warm else 0)
                total += once * (2 if warm else 1) + size / pace + options.rounds * per_round + seconds
    return total


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A line for every recovery, and the end of all patience."""

    expected: float
    until: float  # by the monotonic clock
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        say(f"[{clock(time.monotonic() - self.began)} of about {clock(self.expected)}] {text}")

    async def until_true(self, reached: Callable[[], Awaitable[bool]], what: str) -> None:
        """Raises TimeoutError, which says what did not come."""
        while not await reached():
            if time.monotonic() > self.until:
                raise TimeoutError(f"still waiting until {what}")
            await asyncio.sleep(LOOK_EVERY)


async def _measure_boots(home: Path, boots: str, options: Options, progress: Progress, cells: list[Cell]) -> None:
    profile = home / "profile.yaml"
    profile.write_text(PROFILE.format(seed=options.seed, boot=BOOTS[boots]))
    with running_stack(home, profile):
        async with Holdfast.connect(load_settings(data_dir=home)) as holdfast:
            with SimControl.of_data_dir(home / MARKET_FOLDER) as market:
                bench = Bench(home, holdfast, market, load(profile), options, progress)
                for size in options.sizes:
                    try:
                        await bench.measure(boots, size)
                    finally:
                        if (cell := bench.cell) is not None and any(each.recoveries for each in cell.measured):
                            cells.append(cell)
                            print(f"\n{figures.table(cell)}\n", flush=True)


class Bench:
    """One stack, on which one size after the other is measured."""

    def __init__(
        self,
        home: Path,
        holdfast: Holdfast,
        market: SimControl,
        profile: Profile,
        options: Options,
        progress: Progress,
    ) -> None:
        self._home = home
        self._holdfast = holdfast
        self._market = market
        self._profile = profile
        self._options = options
        self._progress = progress
        self.cell: Cell | None = None  # of the size that was measured last, also if it was broken off

    async def measure(self, boots: str, size: int) -> None:
        self.cell = None
        before = os.getloadavg()[0]
        workdir = self._home / "work" / str(size)
        await asyncio.to_thread(_plant, workdir, size)
        copied = await asyncio.to_thread(_plain_copy, workdir, self._home / "copy", COPIES)
        raw_get: float | None = None
        measured: list[Measured] = []
        for asked in self._options.strategies:
            done: list[Recovery] = []
            what = f"{size_of(size)}, {boots} boots, {asked}"
            try:
                async with self._workload(asked, size, workdir) as name:
                    raw_get = raw_get or await self._raw_get(name)
                    await self._lose_again_and_again(name, asked, workdir, copied, what, done)
            finally:
                measured.append(Measured(asked=asked, recoveries=tuple(done)))
                self.cell = Cell(
                    boots=boots,
                    size=size,
                    copied=copied,
                    raw_get=raw_get,
                    load=(before, os.getloadavg()[0]),
                    measured=tuple(measured),
                )

    @asynccontextmanager
    async def _workload(self, asked: str, size: int, workdir: Path) -> AsyncIterator[str]:
        """It runs, with a full pool where it may use one; afterwards nothing of it is left."""
        name = f"{asked}-{size // MEGABYTE}"
        spec = _spec(name, asked)
        await self._holdfast.run(spec, workdir=workdir)
        await self._progress.until_true(lambda: self._runs(name), f"{name} runs")
        if spec.failover.pool:
            await self._holdfast.create_pool(_pool(spec.failover.pool, name))
            await self._pool_comes_to(spec.failover.pool, _is_full, "is full")
        yield name
        await self._holdfast.stop(name, save=False)
        if spec.failover.pool:
            await self._holdfast.remove_pool(spec.failover.pool)
            await self._pool_comes_to(spec.failover.pool, lambda pool: pool.phase is PoolPhase.ENDED, "ends")
        await self._progress.until_true(lambda: self._is_over(name), f"{name} is over")

    async def _lose_again_and_again(
        self, name: str, asked: str, workdir: Path, best: float, what: str, done: list[Recovery]
    ) -> None:
        starts_in_place = 0  # of the machine that it has now
        for number in range(self._options.rounds):
            await asyncio.sleep(self._options.rest)
            lost = await self._lease(name)
            await asyncio.to_thread(self._take_away, lost, kill=asked == Strategy.COLDSTART and number % 2 == 0)
            incident = await self._recovered(name, number + 1)
            copied = await asyncio.to_thread(_plain_copy, workdir, self._home / "copy", 1)
            gained = await self._lease(name)
            in_place = gained.instance_id == lost.instance_id
            starts_in_place = starts_in_place + 1 if in_place else 0
            found = figures.recovery(
                incident,
                in_place=in_place,
                boot_drawn=self._drawn(incident, gained, starts_in_place),
                fetched=await self._fetched(incident),
                copied=copied,
                best=best,
            )
            done.append(found)
            how = f"{found.cause}, then {found.strategy}{' in place' if in_place else ''}"
            took = (
                f"took {found.took:.1f} s, {found.over:.1f} s over its limit, {found.over_least:.1f} s over the least"
            )
            self._progress.say(f"{what}: {number + 1} of {self._options.rounds} {took} ({how})")
            if asked in (Strategy.WARMPOOL, LADDER):
                await self._pool_comes_to(_pool_of(name), _is_full, "is full again")

    def _take_away(self, lost: Lease, *, kill: bool) -> None:
        """A rival stays for a while only: one who stayed for good would leave the market empty in the end."""
        if kill:
            self._market.kill(int(lost.instance_id))
        else:
            self._market.outbid(int(lost.instance_id), lasting=timedelta(seconds=30))

    def _drawn(self, incident: Incident, gained: Lease, starts_in_place: int) -> float:
        """Seconds that the market has drawn for the boot that this recovery had to wait for."""
        if incident.strategy == Strategy.WARMPOOL:
            return 0.0
        return self._profile.boot_time(int(gained.instance_id), starts_in_place).total_seconds()

    async def _fetched(self, incident: Incident) -> int:
        """Bytes that the restores of this failover fetched, by their own word."""
        client = self._holdfast.temporal
        handle = client.get_workflow_handle(names.failover_id(incident.workload, incident.epoch_lost))
        restores, fetched = set(), 0
        async for event in handle.fetch_history_events():
            scheduled = event.activity_task_scheduled_event_attributes
            completed = event.activity_task_completed_event_attributes
            if scheduled.activity_type.name == resume_work.__name__:
                restores.add(event.event_id)
            elif completed.scheduled_event_id in restores:
                (resumed,) = await client.data_converter.decode(completed.result.payloads, [ResumeResult])
                fetched += resumed.restored.bytes_fetched
        return fetched

    async def _raw_get(self, name: str) -> float:
        head = await self._holdfast.checkpoint(name)
        return await _raw_get(load_settings(data_dir=self._home), head.manifest)

    async def _lease(self, name: str) -> Lease:
        lease = (await self._holdfast.status(name)).status.lease
        assert lease is not None, f"{name} has a machine"
        return lease

    async def _runs(self, name: str) -> bool:
        status = (await self._holdfast.status(name)).status
        if status.phase.is_final:
            raise SystemExit(f"{name} ended: {status.reason}")
        return status.phase is Phase.RUNNING

    async def _is_over(self, name: str) -> bool:
        return (await self._holdfast.status(name)).status.phase.is_final

    async def _recovered(self, name: str, incidents: int) -> Incident:
        """When the report holds so many incidents, each with its first progress."""

        async def is_over() -> bool:
            found = (await self._holdfast.report(name)).incidents
            return len(found) >= incidents and found[-1].recovered_at is not None

        await self._progress.until_true(is_over, f"{name} has recovered from loss {incidents}")
        return (await self._holdfast.report(name)).incidents[-1]

    async def _pool_comes_to(self, pool: str, reached: Callable[[PoolStatus], bool], what: str) -> None:
        async def has() -> bool:
            return reached(await self._holdfast.pool(pool))

        await self._progress.until_true(has, f"the pool {pool} {what}")


def _spec(name: str, asked: str) -> WorkloadSpec:
    ladder = tuple(Strategy) if asked == LADDER else (Strategy(asked),)
    return WorkloadSpec(
        name=name,
        command=WORK,
        price=PriceSpec(max_hourly=Decimal(3)),
        resources=ResourcesSpec(disk_gb=10),
        checkpoint=CheckpointSpec(every=timedelta(days=1)),
        failover=FailoverSpec(
            ladder=ladder,
            order=Order.AUTO if asked == LADDER else Order.WRITTEN,
            pool=_pool_of(name) if Strategy.WARMPOOL in ladder else None,
            lose_work=asked == Strategy.COLDSTART,
            per_day=1000,
        ),
        stop_grace=timedelta(seconds=1),
        providers=("vast",),
    )


def _pool_of(name: str) -> str:
    return f"{name}-spare"


def _pool(pool: str, serves: str) -> PoolSpec:
    return PoolSpec(
        name=pool,
        price=PriceSpec(max_hourly=Decimal(3)),
        resources=ResourcesSpec(disk_gb=10),
        sync=(serves,),
        sync_every=timedelta(minutes=1),
        providers=("vast",),
    )


def _is_full(pool: PoolStatus) -> bool:
    return bool(pool.standbys) and all(each.synced is not None for each in pool.standbys)


def _plant(folder: Path, size: int) -> None:
    """Random bytes in files of 64 MB at most."""
    folder.mkdir(parents=True)
    for number, at in enumerate(range(0, size, 64 * MEGABYTE)):
        (folder / f"part-{number:03d}.bin").write_bytes(os.urandom(min(64 * MEGABYTE, size - at)))


def _plain_copy(source: Path, target: Path, times: int) -> float:
    """Bytes in a second; the best of so many, since it stands for what is possible."""
    speeds = []
    for _ in range(times):
        target.mkdir()
        began = time.perf_counter()
        copies = [Path(shutil.copyfile(each, target / each.name)) for each in source.iterdir()]
        for each in copies:
            with each.open("rb") as file:
                os.fsync(file.fileno())
        speeds.append(sum(each.stat().st_size for each in copies) / (time.perf_counter() - began))
        shutil.rmtree(target)
    return max(speeds)


async def _raw_get(settings: Settings, manifest: str) -> float:
    """Bytes in a second when the packs of a checkpoint are fetched, several at a time, and thrown away."""
    store = open_store(settings)
    data = await store.get(manifest)
    assert data is not None
    gate = asyncio.Semaphore(STREAMS)

    async def fetch(key: str) -> int:
        async with gate:
            body = await store.get(key)
            assert body is not None
            return len(body)

    began = time.perf_counter()
    sizes = await asyncio.gather(*(fetch(key) for key in Manifest.decode(manifest, data).packs))
    took = time.perf_counter() - began
    await store.close()
    return sum(sizes) / took


if __name__ == "__main__":
    main()
