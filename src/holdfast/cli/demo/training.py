"""The main job: a training run that loses its machine twice, and ends as if it never had."""

import asyncio
from pathlib import Path

from holdfast.cli import console
from holdfast.cli.commands import report
from holdfast.cli.demo.findings import DemoFailed, Finding, nothing_left
from holdfast.cli.demo.stage import WEIGHTS, Stage, digest, set_stage
from holdfast.cli.demo.story import play
from holdfast.cli.demo.telling import web_ui
from holdfast.client.folders import restore_folder
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.reports import WorkloadReport
from holdfast.embedded import MARKET_FOLDER
from holdfast.settings import load_settings


async def show(home: Path) -> list[Finding]:
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
            return [_recovered(record), await _same_weights(holdfast, stage, home), nothing_left(stage.market)]


def _where_to_look(home: Path, stage: Stage) -> None:
    console.answer(f"\nThe same story in the Temporal Web UI: {web_ui(home)}/namespaces/default/workflows")
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
