"""The model registry, for other services: register, list, show, remove."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from holdfast.client.calls import ask
from holdfast.client.errors import AlreadyRunning, ModelInvalid, UnknownModel
from holdfast.client.translation import from_failure, from_rpc
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.models import (
    MODEL_PATTERN,
    AddModelInput,
    FetchProgress,
    ListModelsInput,
    MemoryNeed,
    ModelKey,
    ModelKind,
    ModelVersion,
    RegisterModelInput,
    StoredModel,
)
from holdfast.contracts.spec import SECRET_PATTERN
from holdfast.policy.model_memory import memory_need
from holdfast.policy.model_shapes import NotKnown
from holdfast.policy.serving import recipe_for
from holdfast.settings import Settings

LOOK_EVERY = timedelta(seconds=1)
_REMOTE = ("hf:", "s3://")
Told = Callable[[FetchProgress], None]


@dataclass(frozen=True, kw_only=True)
class ModelView:
    """A version, and what it takes to serve it."""

    model: ModelVersion
    memory: MemoryNeed | None  # None: not known
    unknown: str  # why, then
    recipe: str  # the one that serves such models, unless another is asked for


def checked(  # noqa: PLR0917 (in the order of the command's options)
    name: str,
    source: str,
    kind: ModelKind | None,
    licence: str,
    memory_bytes: int | None,
    only: Sequence[str],
    token_secret: str,
) -> RegisterModelInput:
    """The order, if it is one that can be carried out.

    Raises:
        ModelInvalid: the name, or what is stated, cannot be used.
    """
    if not re.fullmatch(MODEL_PATTERN, name):
        raise ModelInvalid(f"{name[:60]!r} is no name for a model: lower-case letters, digits and dashes, 40 at most")
    if memory_bytes is not None and memory_bytes <= 0:
        raise ModelInvalid("the memory that is stated must be more than 0")
    if token_secret and not re.fullmatch(SECRET_PATTERN, token_secret):
        raise ModelInvalid(f"{token_secret[:60]!r} is not the name of a secret")
    return RegisterModelInput(
        name=name,
        source=source,
        kind=kind,
        licence=licence[:200],
        memory_bytes=memory_bytes,
        only=tuple(only),
        token_secret=token_secret,
    )


def is_remote(source: str) -> bool:
    """Whether the host workers fetch it; else it is a folder of this computer."""
    return source.startswith(_REMOTE)


async def register(client: Client, order: RegisterModelInput, told: Told) -> ModelVersion:
    """Have the host workers fetch it, and wait for its version. See `Holdfast.register_model`."""
    from holdfast.models.errors import SourceRefused  # noqa: PLC0415 (a store's client comes with it)
    from holdfast.models.sources import parse  # noqa: PLC0415 (as above)

    try:
        parse(order.source)
    except SourceRefused as err:
        raise ModelInvalid(str(err)) from None
    handle = await _started(client, order)
    try:
        version: ModelVersion = await _followed(handle, told)
    except WorkflowFailureError as err:
        raise from_failure(err.cause, doing="the registration", queue=names.HOSTS_QUEUE) from err
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
    return version


async def register_folder(client: Client, settings: Settings, order: RegisterModelInput, told: Told) -> ModelVersion:
    """Save a folder of this computer to the store and give it a version."""
    from holdfast.client.folders import save_model  # noqa: PLC0415 (the store's client is slow to import)

    stored = await save_model(order, Path(order.source), settings=settings, told=told)
    return await _add(client, order, stored, source=f"folder {order.source}")


async def listed(client: Client, name: str, *, removed: bool) -> tuple[ModelVersion, ...]:
    found = await ask(
        client,
        acts.list_models,
        ListModelsInput(name=name, retired=removed),
        queue=names.CONTROL_QUEUE,
        summary="which models are registered",
    )
    return tuple(found)


async def view(
    client: Client, name: str, version: int | None, *, context: int | None, sequences: int, gpus: int
) -> ModelView:
    """One version, with its needs. Raises `UnknownModel`."""
    key = ModelKey(name=name, version=version)
    found = await ask(client, acts.read_model, key, queue=names.CONTROL_QUEUE, summary=f"model {name}")
    if found is None:
        raise _unknown(name, version)
    recipe = recipe_for(found, tuple(each.path for each in found.contents))
    try:
        need = memory_need(found.needs, kind=found.kind, context=context, sequences=sequences, gpus=gpus)
    except (NotKnown, ValueError) as err:
        return ModelView(model=found, memory=None, unknown=str(err), recipe=recipe)
    return ModelView(model=found, memory=need, unknown="", recipe=recipe)


async def remove(client: Client, name: str, version: int | None) -> tuple[ModelVersion, ...]:
    """Retire a version, or all. Raises `UnknownModel`."""
    there = (
        [each for each in await listed(client, name, removed=False) if version in (None, each.version)] if name else []
    )
    if not there:
        raise _unknown(name, version)
    key = ModelKey(name=name, version=version)
    # What it retired is not what is told: an answer that was lost would be asked for again, and be empty.
    await ask(client, acts.retire_model, key, queue=names.CONTROL_QUEUE, summary=f"remove model {name}")
    return tuple(there)


async def _started(client: Client, order: RegisterModelInput) -> WorkflowHandle[Any, ModelVersion]:
    """The registration, started now or found under way with the very same order."""
    stated = [order.kind or "", *order.only]
    summary = ", ".join([f"{order.name} from {order.source}", *(each for each in stated if each)])[:200]
    try:
        return await client.start_workflow(
            names.MODEL_REGISTRATION,
            order,
            id=names.model_id(order.name),
            task_queue=names.CONTROL_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            result_type=ModelVersion,
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(names.SA_WORKLOAD, names.model_record(order.name))]
            ),
            static_summary=summary,
        )
    except WorkflowAlreadyStartedError:
        handle = client.get_workflow_handle(names.model_id(order.name), result_type=ModelVersion)
        description = await handle.describe()
        if await description.static_summary() == summary:
            return handle
        raise AlreadyRunning(
            f"another registration of {order.name!r} goes on: {await description.static_summary()}",
            remedy="wait for its end, or choose another name",
        ) from None
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err


async def _followed(handle: WorkflowHandle[Any, ModelVersion], told: Told) -> ModelVersion:
    """Its result; `told` hears the heartbeats of the fetch meanwhile."""
    waiting = asyncio.ensure_future(handle.result())
    try:
        while not (await asyncio.wait([waiting], timeout=LOOK_EVERY.total_seconds()))[0]:
            if (progress := await _progress(handle)) is not None:
                told(progress)
        return waiting.result()
    finally:
        waiting.cancel()


async def _progress(handle: WorkflowHandle[Any, ModelVersion]) -> FetchProgress | None:
    try:
        description = await handle.describe()
    except RPCError:
        return None  # whoever waits for the result hears what is wrong
    for pending in description.raw_description.pending_activities:
        if pending.activity_type.name == acts.fetch_model.__name__ and pending.heartbeat_details.payloads:
            decoded = await description.data_converter.decode(pending.heartbeat_details.payloads[:1], [FetchProgress])
            beat: FetchProgress = decoded[0]
            return beat
    return None


async def _add(client: Client, order: RegisterModelInput, stored: StoredModel, *, source: str) -> ModelVersion:
    return await ask(
        client,
        acts.add_model,
        AddModelInput(
            name=order.name,
            source=source,
            revision="",
            stored=stored,
            licence=order.licence,
            kind_stated=order.kind is not None,
        ),
        queue=names.CONTROL_QUEUE,
        summary=f"give {order.name} a version",
    )


def _unknown(name: str, version: int | None) -> UnknownModel:
    which = "" if version is None else f" version {version}"
    return UnknownModel(f"there is no model {name[:60]!r}{which}")
