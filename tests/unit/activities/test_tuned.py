"""What a training left behind becomes a model's files; what a machine of strangers wrote of it is taken in measure."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.tuned import FACTS, TunedActivities
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.fine_tuning import AdoptTunedInput, TunedModel
from holdfast.contracts.models import ModelKind
from holdfast.hosts.local import LocalChannel
from holdfast.settings import Settings
from tests import tiny_model

TOLD: dict[str, Any] = {
    "steps": 12,
    "last": {"step": 12, "loss": 0.5},
    "held_out_loss": 0.7,
    "differs": [],
    "place": {"device": "cpu", "torch": "2.14.1", "processes": 1},
    "answers": [{"prompt": "two?", "base": "", "tuned": "four\x1b[2J"}],
}


@pytest.fixture
def engine(tmp_path: Path) -> CheckpointEngine:
    return CheckpointEngine(FolderStore(tmp_path / "store"))


async def adopted(
    engine: CheckpointEngine, tmp_path: Path, files: dict[str, bytes], folder: str, *, base: str = ""
) -> TunedModel:
    job = tiny_model.written(tmp_path / "job", files)
    saved = await engine.save(
        LocalChannel(),
        workload="job--tuned",
        epoch=0,
        sequence=0,
        workspace=str(job),
        base_manifest=None,
        reason=SaveReason.WORKDIR,
    )
    body = TunedActivities(engine, settings=Settings(data_dir=tmp_path / "data")).adopt_tuned
    order = AdoptTunedInput(name="tuned", manifest=saved.manifest, folder=folder, base=base)
    told: TunedModel = await ActivityEnvironment().run(body, order)
    return told


def result(told: object = TOLD, *, folder: str = "adapter") -> dict[str, bytes]:
    facts = told if isinstance(told, bytes) else json.dumps(told).encode()
    return {
        f"output/{FACTS}": facts,
        f"output/{folder}/adapter_model.safetensors": tiny_model.safetensors({"a": (2, 2)}),
        f"output/{folder}/adapter_config.json": b"{}",
    }


async def test_an_adapter_s_files_are_hashed_with_the_page_of_facts_among_them(
    engine: CheckpointEngine, tmp_path: Path
) -> None:
    files = result()
    told = await adopted(engine, tmp_path, files, "output/adapter")
    assert {each.path: each.sha256 for each in told.stored.files} == {
        path.rpartition("/")[2]: hashlib.sha256(data).hexdigest() for path, data in files.items()
    }
    assert told.stored.kind is ModelKind.OTHER
    assert (told.steps, told.loss, told.held_out_loss, told.differs) == (12, 0.5, 0.7, ())
    assert told.place == {"device": "cpu", "torch": "2.14.1", "processes": "1"}
    assert told.answers[0].tuned == "four\ufffd[2J"
    assert list((tmp_path / "data/models").iterdir()) == [], "nothing of it stays on the worker's disk"
    await engine.restore(LocalChannel(), manifest=told.stored.manifest, workspace=str(tmp_path / "replica"))
    assert (tmp_path / "replica/adapter_config.json").read_bytes() == b"{}"


async def test_an_adapter_has_its_base_beside_it_and_takes_the_memory_of_that(
    engine: CheckpointEngine, tmp_path: Path
) -> None:
    folder = tiny_model.written(tmp_path / "base", tiny_model.files())
    staged = await engine.save(
        LocalChannel(),
        workload="job--tuned",
        epoch=0,
        sequence=0,
        workspace=str(folder),
        base_manifest=None,
        reason=SaveReason.WORKDIR,
    )
    alone = await adopted(engine, tmp_path / "alone", result(), "output/adapter")
    told = await adopted(engine, tmp_path / "both", result(), "output/adapter", base=staged.manifest)
    assert (told.stored.files, told.stored.digest) == (alone.stored.files, alone.stored.digest), "the adapter's alone"
    assert told.stored.kind is ModelKind.LLM
    assert told.stored.needs.weights_bytes == len(tiny_model.files()["model.safetensors"])
    await engine.restore(LocalChannel(), manifest=told.stored.manifest, workspace=str(tmp_path / "replica"))
    assert (tmp_path / "replica/adapter_config.json").read_bytes() == b"{}"
    for path, data in tiny_model.files().items():
        assert (tmp_path / "replica/base" / path).read_bytes() == data


async def test_a_whole_model_is_one_that_can_be_served(engine: CheckpointEngine, tmp_path: Path) -> None:
    whole = {f"output/model/{path}": data for path, data in tiny_model.files().items() if path in tiny_model.KEPT}
    told = await adopted(engine, tmp_path, {f"output/{FACTS}": json.dumps(TOLD).encode()} | whole, "output/model")
    assert told.stored.kind is ModelKind.LLM and told.stored.needs.parameters == tiny_model.PARAMETERS


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (result(b"no json"), "is no JSON"),
        (result([]), "is none"),
        (result({}), "makes no sense"),
        (result(TOLD | {"answers": [1]}), "makes no sense"),
        (result(TOLD | {"steps": "many"}), "makes no sense"),
        (result(folder="other"), "left no output/adapter"),
        (result(b" " * (5 * 1024 * 1024)), "too large"),
    ],
)
async def test_a_result_that_makes_no_sense_is_refused_for_good(
    engine: CheckpointEngine, tmp_path: Path, files: dict[str, bytes], why: str
) -> None:
    with pytest.raises(ApplicationError, match=why) as refused:
        await adopted(engine, tmp_path, files, "output/adapter")
    assert refused.value.type == ErrorType.SOURCE_REFUSED and refused.value.non_retryable
