"""Many workloads under one worker: what watching them costs, and whether all come back when many machines go at once.

    python benchmarks/fleet.py                          # 40 workloads: ten minutes
    python benchmarks/fleet.py --workloads 500 --quiet 300 --json found.json

1. Put so many workloads on machines of the simulated market. Each machine is a real SSH host with a real agent, each
   piece of work a process that reports its progress.
2. Leave them alone for a while, and measure the processor time and the memory of the worker.
3. Outbid a share of the machines within a minute, spread evenly.
4. Wait until each of those workloads has recovered. Every workload must run in the end, with as many incidents as
   machines it lost, on one machine; the market must hold no other.
5. Count the events that all this wrote into Temporal's histories.

An agent's sign of life comes every `--beat` seconds: each costs a simulated host two processes, and on a small computer
hundreds of hosts with one in every second would be all that is measured.

The market asks for no minimum interval between calls here: a provider that does would set the pace, not we.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from recoveries import quantile
from stack import clock, running_stack, say

from holdfast.client import Holdfast
from holdfast.client.errors import NoWorker, TemporalUnavailable, Unanswered
from holdfast.contracts import names
from holdfast.contracts.incidents import Incident, Phases
from holdfast.contracts.spec import CheckpointSpec, PriceSpec, ResourcesSpec, WorkloadSpec
from holdfast.contracts.workload import Phase
from holdfast.embedded import MARKET_FOLDER
from holdfast.settings import load_settings, variable
from holdfast.simcloud.control import SimControl
from holdfast.workers.stack.state import Home

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

PROFILE = """extends: default
credit: 1000000
boot: {{kind: constant, seconds: 0}}
threshold_scale: 0
slots:
  - {{gpu: RTX 4090, price: 0.30, bid: 0.17, machine: 20000, host: 2000, region: "Sweden, SE", count: {slots}}}
"""
WORK = """step=0
while :; do
    step=$((step + 1))
    echo "{\\"step\\": $step}" > "$HOLDFAST_PROGRESS_FILE.draft"
    mv "$HOLDFAST_PROGRESS_FILE.draft" "$HOLDFAST_PROGRESS_FILE"
    sleep 5
done"""
GLANCE = 1.0  # seconds
AT_ONCE = 6  # workloads that are begun, or asked about, at the same time
SPARE = 1.2  # machines for each workload
LOST_WITHIN = 60.0  # seconds
PATIENCE = 1800.0  # seconds without any news, before the run is given up
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Options:
    workloads: int
    lost: float
    quiet: float
    beat: float
    folder: Path | None
    json: Path | None


@dataclass(frozen=True, kw_only=True)
class Found:
    workloads: int
    beat: float  # seconds between two signs of life of an agent
    placed_in: float  # seconds, all of them
    quiet: float  # seconds
    worker_processor: float  # share of one core while nothing happened
    worker_memory_mb: float
    events_quiet: int  # of all workflows, in that time
    lost: int
    recovered: int
    twice: int  # workloads with more incidents than lost machines
    machines: int  # alive in the end
    seconds: dict[str, dict[str, float]]  # of the recoveries: p50, p95 and max, by phase and of the whole
    events_failover: dict[str, float]  # of one failover's own workflow: p50 and max
    events_around: float  # of one lost workload, all its workflows, from the loss on; median
    load: tuple[float, float]


def main() -> None:
    options = _options(sys.argv[1:])
    os.environ[variable("hosts", "heartbeat_interval")] = f"{options.beat:g}s"
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="holdfast-fleet-") as folder:
        found = asyncio.run(_measure(Path(folder), options))
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=2) + "\n")
    print(_table(found))
    if wrong := _wrongs(found):
        raise SystemExit("WRONG: " + "; ".join(wrong))


def _options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--workloads", metavar="N", type=int, default=40)
    parser.add_argument("--lost", metavar="SHARE", type=float, default=0.05, help="of the machines (0.05)")
    parser.add_argument(
        "--quiet", metavar="S", type=float, default=120.0, help="seconds in which nothing happens (120)"
    )
    parser.add_argument("--beat", metavar="S", type=float, default=5.0, help="seconds between signs of life (5)")
    parser.add_argument("--folder", type=Path, help="where to work; needs 5 MB for each workload")
    parser.add_argument("--json", metavar="FILE", type=Path)
    given = parser.parse_args(arguments)
    if not 1 <= given.workloads <= 2000 or not 0 < given.lost <= 1 or given.quiet < 1:
        parser.error("from 1 to 2000 workloads, a share above 0 and up to 1, and a second of quiet at least")
    return Options(**vars(given))


async def _measure(home: Path, options: Options) -> Found:
    profile = home / "profile.yaml"
    profile.write_text(PROFILE.format(slots=int(options.workloads * SPARE) + 2))
    before = os.getloadavg()[0]
    with running_stack(home, profile):
        async with Holdfast.connect(load_settings(data_dir=home)) as holdfast:
            with SimControl.of_data_dir(home / MARKET_FOLDER) as market:
                fleet = Fleet(holdfast, market, _worker_of(home), options)
                return await fleet.measure(before)


def _worker_of(home: Path) -> int:
    state = Home(home).read()
    assert state is not None, "the stack runs"
    return state.processes["worker-1"].pid


class Fleet:
    """All the workloads of one run."""

    def __init__(self, holdfast: Holdfast, market: SimControl, worker: int, options: Options) -> None:
        self._holdfast = holdfast
        self._market = market
        self._worker = worker
        self._options = options
        self._names = [f"f{number:04d}" for number in range(options.workloads)]

    async def measure(self, load_before: float) -> Found:
        began = time.monotonic()
        await _each(self._names, self._begin)
        await self._until_all_run()
        placed_in = time.monotonic() - began
        say(f"{len(self._names)} workloads run after {clock(placed_in)}; {self._options.quiet:g} s of quiet")

        events, used, quiet_since = await self._events(self._names), self._used(), time.monotonic()
        await asyncio.sleep(self._options.quiet)
        quiet, used = time.monotonic() - quiet_since, self._used() - used
        memory = _memory_mb(self._worker)
        events_quiet = sum((await self._events(self._names)).values()) - sum(events.values())
        say(f"the worker took {used / quiet:.0%} of a core and {memory:.0f} MB")

        lost = self._names[:: round(1 / self._options.lost)]
        events = await self._events(lost)
        await self._lose(lost)
        incidents = await self._recovered(lost)
        await self._until_all_run()
        events_after = await self._events(lost)
        counts = [len(found) for found in await _each(self._names, self._incidents)]
        failovers = [await self._length(names.failover_id(each.workload, each.epoch_lost)) for each in incidents]
        return Found(
            workloads=len(self._names),
            beat=self._options.beat,
            placed_in=placed_in,
            quiet=quiet,
            worker_processor=used / quiet,
            worker_memory_mb=memory,
            events_quiet=events_quiet,
            lost=len(lost),
            recovered=len({each.workload for each in incidents}),
            twice=sum(count > (name in lost) for name, count in zip(self._names, counts, strict=True)),
            machines=len(self._market.instances()),
            seconds=_spreads(incidents),
            events_failover={"p50": quantile(failovers, 0.5), "max": max(failovers)},
            events_around=quantile([events_after[name] - events[name] for name in lost], 0.5),
            load=(load_before, os.getloadavg()[0]),
        )

    async def _begin(self, name: str) -> None:
        spec = WorkloadSpec(
            name=name,
            command=WORK,
            price=PriceSpec(max_hourly=Decimal(3)),
            resources=ResourcesSpec(disk_gb=10),
            checkpoint=CheckpointSpec(every=timedelta(hours=6)),
            stop_grace=timedelta(seconds=1),
            providers=("vast",),
        )
        await self._holdfast.run(spec)
        await _until(lambda: self._runs(name), f"{name} runs")
        if (number := self._names.index(name) + 1) % 20 == 0:
            say(f"{number} of {len(self._names)} are placed")

    async def _runs(self, name: str) -> bool:
        return (await self._holdfast.status(name)).status.phase is Phase.RUNNING

    async def _until_all_run(self) -> None:
        await _each(self._names, lambda name: _until(lambda: self._runs(name), f"{name} runs"))

    async def _lose(self, lost: list[str]) -> None:
        say(f"{len(lost)} machines are outbid within {LOST_WITHIN:g} s")
        began = time.monotonic()
        for number, name in enumerate(lost):
            await asyncio.sleep(max(0.0, began + LOST_WITHIN * number / len(lost) - time.monotonic()))
            lease = (await self._holdfast.status(name)).status.lease
            assert lease is not None, f"{name} has a machine"
            await asyncio.to_thread(self._market.outbid, int(lease.instance_id))

    async def _recovered(self, lost: list[str]) -> list[Incident]:
        """The incidents of those workloads, each with its first progress."""

        async def last(name: str) -> Incident:
            async def is_over() -> bool:
                return any(each.recovered_at for each in await self._incidents(name))

            await _until(is_over, f"{name} has recovered")
            return (await self._incidents(name))[-1]

        return await _each(lost, last)

    async def _incidents(self, name: str) -> list[Incident]:
        return list((await self._holdfast.report(name)).incidents)

    async def _events(self, workloads: Iterable[str]) -> dict[str, int]:
        """In the histories of all workflows of each."""
        return dict(zip(workloads, await _each(workloads, self._events_of), strict=True))

    async def _events_of(self, name: str) -> int:
        client, total = self._holdfast.temporal, 0
        async for run in client.list_workflows(f"HoldfastWorkload = '{name}'"):
            total += await self._length(run.id, run.run_id)
        return total

    async def _length(self, workflow_id: str, run_id: str | None = None) -> int:
        handle = self._holdfast.temporal.get_workflow_handle(workflow_id, run_id=run_id)
        return (await handle.describe()).history_length

    def _used(self) -> float:
        """Seconds of processor time of the worker so far."""
        fields = Path(f"/proc/{self._worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


async def _each(given: Iterable[Asked], ask: Callable[[Asked], Awaitable[Answer]]) -> list[Answer]:
    """The answers in order; a few are asked at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Asked) -> Answer:
        async with gate:
            while True:
                try:
                    return await ask(each)
                except (NoWorker, Unanswered, TemporalUnavailable) as late:  # a worker that has much to do
                    say(f"asked again: {late}")
                    await asyncio.sleep(GLANCE)

    return list(await asyncio.gather(*(one(each) for each in given)))


async def _until(reached: Callable[[], Awaitable[bool]], what: str) -> None:
    """Raises SystemExit, which says what did not come."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await reached():  # noqa: ASYNC110 - what is waited for happens in other processes
                await asyncio.sleep(GLANCE)
    except TimeoutError as late:
        raise SystemExit(f"given up: still waiting until {what}") from late


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _spreads(incidents: list[Incident]) -> dict[str, dict[str, float]]:
    measures = {"took": [each.recovery_time or timedelta() for each in incidents]}
    for phase in fields(Phases):
        measures[phase.name] = [getattr(each.phases, phase.name) for each in incidents]
    return {
        name: {
            "p50": quantile(seconds, 0.5),
            "p95": quantile(seconds, 0.95),
            "max": max(seconds),
        }
        for name, spans in measures.items()
        for seconds in [[span.total_seconds() for span in spans]]
    }


def _wrongs(found: Found) -> list[str]:
    told = {
        f"{found.lost - found.recovered} of {found.lost} did not recover": found.recovered != found.lost,
        f"{found.twice} workloads moved more often than they lost a machine": found.twice > 0,
        f"{found.machines} machines for {found.workloads} workloads": found.machines != found.workloads,
    }
    return [words for words, is_so in told.items() if is_so]


def _table(found: Found) -> str:
    day = 86_400 / found.quiet / found.workloads
    lines = [
        f"{found.workloads} workloads, one worker, a sign of life every {found.beat:g} s, "
        f"load {found.load[0]:.1f} before, {found.load[1]:.1f} after",
        f"placed in {clock(found.placed_in)}",
        f"nothing happens: {found.worker_processor:.1%} of a core, {found.worker_memory_mb:.0f} MB, "
        f"{found.events_quiet * day:.0f} events per workload in a day",
        f"{found.lost} machines lost within {LOST_WITHIN:g} s: {found.recovered} recovered, {found.twice} moved twice, "
        f"{found.machines} machines in the end",
        f"events of a failover: {found.events_failover['p50']:.0f} (p50), {found.events_failover['max']:.0f} (max); "
        f"of all that is around it, {found.events_around:.0f}",
        f"{'seconds':12}{'p50':>8}{'p95':>8}{'max':>8}",
    ]
    for name, each in found.seconds.items():
        lines.append(f"{name:12}{each['p50']:8.2f}{each['p95']:8.2f}{each['max']:8.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
