"""Random faults over several workloads for minutes; then every promise is checked.

make chaos                                     five minutes, a seed of the day
HOLDFAST_CHAOS_SEED=7 HOLDFAST_CHAOS_MINUTES=20 make chaos
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.client.holdfast import Holdfast
from holdfast.contracts.reports import WorkloadReport
from tests.chaos.faults import Faults
from tests.scenarios.stage import Stage, run_stage, slots
from tests.scenarios.story import Story, Undisturbed, training
from tests.scenarios.witness import Witness

SEED = int(os.environ.get("HOLDFAST_CHAOS_SEED") or time.time())
MINUTES = float(os.environ.get("HOLDFAST_CHAOS_MINUTES") or 5)
WORKLOADS = 3
PACE = 0.2  # seconds per step
STEPS = int(MINUTES * 60 / PACE / 3)  # undisturbed they would need a third of the time
AFTERWARDS = 600.0  # seconds for everything to end once nobody strikes any more


@pytest.mark.chaos
async def test_whatever_fails_every_workload_finishes_whole_and_the_books_are_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say = _teller(capsys)
    say(f"seed {SEED}, {MINUTES:g} minutes, {WORKLOADS} workloads of {STEPS} steps")
    try:
        with run_stage(tmp_path / "stack", slots("RTX 4090", 30, first_machine=100)) as (stage, witness):
            async with Holdfast.connect(stage.settings) as holdfast:
                stories = _stories(stage, witness, holdfast, tmp_path)
                await asyncio.gather(*(story.begins() for story in stories))
                faults = Faults(stage, [story.name for story in stories], random.Random(SEED))
                await _strike(faults, say)
                await asyncio.gather(*(story.finishes(within=AFTERWARDS) for story in stories))
                reports = [await story.is_whole(steps=STEPS) for story in stories]
            say(f"struck: {dict(faults.struck)}")
            _sum_up(reports, stage, say)
    except BaseException:
        say(f"FAILED; HOLDFAST_CHAOS_SEED={SEED} draws the same faults; the logs are in {tmp_path}/stack/logs")
        raise


async def _strike(faults: Faults, say: Callable[[str], None]) -> None:
    until = time.monotonic() + MINUTES * 60
    while time.monotonic() < until:
        await asyncio.sleep(faults.pause())
        say(await asyncio.to_thread(faults.strike))
    await asyncio.to_thread(faults.end)
    say("no more faults")


def _stories(stage: Stage, witness: Witness, holdfast: Holdfast, folder: Path) -> list[Story]:
    undisturbed = Undisturbed(folder / "undisturbed")
    stories = []
    for number in range(1, WORKLOADS + 1):
        scratch = folder / f"chaos-{number}"
        scratch.mkdir()
        spec = training(scratch.name, steps=STEPS, pace=PACE)
        stories.append(Story(spec, stage, holdfast, witness, undisturbed, scratch))
    return stories


def _sum_up(reports: list[WorkloadReport], stage: Stage, say: Callable[[str], None]) -> None:
    for report in reports:
        times = [each.recovery_time.total_seconds() for each in report.incidents if each.recovery_time]
        causes = ", ".join(str(each.cause) for each in report.incidents) or "no loss"
        slowest = f"; slowest recovery {max(times):.1f} s" if times else ""
        say(f"{report.workload}: {len(report.leases)} leases, {len(report.checkpoints)} checkpoints; {causes}{slowest}")
    bill = stage.market.bill()
    say(f"the market's bill: {len(bill['lines'])} machines, ${float(bill['total']):.4f}; all weights equal")


def _teller(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says things at once: a run of minutes should be seen to go on."""
    began = time.monotonic()

    def say(what: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {what}\n")
            sys.stdout.flush()

    return say
