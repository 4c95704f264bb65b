"""On a machine with an NVIDIA GPU: a training that is killed ends equal there too, with the methods that keep more."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gpu import lane
from tests.gpu.lane import LANE, ON_GPU, PYTHON, has, measured, ordered
from tests.training.conftest import Workspace, ended, wait_until

STEPS = 40
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(lane.lacks()), reason=lane.lacks())]
Make = Callable[[str], Workspace]


@pytest.fixture
def make(small_base: Path, tmp_path: Path) -> Make:
    def made(name: str) -> Workspace:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "base").symlink_to(small_base)
        workspace = Workspace(folder)
        workspace.extra |= lane.environment()
        return workspace

    return made


@pytest.mark.parametrize("method", ["full", "qlora"])
def test_killed_at_any_steps_it_ends_equal(make: Make, method: str) -> None:
    if method == "qlora" and not (ON_GPU and has("bitsandbytes")):
        pytest.skip("qlora needs a GPU and bitsandbytes beside torch")
    quiet, killed = (
        ordered(make(name), LANE.small, method=method, steps=STEPS, save_share=0.5) for name in ("quiet", "killed")
    )
    untouched = quiet.start(str(PYTHON))  # beside the other: nothing here is about time
    for least in sorted(random.Random(method).sample(range(2, STEPS // 2), 2)):
        _killed_after(killed, least)
    killed.train(str(PYTHON))
    code, told = ended(untouched)
    assert code == 0, told
    equal = (killed.digests(), killed.losses()) == (quiet.digests(), quiet.losses())
    began = [each["step"] for each in killed.lines("starts.jsonl")]
    measured(f"killed_{method}", ends_equal=equal, began_at_steps=began, learned=killed.facts()["learned"])
    assert killed.digests() == quiet.digests() and killed.digests()
    assert killed.losses() == quiet.losses()
    assert killed.facts()["starts"] == 3


def _killed_after(workspace: Workspace, step: int) -> None:
    process = workspace.start(str(PYTHON))
    try:
        wait_until(lambda: workspace.saved_step() >= step or process.poll() is not None)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    code, told = ended(process)
    assert code == -signal.SIGKILL, told
