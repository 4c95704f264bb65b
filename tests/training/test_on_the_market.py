"""A fine-tuning on the simulated market: outbid once, killed twice, equal to one that nobody touched, and served."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from holdfast.client.errors import DatasetInvalid, HoldfastError
from holdfast.client.fine_tuning import TuneWish
from holdfast.client.holdfast import Holdfast
from holdfast.client.tuned_serving import Serving
from holdfast.contracts.deployments import ReleaseState
from holdfast.contracts.fine_tuning import FineTuneStatus, TunePhase
from holdfast.contracts.jobs import JobCause
from holdfast.contracts.models import ServeOptions
from holdfast.contracts.training import DataFormat
from tests.scenarios.stage import Stage, run_stage, slots
from tests.training.conftest import HERE, PYTHON, Workspace, conversations

pytestmark = pytest.mark.timeout(2400)  # five starts of torch, each of minutes on a busy computer
PATIENCE = 900.0  # seconds for anything that must come true there
STEPS = 150
WITHIN = timedelta(seconds=PATIENCE)
SERVE = HERE / "serve.py"
CHANGES = (
    f"steps={STEPS}",
    "batch=2",
    "accumulate=12",
    "rate=0.01",
    "precision=fp32",
    "save_every=0s",
    "lora.rank=4",
    "lora.dropout=0.2",
    'samples.prompts=["what is 2 plus 2?"]',
    "samples.tokens=4",
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Iterator[Stage]:
    with run_stage(tmp_path_factory.mktemp("stack"), slots("RTX 4090", 12, first_machine=100)) as (running, _):
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def holdfast(stage: Stage) -> AsyncIterator[Holdfast]:
    async with Holdfast.connect(stage.settings) as connected:
        yield connected


@pytest.fixture
def wish(base: Path, tmp_path: Path) -> TuneWish:
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in conversations(30)))
    return TuneWish(
        name="tuned",
        base=str(base),
        dataset=data,
        changes=CHANGES,
        gpu_memory_gb=1,
        python=str(PYTHON),
        setup="",
        job={
            "price": {"max_hourly": "0.60"},
            "providers": ["vast"],
            "resources": {"gpu": "RTX 4090", "terms": "interruptible", "disk_gb": 10},
            "checkpoint": {"every": "1s"},
            # A busy computer is silent for seconds: a machine is not to be given up for that.
            "failover": {"silence": "20s", "boot_timeout": "5m"},
            "stop_grace": "1m",
        },
    )


async def until(holdfast: Holdfast, name: str, reached: Callable[[FineTuneStatus], bool], what: str) -> FineTuneStatus:
    last: object = "nothing is known"
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    last = status = await holdfast.fine_tunings.status(name)
                except HoldfastError as nobody_knows:
                    last = nobody_knows
                else:
                    if reached(status):
                        return status
                    assert not status.phase.is_final, f"it ended before {what}: {status}"
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE:g} s: {what}; last: {last}") from None


async def has_learned(holdfast: Holdfast, name: str, *, epoch: int) -> None:
    """Until a machine of this epoch or a later one has trained, and what it learned there is saved."""
    workload = f"{name}-a1"
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                found = (await holdfast.status(workload)).status
            except HoldfastError:
                found = None
            head = found.head if found else None
            if found and head and found.epoch >= epoch and head.epoch >= epoch and "step" in (head.progress or ""):
                return
            await asyncio.sleep(0.1)


async def test_outbid_once_and_killed_twice_it_ends_equal(
    stage: Stage, holdfast: Holdfast, wish: TuneWish, workspace: Callable[[str], Workspace]
) -> None:
    served = ServeOptions(max_hourly=Decimal("0.60"), image="python:3.12", command=f"exec {PYTHON} {SERVE}")
    wish = replace(wish, serve=Serving(deployment="adder", recipe="command", options=served, within=WITHIN))
    submitted = await holdfast.fine_tunings.submit(wish)
    assert (submitted.model, submitted.deployment) == ("tuned", "adder") and submitted.token
    for epoch, strike in ((1, stage.market.outbid), (2, stage.market.kill), (3, stage.market.kill)):
        await has_learned(holdfast, wish.name, epoch=epoch)
        strike(f"{wish.name}-a1")
    await has_learned(holdfast, wish.name, epoch=4)
    status = await until(holdfast, wish.name, lambda status: status.phase is TunePhase.SUCCEEDED, "it serves")
    quiet = workspace("quiet").order(conversations(30), DataFormat.MESSAGES, **parameters())
    quiet.train()

    assert status.registered is not None and status.registered.lineage is not None
    view = await holdfast.model("tuned")
    weights = {each.path: each.sha256 for each in view.model.contents}["adapter_model.safetensors"]
    assert weights == quiet.digests()["output/adapter/adapter_model.safetensors"]
    lineage = status.registered.lineage
    assert view.model.lineage == lineage
    assert (lineage.attempts, lineage.steps, lineage.differs) == (1, STEPS, ()) and lineage.incidents >= 3
    assert lineage.data.sha256 == submitted.sha256 and lineage.cost > 0 and lineage.trainer and lineage.base_sha256
    assert [each.prompt for each in status.answers] == ["what is 2 plus 2?"]
    assert status.answers[0].base != status.answers[0].tuned

    assert status.release is not None and status.release.state is ReleaseState.SERVING
    (compared,) = status.release.compared
    assert (compared.base, compared.tuned) == (status.answers[0].base, status.answers[0].tuned), (
        "as when it was trained"
    )
    assert compared.differs and compared.trained == compared.tuned
    deployed = await holdfast.deployments.status("adder")
    assert deployed.serving == "adder-v1" and deployed.releases[0].compared == (compared,)

    series = {each.name: each.points for each in await holdfast.jobs.series(wish.name)}
    losses = [(each.step, each.value) for each in series["loss"]]
    assert losses == [(each["step"], each["loss"]) for each in quiet.metrics()]


def parameters() -> dict[str, Any]:
    """The same order, as a run beside the market has it."""
    return {
        "steps": STEPS,
        "batch": 2,
        "accumulate": 12,
        "rate": 0.01,
        "max_length": 2048,
        "lora": {"rank": 4, "alpha": 32, "dropout": 0.2},
        "samples": {"prompts": ["what is 2 plus 2?"], "tokens": 4},
    }


async def test_cancelled_it_saves_and_registers_nothing(holdfast: Holdfast, wish: TuneWish) -> None:
    wish = replace(wish, name="given-up")
    await holdfast.fine_tunings.submit(wish)
    await has_learned(holdfast, wish.name, epoch=1)
    await holdfast.fine_tunings.cancel(wish.name)
    ended = await holdfast.fine_tunings.wait(wish.name)
    assert ended.phase is TunePhase.CANCELLED and ended.registered is None
    assert [each for each in await holdfast.models() if each.name == wish.name] == []


async def test_examples_that_are_too_long_end_it_at_once_and_say_so(holdfast: Holdfast, wish: TuneWish) -> None:
    wish = replace(wish, name="too-long", changes=(*CHANGES, "max_length=12"))
    await holdfast.fine_tunings.submit(wish)
    ended = await holdfast.fine_tunings.wait(wish.name)
    assert ended.phase is TunePhase.FAILED and ended.job is not None
    assert (ended.job.cause, ended.job.exit_code) == (JobCause.CODE, 65)
    reader = holdfast.jobs.logs(wish.name)
    assert "30 examples have more than 12 tokens" in "".join([text async for text in reader.so_far()])


async def test_a_malformed_data_set_is_refused_before_anything_begins(holdfast: Holdfast, wish: TuneWish) -> None:
    wish = replace(wish, name="malformed")
    with wish.dataset.open("a") as data:
        data.write('{"messages": []}\n')
    with pytest.raises(DatasetInvalid, match="line 31"):
        await holdfast.fine_tunings.submit(wish)
    with pytest.raises(HoldfastError):
        await holdfast.fine_tunings.status(wish.name)
