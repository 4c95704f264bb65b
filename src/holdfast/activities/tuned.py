"""What a training left behind becomes a model's files.

For the host workers, which hold the store's key and have a disk.
"""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.activities.translation import translated
from holdfast.checkpoints import grafting
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.format import Manifest
from holdfast.contracts.fine_tuning import AdoptTunedInput, Answer, TunedModel
from holdfast.contracts.hearsay import words
from holdfast.contracts.models import ModelKind, ModelNeeds, StoredModel
from holdfast.hosts.local import LocalChannel
from holdfast.models.errors import SourceRefused
from holdfast.models.inspecting import config_of, files_of
from holdfast.models.storing import store_folder
from holdfast.policy.model_memory import Measured, needs_of
from holdfast.policy.serving import BASE_FOLDER
from holdfast.settings import Settings

FACTS = "training.json"
"""What the trainer wrote of the result, beside it."""
_MOST_FACTS = 4 * 1024 * 1024  # bytes
_MOST_ANSWERS = 20


class TunedActivities:
    """Repeating it is safe: equal files are the same model."""

    def __init__(self, engine: CheckpointEngine, *, settings: Settings) -> None:
        self._engine = engine
        self._folder = settings.data_dir / "models"

    @activity.defn
    async def adopt_tuned(self, order: AdoptTunedInput) -> TunedModel:
        self._folder.mkdir(parents=True, exist_ok=True)
        async with beating():
            with translated(), TemporaryDirectory(prefix="tuned-", dir=self._folder) as place:
                return await self._adopted(order, Path(place))

    async def _adopted(self, order: AdoptTunedInput, place: Path) -> TunedModel:
        await self._engine.restore(LocalChannel(), manifest=order.manifest, workspace=str(place / "job"))
        folder = place / "job" / order.folder
        facts = folder.parent / FACTS
        if not folder.is_dir() or not facts.is_file():
            raise SourceRefused(f"the job left no {order.folder} with a {FACTS} beside it")
        told = _read(facts)
        await asyncio.to_thread(shutil.move, facts, folder / FACTS)
        files = await asyncio.to_thread(files_of, folder)
        kind = ModelKind.LLM if (folder / "config.json").is_file() else ModelKind.OTHER
        stored = await store_folder(self._engine, folder, name=order.name, files=files, kind=kind, memory_bytes=None)
        if order.base:
            stored = await self._beside_its_base(stored, order, place)
        try:
            return _told(stored, told)
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise SourceRefused(f"the {FACTS} of the result makes no sense: {err}") from None

    async def _beside_its_base(self, stored: StoredModel, order: AdoptTunedInput, place: Path) -> StoredModel:
        """An adapter serves nothing by itself: its base stands beside it, in the store's own chunks. No byte is moved.

        What the version *is*, its files and its digest, is the adapter alone.
        """
        base, adapter = await self._engine.read_manifest(order.base), await self._engine.read_manifest(stored.manifest)
        grafts = (grafting.Graft(manifest=adapter, at=""), grafting.Graft(manifest=base, at=BASE_FOLDER))
        both = grafting.grafted(grafts, workload=adapter.workload, taken_at=adapter.taken_at)
        key = await self._engine.write_manifest(both)
        return replace(stored, manifest=key, kind=ModelKind.LLM, needs=await self._needs_of(base, place / "base"))

    async def _needs_of(self, base: Manifest, place: Path) -> ModelNeeds:
        """Served with an adapter, the base takes what it takes."""
        config = grafting.cut_out(base, ["config.json"], workload=base.workload, sequence=0)
        key = await self._engine.write_manifest(config)
        await self._engine.restore(LocalChannel(), manifest=key, workspace=str(place))
        weights = sum(each["size"] for each in base.entries if each["path"].endswith(".safetensors"))
        measured = Measured(weights_bytes=weights, source="sizes of the base's files") if weights else None
        return needs_of(config_of(place), kind=ModelKind.LLM, measured=measured)


def _read(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > _MOST_FACTS:
        raise SourceRefused(f"the {FACTS} of the result is too large for one")
    try:
        told = json.loads(path.read_bytes())
    except ValueError:
        raise SourceRefused(f"the {FACTS} of the result is no JSON") from None
    if not isinstance(told, dict):
        raise SourceRefused(f"the {FACTS} of the result is none")
    return told


def _told(stored: Any, told: Mapping[str, Any]) -> TunedModel:
    """What a machine of strangers wrote, in measured words."""
    held_out = told.get("held_out_loss")
    return TunedModel(
        stored=stored,
        steps=int(told["steps"]),
        loss=float(told["last"]["loss"]),
        held_out_loss=None if held_out is None else float(held_out),
        differs=tuple(words(str(each)) for each in told["differs"][:_MOST_ANSWERS]),
        place={words(str(name)): words(str(value)) for name, value in told["place"].items()},
        answers=tuple(
            Answer(prompt=words(each["prompt"]), base=words(each["base"]), tuned=words(each["tuned"]))
            for each in told["answers"][:_MOST_ANSWERS]
        ),
    )
