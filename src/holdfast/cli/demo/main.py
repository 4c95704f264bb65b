"""`holdfast demo`: the main job, shown and checked. Its exit code is 0 only if all of it held."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.cli import console
from holdfast.cli.commands import report
from holdfast.cli.demo.stage import WEIGHTS, Stage, digest, set_stage
from holdfast.cli.demo.story import DemoFailed, play
from holdfast.client.folders import restore_folder
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.reports import WorkloadReport
from holdfast.embedded import MARKET_FOLDER
from holdfast.settings import load_settings
from holdfast.workers.stack.commands import down, status, up
from holdfast.workers.stack.plan import UpOptions

MARKET_SETTLES_WITHIN = 60.0  # seconds for the last destroyed machine to be gone


@dataclass(frozen=True)
class Finding:
    """One thing that the demo promises, and whether it held."""

    what: str
    holds: bool
    detail: str


def run_demo(*, data_dir: Path | None, keep: bool, port: str) -> int:
    """Play it in `data_dir`, or in a fresh folder that is removed after a success.

    Whatever interrupts it, no process is left behind, unless asked to keep everything.
    """
    home = data_dir or Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    held = False
    try:
        held = _play(home, port=port, keep=keep)
    finally:
        _leave(home, remove=held and not keep and data_dir is None, runs=keep)
    return 0 if held else 1


def _play(home: Path, *, port: str, keep: bool) -> bool:
    """Whether everything held that the demo promises."""
    began = time.monotonic()
    with _stack(home, port=port, keep=keep):
        findings = asyncio.run(_show(home))
    console.answer("")
    for finding in findings:
        console.answer(f"{'ok  ' if finding.holds else 'FAIL'}  {finding.what}: {finding.detail}")
    held = all(finding.holds for finding in findings)
    console.say(f"\ndemo {'passed' if held else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return held


@contextmanager
def _stack(home: Path, *, port: str, keep: bool) -> Iterator[None]:
    up(UpOptions(data_dir=home, workers=1, detach=True, auto_ports=port == "auto", ports={}), console.say)
    console.say("")
    try:
        yield
    finally:
        if not keep:
            down(home, lambda line: None)


async def _show(home: Path) -> list[Finding]:
    with set_stage(home, home / MARKET_FOLDER) as stage:
        async with Holdfast.connect(load_settings(data_dir=home)) as holdfast:
            try:
                await play(holdfast, stage, console.say)
            except (DemoFailed, TimeoutError) as err:
                return [Finding("the run finishes", False, str(err) or "not in time")]
            record = await holdfast.report(stage.spec.name)
            console.answer("")
            report.show(record)
            _where_to_look(home, stage)
            return [_recovered(record), await _same_weights(holdfast, stage, home), _nothing_left(stage)]


def _where_to_look(home: Path, stage: Stage) -> None:
    addresses = status(home).addresses
    ui = next((address for name, address in addresses.items() if "Web UI" in name), "")
    console.answer(f"\nThe same story in the Temporal Web UI: {ui}/namespaces/default/workflows")
    console.answer(f"(workload/{stage.spec.name}, failover/{stage.spec.name}/e1 and /e2; --keep leaves it running)")


def _recovered(record: WorkloadReport) -> Finding:
    times = [each.recovery_time for each in record.incidents if each.recovery_time is not None]
    told = ", ".join(f"{each.total_seconds():.1f} s" for each in times)
    return Finding("two machines lost, two recoveries", len(record.incidents) == len(times) == 2, f"in {told}")


async def _same_weights(holdfast: Holdfast, stage: Stage, home: Path) -> Finding:
    """Restore the last checkpoint here and compare it with the run that nobody disturbed."""
    folder = home / "result"
    newest = await holdfast.checkpoint(stage.spec.name)
    await restore_folder(newest, folder, settings=load_settings(data_dir=home))
    ours = digest(folder / WEIGHTS)
    undisturbed = await asyncio.to_thread(stage.undisturbed.digest)
    detail = f"sha256 {ours[:16]}… and {undisturbed[:16]}…"
    return Finding("the weights equal an undisturbed run's, bit for bit", ours == undisturbed, detail)


def _nothing_left(stage: Stage) -> Finding:
    """By the market's own books: no machine alive, and none billed after it was let go."""
    until = time.monotonic() + MARKET_SETTLES_WITHIN
    while (alive := stage.market.instances()) and time.monotonic() < until:
        time.sleep(0.25)
    bill = stage.market.bill()
    machines = bill["lines"]
    open_ones = [each for each in machines if each["until"] is None]
    detail = f"{len(machines)} machines rented, {len(alive)} alive, ${float(bill['total']):.4f} billed"
    return Finding("no machine is left alive or billing", not alive and not open_ones, detail)


def _leave(home: Path, *, remove: bool, runs: bool) -> None:
    if remove:
        shutil.rmtree(home)
    elif runs:
        console.say(f"everything is kept in {home}; `holdfast down --data-dir {home}` ends what runs")
    else:
        console.say(f"nothing runs any more; what was written is kept in {home}")
