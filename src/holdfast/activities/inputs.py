"""The files of jobs: inputs into the store before a machine is rented, and outputs out of what was saved last.

For the host workers, which hold the store's key and the secrets, and have a disk to fetch onto.
"""

import asyncio
import hashlib
import shutil
import time
from collections import deque
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.activities.checkpoints import timed
from holdfast.activities.secrets import SecretSource
from holdfast.activities.translation import translated
from holdfast.checkpoints import grafting
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.format import Manifest
from holdfast.contracts import activities as acts
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.jobs import InputSpec, JobOutputs, StagedInput
from holdfast.contracts.models import HUB_SECRET, FetchProgress, ModelPlan
from holdfast.contracts.names import job_record
from holdfast.models.errors import SourceRefused, SourceUnavailable
from holdfast.models.fetching import Fetch, alone
from holdfast.models.opening import open_input
from holdfast.models.sources import HUB, Source, closing
from holdfast.models.staging import stored, wanted_of
from holdfast.policy import job_files
from holdfast.settings import Settings
from holdfast.telemetry.metrics import Metrics

KEPT_FOR = timedelta(days=1)
"""What was fetched stays on the worker's disk so long, for the other jobs of an array."""
_CONFIG, _LARGEST_CONFIG = "config.json", 512 * 1024  # bytes
_LAYOUT_AT = datetime(1980, 1, 1, tzinfo=UTC)  # of folders that stand in no manifest: equal files, equal manifest


class InputActivities:
    """Repeating any of them is safe."""

    def __init__(
        self, engine: CheckpointEngine, *, settings: Settings, secrets: SecretSource, metrics: Metrics
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._secrets = secrets
        self._metrics = metrics
        self._folder = settings.data_dir / "inputs"

    @activity.defn
    async def look_at_base(self, wanted: InputSpec) -> acts.BaseModel:
        async with beating():
            with translated():
                async with self._opened(wanted) as source:
                    plan = await source.plan()
                    weights = sum(each.size for each in plan.files if each.path.endswith(".safetensors"))
                    return acts.BaseModel(
                        source=_named(plan),
                        config=await _config_of(source, plan),
                        weights_bytes=weights,
                        gated=plan.gated,
                    )

    @activity.defn
    async def plan_input(self, wanted: InputSpec) -> acts.PlannedInput:
        async with beating():
            with translated():
                async with self._opened(wanted) as source:
                    plan = await source.plan()
                    files = wanted_of(plan, wanted)
        return acts.PlannedInput(source=_named(plan), files=len(files), bytes_total=sum(each.size for each in files))

    @activity.defn
    async def stage_input(self, order: acts.StageInput) -> StagedInput:
        heard = deque([FetchProgress(doing="the list of its files")], maxlen=1)
        async with timed(self._metrics, "input", details=lambda: [heard[-1]]) as moved:
            async with self._opened(order.wanted) as source:
                told = await source.plan()
                plan = replace(told, files=wanted_of(told, order.wanted))
                staged = await self._staged(order, source, plan, heard)
            moved.append(staged.bytes_total)
        return staged

    async def _staged(
        self, order: acts.StageInput, source: Source, plan: ModelPlan, heard: deque[FetchProgress]
    ) -> StagedInput:
        await asyncio.to_thread(_forget_old, self._folder)
        place = self._folder / _mark_of(order.wanted, plan)
        with alone(place):
            if not _may_be_kept(plan):
                for part in ("files", "parts"):
                    await asyncio.to_thread(shutil.rmtree, place / part, ignore_errors=True)
            fetch = Fetch(source=source, plan=plan, folder=place, told=heard.append)
            files = await fetch.run()
            await _refuse_changed(source, order.wanted, plan)
            heard.append(replace(heard[-1], doing="into the store", files_done=len(files)))
            single = len(plan.files) == 1 and not plan.source.startswith(HUB) and _is_file(order.wanted, plan)
            return await stored(
                self._engine, fetch.files, files, order.wanted, job=order.job, source=_named(plan), single=single
            )

    @activity.defn
    async def lay_out(self, order: acts.LayOutInput) -> CheckpointRef:
        async with beating():
            with translated():
                return await self._laid_out(order)

    async def _laid_out(self, order: acts.LayOutInput) -> CheckpointRef:
        grafts = []
        if order.workdir is not None:
            grafts.append(grafting.Graft(manifest=await self._engine.read_manifest(order.workdir.manifest), at=""))
        for each in order.staged:
            manifest = await self._engine.read_manifest(each.manifest)
            grafts.append(grafting.Graft(manifest=manifest, at=each.at, single=each.single))
        exclude = grafts[0].manifest.exclude if order.workdir is not None else ()
        try:
            made = grafting.grafted(grafts, workload=job_record(order.job), taken_at=_LAYOUT_AT, exclude=exclude)
        except grafting.DoesNotFit as err:
            raise SourceRefused(str(err)) from None
        return _reference(made, await self._engine.write_manifest(made), datetime.now(UTC))

    @activity.defn
    async def keep_outputs(self, order: acts.KeepOutputsInput) -> JobOutputs:
        async with beating():
            with translated():
                saved = await self._engine.read_manifest(order.head.manifest)
                paths = [each["path"] for each in saved.entries if each["kind"] != "dir"]
                chosen = job_files.chosen(paths, order.patterns, order.inputs)
                made = grafting.cut_out(saved, chosen, workload=job_record(order.job), sequence=order.attempt)
                key = await self._engine.write_manifest(made)
        return JobOutputs(
            manifest=key,
            sha256=grafting.content_digest(made),
            files=made.files,
            bytes_total=made.bytes_total,
            missing=job_files.missing(paths, order.patterns),
        )

    def _opened(self, wanted: InputSpec) -> AbstractAsyncContextManager[Source]:
        return closing(open_input(wanted.source, self._settings, self._token(wanted)))

    def _token(self, wanted: InputSpec) -> str | None:
        """Looked up at the last moment; a secret that was named must be there."""
        if wanted.token:
            return self._secrets.require(wanted.token)
        return self._secrets.look_up(HUB_SECRET) if wanted.source.startswith(HUB) else None

    def all(self) -> list[object]:
        """For the worker."""
        return [self.look_at_base, self.plan_input, self.stage_input, self.lay_out, self.keep_outputs]


async def _config_of(source: Source, plan: ModelPlan) -> str:
    """Small, so that it may stand in an answer. Raises SourceRefused where there is none, or one that is not."""
    there = next((each for each in plan.files if each.path == _CONFIG), None)
    if there is None or there.size > _LARGEST_CONFIG:
        raise SourceRefused(f"{plan.source} has no {_CONFIG} of at most {_LARGEST_CONFIG} bytes: it is no base model")
    read = b"".join([piece async for piece in source.read(plan, there, 0)])
    try:
        return read.decode()
    except UnicodeDecodeError:
        raise SourceRefused(f"the {_CONFIG} of {plan.source} is no text") from None


def _named(plan: ModelPlan) -> str:
    return f"{plan.source}@{plan.revision}" if plan.revision else plan.source


def _is_file(wanted: InputSpec, plan: ModelPlan) -> bool:
    """Of the web always; of a bucket where the prefix names the very object."""
    return plan.files[0].path == wanted.source.rstrip("/").rpartition("/")[2] or not wanted.source.startswith("s3://")


def _may_be_kept(plan: ModelPlan) -> bool:
    """What was fetched before may be used again: it is known to be the same."""
    return bool(plan.revision) or all(each.sha256 or each.mark for each in plan.files)


async def _refuse_changed(source: Source, wanted: InputSpec, plan: ModelPlan) -> None:
    """Part of a file may be of before a change, and part of after it. Asked where a mark would tell.

    Raises:
        SourceUnavailable: it changed while it was fetched.
    """
    if not any(each.mark for each in plan.files):
        return
    if wanted_of(await source.plan(), wanted) != plan.files:
        raise SourceUnavailable(f"{wanted.source} changed while it was fetched")


def _mark_of(wanted: InputSpec, plan: ModelPlan) -> str:
    rows = "\n".join(f"{each.path}\0{each.size}\0{each.sha256}{each.mark}" for each in plan.files)
    return hashlib.sha256(f"{_named(plan)}\n{rows}".encode()).hexdigest()[:32]


def _forget_old(folder: Path) -> None:
    """What nobody has asked for in a while."""
    if not folder.is_dir():
        return
    for each in folder.iterdir():
        if each.stat().st_mtime < time.time() - KEPT_FOR.total_seconds():
            shutil.rmtree(each, ignore_errors=True)


def _reference(manifest: Manifest, key: str, now: datetime) -> CheckpointRef:
    return CheckpointRef(
        workload=manifest.workload,
        epoch=0,
        sequence=0,
        manifest=key,
        reason=SaveReason.WORKDIR,
        taken_at=now,
        committed_at=now,
        files=manifest.files,
        bytes_total=manifest.bytes_total,
        bytes_uploaded=0,
        duration=timedelta(),
    )
