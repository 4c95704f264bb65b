"""What checkpoints cost a training: steps per second with and without them, in turn, in one and the same process."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts.checkpoints import CheckpointRef
from tests.gpu import lane
from tests.gpu.lane import LANE, ON_GPU, measured, ordered
from tests.gpu.rental import GLANCE, PATIENCE, Rental, lay_out, rented, stored

AIM = 0.035
"""CheckFreq's figure: the share of the time that checkpoints may cost."""
WARM = 10  # steps before anything counts
USUAL = 60.0  # seconds: from one written state to the next, where nothing else is ordered
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(lane.lacks()), reason=lane.lacks())]


@dataclass(frozen=True)
class Window:
    """Some seconds of a training."""

    steps: int
    seconds: float
    longest: float  # seconds between two lines
    saved: CheckpointRef | None

    @property
    def speed(self) -> float:
        return self.steps / self.seconds


async def test_checkpoints_cost_less_than_the_aim(real_base: Path, tmp_path: Path) -> None:
    without, having = [], []
    async with stored(tmp_path / "store") as engine, rented(tmp_path / "machine", 1) as machine:
        work = ordered(lay_out(machine.workspace, real_base), LANE.real, steps=1_000_000, save_every="1h")
        await machine.start()
        await machine.reached(lambda: len(work.metrics()) >= WARM, "it is warm")
        saved = await machine.save(engine, None)  # the base goes to the store once, and is there in earnest before
        for pair in range(LANE.pairs):
            for saves in (False, True) if pair % 2 == 0 else (True, False):
                window = await _window(machine, engine, saved if saves else None)
                (having if saves else without).append(window)
                saved = window.saved or saved
        state = (work.folder / "state/training.pt").stat().st_size
        tokens = work.metrics()[-1]["tokens"] / len(work.metrics())
    overhead = mean(each.speed for each in without) / mean(each.speed for each in having) - 1
    lost = [b.seconds - b.steps / mean(each.speed for each in without) for b in having]
    measured(
        "saving",
        cadence_seconds=LANE.cadence,
        steps_per_second={
            "without": [round(each.speed, 3) for each in without],
            "with": [round(each.speed, 3) for each in having],
        },
        tokens_per_step=round(tokens),
        state_bytes=state,
        overhead=round(overhead, 4),
        seconds_lost_by_each=[round(each, 3) for each in lost],
        longest_pause={
            "without": [round(each.longest, 3) for each in without],
            "with": [round(each.longest, 3) for each in having],
        },
        seconds_to_the_store=[round(each.saved.duration.total_seconds(), 2) for each in having if each.saved],
        overhead_at_one_minute=round(mean(lost) / USUAL, 4),
    )
    if ON_GPU:
        assert overhead < AIM


async def _window(machine: Rental, engine: CheckpointEngine, after: CheckpointRef | None) -> Window:
    """The next seconds: from one line to another. With `after` a checkpoint is made at their beginning."""
    lines = Lines(machine.workspace.folder / "metrics.jsonl")
    await lines.grow()
    count, began, longest = lines.count, lines.at, 0.0
    saving = asyncio.create_task(machine.save(engine, after)) if after else None
    while lines.at - began < LANE.cadence or (saving and not saving.done()):
        before = lines.at
        await lines.grow()
        longest = max(longest, lines.at - before)
    return Window(lines.count - count, lines.at - began, longest, await saving if saving else None)


class Lines:
    """Counts the lines of a file that grows, and knows when the last of them was written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.count = self._file.read().count(b"\n")
        self.at = os.fstat(self._file.fileno()).st_mtime

    async def grow(self) -> None:
        """Until there is another one."""
        deadline = time.monotonic() + PATIENCE
        while not (more := self._file.read().count(b"\n")):
            assert time.monotonic() < deadline, "no line comes any more"
            await asyncio.sleep(GLANCE)
        self.count += more
        self.at = os.fstat(self._file.fileno()).st_mtime
