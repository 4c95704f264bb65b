"""Inputs of jobs: fetched once, proven, laid out; outputs cut out of what was saved last."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.inputs import InputActivities
from holdfast.activities.secrets import SecretSource
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.client.folders import pin_of
from holdfast.contracts import activities as acts
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.jobs import InputSpec, StagedInput
from holdfast.hosts.local import LocalChannel
from holdfast.models.staging import stage_local
from holdfast.settings import ModelSettings, Settings
from holdfast.telemetry.metrics import Metrics
from tests import hub, tiny_model

WEIGHTS = tiny_model.files()["model.safetensors"]


@pytest.fixture
def engine(tmp_path: Path) -> CheckpointEngine:
    return CheckpointEngine(FolderStore(tmp_path / "store"))


@pytest.fixture
def shelf() -> Iterator[hub.Hub]:
    with hub.running() as running:
        running.models["datasets/org/tiny"] = hub.Shelf(files=tiny_model.files())
        yield running


@pytest.fixture
def inputs(engine: CheckpointEngine, shelf: hub.Hub, tmp_path: Path) -> InputActivities:
    settings = Settings(data_dir=tmp_path / "data", models=ModelSettings(hub_url=shelf.address))
    secrets = SecretSource(settings.data_dir / "secrets")
    return InputActivities(engine, settings=settings, secrets=secrets, metrics=Metrics(CollectorRegistry()))


async def staged(inputs: InputActivities, **wanted: object) -> StagedInput:
    order = acts.StageInput(job="j", wanted=InputSpec.model_validate({"at": "data", **wanted}))
    answer: StagedInput = await ActivityEnvironment().run(inputs.stage_input, order)
    return answer


async def put(engine: CheckpointEngine, folder: Path) -> CheckpointRef:
    return await engine.save(
        LocalChannel(),
        workload="job--j",
        epoch=0,
        sequence=0,
        workspace=str(folder),
        base_manifest=None,
        reason=SaveReason.WORKDIR,
    )


async def paths_in(engine: CheckpointEngine, manifest: str) -> list[str]:
    return [each["path"] for each in (await engine.read_manifest(manifest)).entries if each["kind"] == "file"]


async def test_data_of_the_hub_is_fetched_once_and_pinned_by_its_files(
    inputs: InputActivities, engine: CheckpointEngine, shelf: hub.Hub, tmp_path: Path
) -> None:
    first = await staged(inputs, source="hf:datasets/org/tiny")
    assert first.source == f"hf:datasets/org/tiny@{'a' * 40}"
    files = {path: data for path, data in tiny_model.files().items() if path != ".gitattributes"}
    assert sorted(await paths_in(engine, first.manifest)) == sorted(files)
    for path, data in files.items():
        (tmp_path / "mine" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / path).write_bytes(data)
    assert first.sha256 == pin_of(tmp_path / "mine"), "as `job pin` tells it"
    asked = shelf.asked["model.safetensors"]
    again = await staged(inputs, source="hf:datasets/org/tiny", sha256=first.sha256)
    assert replace(again, manifest=first.manifest) == first, "manifests tell when folders were last written into, too"
    assert shelf.asked["model.safetensors"] == asked, "it was on the worker's disk"


async def test_other_files_than_are_pinned_are_refused(inputs: InputActivities) -> None:
    with pytest.raises(ApplicationError, match="not what the spec pins") as refusal:
        await staged(inputs, source="hf:datasets/org/tiny", sha256="0" * 64)
    assert (refusal.value.type, refusal.value.non_retryable) == ("SourceRefused", True)


async def test_a_file_of_the_web_is_a_file_and_pinned_by_its_own_hash(
    inputs: InputActivities, engine: CheckpointEngine, shelf: hub.Hub
) -> None:
    url = f"{shelf.address}/datasets/org/tiny/resolve/{'a' * 40}/model.safetensors"
    found = await staged(inputs, source=url, sha256=hashlib.sha256(WEIGHTS).hexdigest())
    assert (found.single, found.bytes_total) == (True, len(WEIGHTS))
    told: acts.PlannedInput = await ActivityEnvironment().run(inputs.plan_input, InputSpec(source=url, at="w"))
    assert told.bytes_total == len(WEIGHTS)
    with pytest.raises(ApplicationError, match="404") as refusal:
        await ActivityEnvironment().run(inputs.plan_input, InputSpec(source=f"{shelf.address}/none.txt", at="w"))
    assert refusal.value.type == "SourceRefused"


@pytest.mark.parametrize("source", ["hf:", "s3://", "https://example.org", "ftp://example.org/x"])
async def test_what_names_no_source_is_refused(inputs: InputActivities, source: str) -> None:
    with pytest.raises(ApplicationError) as refusal:
        await ActivityEnvironment().run(inputs.plan_input, InputSpec(source=source, at="w"))
    assert refusal.value.type == "SourceRefused"


async def test_files_and_inputs_are_laid_into_one_workspace(
    inputs: InputActivities, engine: CheckpointEngine, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/train.py").write_text("run")
    (tmp_path / "one.txt").write_text("1")
    code = await put(engine, tmp_path / "code")
    one = await stage_local(
        engine, tmp_path / "one.txt", InputSpec(source="one.txt", at="data/one"), job="j", scratch=tmp_path / "scratch"
    )
    hub_data = await staged(inputs, source="hf:datasets/org/tiny", only=["config.json"])
    order = acts.LayOutInput(job="j", workdir=code, staged=(one, hub_data))
    with pytest.raises(ApplicationError, match="data"):  # a file and a folder cannot both be data/…
        await ActivityEnvironment().run(inputs.lay_out, acts.LayOutInput(job="j", workdir=code, staged=(one, one)))
    zero: CheckpointRef = await ActivityEnvironment().run(inputs.lay_out, order)
    assert await paths_in(engine, zero.manifest) == ["data/config.json", "data/one", "train.py"]
    again: CheckpointRef = await ActivityEnvironment().run(inputs.lay_out, order)
    assert again.manifest == zero.manifest
    await engine.restore(LocalChannel(), manifest=zero.manifest, workspace=str(tmp_path / "out"))
    assert (tmp_path / "out/data/one").read_text() == "1"


async def test_outputs_are_cut_out_and_what_is_lacking_is_told(
    inputs: InputActivities, engine: CheckpointEngine, tmp_path: Path
) -> None:
    for path in ("data/in", "model/a", "log"):
        (tmp_path / "work" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "work" / path).write_text(path)
    head = await put(engine, tmp_path / "work")

    async def kept(*patterns: str) -> tuple[list[str], tuple[str, ...]]:
        order = acts.KeepOutputsInput(job="j", attempt=1, head=head, patterns=patterns, inputs=("data",))
        found = await ActivityEnvironment().run(inputs.keep_outputs, order)
        return await paths_in(engine, found.manifest), found.missing

    assert await kept() == (["log", "model/a"], ())
    assert await kept("model", "plots") == (["model/a"], ("plots",))
