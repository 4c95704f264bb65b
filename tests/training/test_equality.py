"""A training that is interrupted ends as one that is not: bit for bit, and without a jump in what it tells."""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.contracts.training import DataFormat
from tests.training.conftest import (
    ENVIRONMENT,
    PYTHON,
    Workspace,
    conversations,
    ended,
    laid_out,
    preferences,
    wait_until,
)

Make = Callable[[str], Workspace]
Quiet = Callable[[str], Workspace]
pytestmark = pytest.mark.timeout(1800)  # says nothing about speed: a busy computer needs minutes to import torch
STEPS = 40
LORA: dict[str, Any] = {
    "steps": STEPS,
    "batch": 2,
    "accumulate": 2,
    "rate": 0.01,
    "held_out": 0.1,
    "evaluate_every": 7,
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.2},
    "samples": {"prompts": ["what is 2 plus 2?"], "every": 9, "tokens": 4},
}
METHODS: dict[str, tuple[list[dict[str, Any]], DataFormat, dict[str, Any]]] = {
    "lora": (conversations(30), DataFormat.MESSAGES, LORA),
    "lora with half the layers and all activations kept": (
        conversations(30),
        DataFormat.MESSAGES,
        LORA | {"lora": LORA["lora"] | {"targets": ["q_proj", "v_proj"]}, "gradient_checkpointing": False},
    ),
    "full": (conversations(30), DataFormat.MESSAGES, LORA | {"method": "full", "rate": 0.001}),
    "dpo": (preferences(30), DataFormat.PREFERENCE, LORA | {"method": "dpo", "rate": 0.001}),
}
TORCHRUN = (str(PYTHON), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="session")
def quiet(base: Path, warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    """A training of this method that nobody touched; each is done once."""
    done: dict[str, Workspace] = {}

    def of(name: str) -> Workspace:
        if name not in done:
            data, form, parameters = METHODS[name]
            made = laid_out(tmp_path_factory.mktemp("quiet") / "w", base, warm).order(data, form, **parameters)
            made.train()
            done[name] = made
        return done[name]

    return of


@pytest.mark.parametrize("name", METHODS)
def test_killed_at_any_steps_it_ends_equal_and_its_losses_do_not_jump(
    workspace: Make, cold: Make, quiet: Quiet, name: str
) -> None:
    data, form, parameters = METHODS[name]
    make = cold if name == "lora" else workspace  # once as on a machine: an interpreter of its own for each start
    killed = make("killed").order(data, form, **parameters)
    for least in sorted(random.Random(name).sample(range(1, STEPS // 2), 2)):
        code, told = killed.hit_at(least)
        assert code == -signal.SIGKILL, told
    told = killed.train()
    assert "starting at step 0 " not in told, told
    assert killed.digests() == quiet(name).digests() and killed.digests()
    assert killed.losses() == quiet(name).losses() and [each[0] for each in killed.losses()] == list(
        range(1, STEPS + 1)
    )
    assert killed.lines("held-out.jsonl") == quiet(name).lines("held-out.jsonl")
    assert killed.lines("samples.jsonl") == quiet(name).lines("samples.jsonl")
    assert (killed.facts()["starts"], quiet(name).facts()["starts"]) == (3, 1)
    assert killed.facts()["differs"] == []


def test_another_seed_learns_something_else(workspace: Make, quiet: Quiet) -> None:
    data, form, parameters = METHODS["lora"]
    other = workspace("other").order(data, form, **parameters, seed=2)
    other.train()
    assert other.digests() and other.digests() != quiet("lora").digests()


def test_told_to_end_it_saves_the_step_it_is_at(workspace: Make, quiet: Quiet) -> None:
    data, form, parameters = METHODS["lora"]
    stopped = workspace("stopped").order(data, form, **parameters, save_share=0.0001)  # hardly ever by itself
    code, told = stopped.hit_at(5, how=signal.SIGTERM)
    assert code == 143 and "is saved" in told
    last = stopped.metrics()[-1]["step"]
    assert last < STEPS and f"starting at step {last} of" in stopped.train()
    assert stopped.digests() == quiet("lora").digests()


def test_asked_to_save_it_does_so_now_and_goes_on(workspace: Make) -> None:
    data, form, parameters = METHODS["lora"]
    asked = workspace("asked").order(data, form, **parameters | {"steps": 100_000}, save_every="1h")
    process = asked.start()
    wait_until(lambda: len(asked.metrics()) >= 3)
    state = asked.folder / "state/training.pt"
    assert not state.exists()
    saved = subprocess.run(
        [PYTHON, "trainer.pyz", "save-now", "run.json"], cwd=asked.folder, env=ENVIRONMENT, check=True
    )
    assert saved.returncode == 0 and state.exists() and process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    process = asked.start()
    wait_until(lambda: len(asked.lines("starts.jsonl")) == 2)
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    assert asked.lines("starts.jsonl")[1]["step"] >= 3
    late = subprocess.run(
        [PYTHON, "trainer.pyz", "save-now", "run.json"],
        cwd=asked.folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no trainer runs here" in late.stderr


def test_a_newer_state_beside_older_lines_leaves_no_gap(workspace: Make) -> None:
    """A checkpoint may have read the lines before the state was replaced."""
    data, form, parameters = METHODS["lora"]
    cut = workspace("cut").order(data, form, **parameters)
    cut.hit_at(8)
    lines = (cut.folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (cut.folder / "metrics.jsonl").write_text("".join(lines[:4]) + lines[4][:20])
    cut.train()
    assert [each["step"] for each in cut.metrics()] == list(range(1, STEPS + 1))


def test_two_processes_end_equal_after_a_kill_too_and_one_does_not_go_on_with_their_state(workspace: Make) -> None:
    data, form, parameters = METHODS["lora"]
    untouched = workspace("quiet").order(data, form, **parameters)
    untouched.train(*TORCHRUN)
    killed = workspace("killed").order(data, form, **parameters)
    code, told = killed.hit_at(6, *TORCHRUN)
    assert code == -signal.SIGKILL, told
    alone = workspace("alone").order(data, form, **parameters)
    shutil.copytree(killed.folder / "state", alone.folder / "state")
    code, told = alone.refused()
    assert code == 73 and "2 processes and here are 1" in told
    told = killed.train(*TORCHRUN)
    assert "starting at step 0 " not in told
    assert killed.digests() == untouched.digests()
    assert killed.losses() == untouched.losses()
