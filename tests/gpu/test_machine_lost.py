"""A LoRA of a model of real size whose machine is lost twice: equal to the end, and how long each loss costs."""

import random
import shutil
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts.checkpoints import CheckpointRef
from tests.gpu import lane
from tests.gpu.lane import LANE, PYTHON, measured, ordered
from tests.gpu.rental import WORK, Rental, lay_out, rented, stored
from tests.training.conftest import Workspace

STEPS = 40
LATER = 3  # steps that are made after a checkpoint, and lost
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(lane.lacks()), reason=lane.lacks())]


async def test_lost_twice_it_ends_equal_to_one_that_nobody_touched(real_base: Path, tmp_path: Path) -> None:
    untouched = ordered(_beside(tmp_path / "untouched", real_base), LANE.real, steps=STEPS)
    untouched.train(str(PYTHON))
    chance = random.Random(7)
    losses = []
    async with AsyncExitStack() as later:  # a machine that is gone is tidied up when nobody waits for it

        async def machine_of(epoch: int) -> Rental:
            return await later.enter_async_context(rented(tmp_path / f"machine-{epoch}", epoch))

        engine = await later.enter_async_context(stored(tmp_path / "store"))
        machine = await machine_of(1)
        ordered(lay_out(machine.workspace, real_base), LANE.real, steps=STEPS, save_every="1h")
        await machine.start()
        saved, gone = await _saved_and_lost(machine, engine, None, chance.randrange(3, 10))
        machine = await machine_of(2)
        losses.append(await _taken_up(machine, engine, saved, gone))
        saved, gone = await _saved_and_lost(machine, engine, saved, chance.randrange(20, 30))
        machine = await machine_of(3)
        losses.append(await _taken_up(machine, engine, saved, gone))
        await machine.ended()
        killed = machine.workspace
    equal = (killed.digests(), killed.losses()) == (untouched.digests(), untouched.losses())
    measured(
        "machine_lost",
        steps=STEPS,
        learned=killed.facts()["learned"],
        base_bytes=lane.size_of(real_base),
        ends_equal=equal,
        adapter_sha256=killed.digests()["output/adapter/adapter_model.safetensors"],
        losses=losses,
        place=killed.lines("starts.jsonl")[-1],
    )
    assert killed.digests() == untouched.digests()
    assert killed.losses() == untouched.losses() and [each[0] for each in killed.losses()] == [*range(1, STEPS + 1)]
    assert (killed.facts()["starts"], killed.facts()["differs"]) == (3, [])
    for each in ("store", "machine-1", "machine-2", "machine-3"):
        shutil.rmtree(tmp_path / each)  # some gigabytes


def _beside(folder: Path, base: Path) -> Workspace:
    """A workspace without a machine."""
    workspace = lay_out(Workspace(folder), base)
    workspace.extra |= lane.environment()
    return workspace


async def _saved_and_lost(
    machine: Rental, engine: CheckpointEngine, before: CheckpointRef | None, step: int
) -> tuple[CheckpointRef, float]:
    """Once this step is made there is a checkpoint, some more steps, and then no machine."""
    work = machine.workspace
    await machine.reached(lambda: len(work.metrics()) >= step, f"step {step}")
    saved = await machine.save(engine, before)
    told = len(work.metrics())
    await machine.reached(lambda: len(work.metrics()) >= told + LATER, "some steps more")
    assert len(work.metrics()) < STEPS, "it was to be lost in the middle"
    return saved, machine.lose()


async def _taken_up(machine: Rental, engine: CheckpointEngine, saved: CheckpointRef, gone: float) -> dict[str, Any]:
    """From the loss of a machine to the first new step on another; what each part took, in seconds."""
    work, marks = machine.workspace, {"agent": time.monotonic()}
    summary = await engine.restore(machine.channel, manifest=saved.manifest, workspace=WORK)
    marks["restore"] = time.monotonic()
    starts = len(work.lines("starts.jsonl"))
    await machine.start()
    await machine.reached(lambda: len(work.lines("starts.jsonl")) > starts, "it has taken up the state")
    marks["begin"] = time.monotonic()
    first = int(work.lines("starts.jsonl")[-1]["step"]) + 1
    await machine.reached(lambda: len(work.metrics()) >= first, "the first new step")
    marks["first_step"] = time.monotonic()
    parts, last = {}, gone
    for name, at in marks.items():
        parts[name], last = round(at - last, 2), at
    return {"to_first_new_step": round(last - gone, 2), **parts, "step": first, "restored_bytes": summary.bytes_total}
