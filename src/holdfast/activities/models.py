"""Fetching models. For the host workers: they hold the store's key and the secrets, and have a disk to fetch onto.

Large files so never pass through an operator's computer. Control workers hold the records alone, and analysis workers
may only read the store.
"""

import asyncio
import hashlib
import shutil
from collections import deque
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.activities.checkpoints import timed
from holdfast.activities.secrets import SecretSource
from holdfast.activities.translation import translated
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts import activities as acts
from holdfast.contracts.models import HUB_SECRET, FetchProgress, ModelPlan, RegisterModelInput, StoredModel
from holdfast.models import inspecting
from holdfast.models.errors import SourceRefused
from holdfast.models.fetching import Fetch, alone
from holdfast.models.opening import open_source
from holdfast.models.sources import Source, closing
from holdfast.models.storing import store_folder
from holdfast.policy.model_files import refuse_odd_paths, wanted
from holdfast.settings import Settings
from holdfast.telemetry.metrics import Metrics

MOST_FILES = 5_000
"""Of one model: its list passes through a history."""


class ModelActivities:
    """Repeating either is safe: a plan changes nothing, and a fetch goes on with what is whole."""

    def __init__(
        self, engine: CheckpointEngine, *, settings: Settings, secrets: SecretSource, metrics: Metrics
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._secrets = secrets
        self._metrics = metrics
        self._folder = settings.data_dir / "models"

    @activity.defn
    async def plan_model(self, order: RegisterModelInput) -> ModelPlan:
        async with beating():
            with translated():
                async with self._opened(order) as source:
                    return _checked(await source.plan(), order)

    @activity.defn
    async def fetch_model(self, order: acts.FetchModelInput) -> StoredModel:
        heard = deque([FetchProgress(doing="the list of its files")], maxlen=1)
        place = self._place(order)
        async with timed(self._metrics, "model", details=lambda: [heard[-1]]) as moved:
            with alone(place):
                stored = await self._fetched(order, place, heard)
            moved.append(order.plan.bytes_total)
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        return stored

    async def _fetched(self, order: acts.FetchModelInput, place: Path, heard: deque[FetchProgress]) -> StoredModel:
        async with self._opened(order.order) as source:
            fetch = Fetch(source=source, plan=order.plan, folder=place, told=heard.append)
            await _refuse_unnamed_kind(fetch, order)
            files = await fetch.run()
        heard.append(replace(heard[-1], doing="into the store", files_done=len(files)))
        return await store_folder(
            self._engine,
            fetch.files,
            name=order.order.name,
            files=files,
            kind=order.order.kind,
            memory_bytes=order.order.memory_bytes,
        )

    def _opened(self, order: RegisterModelInput) -> AbstractAsyncContextManager[Source]:
        return closing(open_source(order.source, self._settings, self._token(order)))

    def _token(self, order: RegisterModelInput) -> str | None:
        """Looked up at the last moment; a secret that was named must be there."""
        if order.token_secret:
            return self._secrets.require(order.token_secret)
        return self._secrets.look_up(HUB_SECRET)

    def _place(self, order: acts.FetchModelInput) -> Path:
        """One for each model and revision, so that a next try finds what this one fetched."""
        of_this = f"{order.plan.source}@{order.plan.revision}".encode()
        return self._folder / f"{order.order.name}-{hashlib.sha256(of_this).hexdigest()[:16]}"


async def _refuse_unnamed_kind(fetch: Fetch, order: acts.FetchModelInput) -> None:
    """What the small files do not tell is told before the large ones are fetched for nothing."""
    telling = [each for each in order.plan.files if each.path == "config.json"]
    await replace(fetch, plan=replace(order.plan, files=tuple(telling)), told=lambda _: None).run()
    await asyncio.to_thread(inspecting.kind_in, fetch.files, order.plan.files, order.order.kind)


def _checked(plan: ModelPlan, order: RegisterModelInput) -> ModelPlan:
    """What is to be fetched of it.

    Raises:
        SourceRefused: nothing is there, or its files cannot be such of a model.
    """
    try:
        refuse_odd_paths(plan.files)
    except ValueError as odd:
        raise SourceRefused(f"{order.source}: {odd}") from None
    kept = wanted(plan.files, order.only)
    if not kept:
        raise SourceRefused(f"{order.source} has no file that is wanted; it has {_some(plan)}")
    if len(kept) > MOST_FILES:
        raise SourceRefused(f"{order.source} has {len(kept)} files; {MOST_FILES} are the most that can be registered")
    return replace(plan, files=kept, left_out=len(plan.files) - len(kept))


def _some(plan: ModelPlan) -> str:
    shown = ", ".join(each.path for each in plan.files[:5])
    return f"{shown} and {len(plan.files) - 5} more" if len(plan.files) > 5 else shown or "none at all"
