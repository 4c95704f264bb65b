"""Registering a model: workflow, activities, records, store and the hub's wire API are the real ones."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment

from holdfast.client import models
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.models import FetchProgress, ModelKey, ModelKind, ModelVersion, RegisterModelInput
from holdfast.hosts.local import LocalChannel
from tests import hub as hubs
from tests import tiny_model
from tests.workflows.registry import Registry
from tests.workflows.stories import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def hub() -> Iterator[hubs.Hub]:
    with hubs.running() as running:
        running.models["org/tiny"] = hubs.Shelf(files=tiny_model.files())
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def registry(temporal: WorkflowEnvironment, tmp_path: Path, hub: hubs.Hub) -> AsyncIterator[Registry]:
    running = Registry(temporal.client, tmp_path, hub)
    async with running.serving():
        yield running
    running.records.close()


@pytest.fixture
def name() -> str:
    return f"m{uuid4().hex[:10]}"


async def restored(registry: Registry, version: ModelVersion, folder: Path) -> dict[str, bytes]:
    """What a replica's workspace would begin with."""
    await registry.engine.restore(LocalChannel(), manifest=version.manifest, workspace=str(folder))
    return contents_of(folder)


def contents_of(folder: Path) -> dict[str, bytes]:
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


async def refused(registry: Registry, name: str, **more: Any) -> ApplicationError:
    """The reason of a registration that fails."""
    with pytest.raises(WorkflowFailureError) as failed:
        await registry.register(name, **more)
    assert isinstance(failed.value.cause, ActivityError)
    assert isinstance(failed.value.cause.cause, ApplicationError)
    return failed.value.cause.cause


async def test_a_model_of_the_hub_becomes_a_version_that_can_be_restored(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    told = await registry.register(name)
    assert (told.name, told.version, told.kind) == (name, 1, ModelKind.LLM)
    assert (told.source, told.revision, told.licence, told.gated) == ("hf:org/tiny", "a" * 40, "apache-2.0", False)
    assert (told.needs.parameters, told.needs.weights_from) == (tiny_model.PARAMETERS, "safetensors headers")
    assert await restored(registry, told, tmp_path / "replica") == {
        path: tiny_model.files()[path] for path in tiny_model.KEPT
    }


async def test_nothing_of_it_stays_on_the_worker_s_disk(registry: Registry, name: str) -> None:
    await registry.register(name)
    assert list(registry.staging.iterdir()) == []


async def test_the_same_revision_again_is_the_same_version_and_is_not_fetched(
    registry: Registry, hub: hubs.Hub, name: str
) -> None:
    first = await registry.register(name)
    sent = hub.sent.copy()
    assert await registry.register(name) == first
    assert hub.sent == sent


async def test_another_revision_with_the_same_content_is_the_same_version(
    registry: Registry, hub: hubs.Hub, name: str
) -> None:
    first = await registry.register(name)
    hub.models["org/tiny"].commit = "b" * 40
    assert await registry.register(name) == first
    hub.models["org/tiny"] = hubs.Shelf(files=tiny_model.files(salt=1), commit="c" * 40)
    second = await registry.register(name)
    assert (second.version, second.revision) == (2, "c" * 40)


async def test_what_is_stated_reaches_the_record_also_of_a_revision_that_is_known(
    registry: Registry, name: str
) -> None:
    await registry.register(name)
    told = await registry.register(name, licence="mine", memory_bytes=5_000, kind=ModelKind.OTHER)
    assert (told.version, told.licence, told.kind) == (1, "mine", ModelKind.OTHER)
    assert told.needs.stated_bytes == 5_000


async def test_chosen_files_are_another_content(registry: Registry, hub: hubs.Hub, name: str) -> None:
    assert (await registry.register(name)).version == 1
    part = await registry.register(name, only=("config.json", "tokenizer/*"))
    assert (part.version, part.files) == (2, 2)
    assert part.needs.weights_from == "shapes of the config"
    reason = await refused(registry, name, only=("*.gguf",))
    assert reason.type == ErrorType.SOURCE_REFUSED and "no file that is wanted" in reason.message


async def test_a_transfer_that_breaks_off_goes_on_where_it_ended(registry: Registry, hub: hubs.Hub, name: str) -> None:
    weights = tiny_model.files()["model.safetensors"]
    hub.breaks_off["model.safetensors"] = len(weights) // 2
    assert (await registry.register(name)).version == 1
    assert hub.sent["model.safetensors"] == len(weights)
    assert hub.asked["config.json"] == 1


async def test_a_worker_that_dies_in_the_middle_is_replaced_by_one_that_goes_on(
    temporal: WorkflowEnvironment, tmp_path: Path, hub: hubs.Hub, name: str
) -> None:
    """The next worker has the same disk, as a restarted process has."""
    first = Registry(temporal.client, tmp_path / "one", hub)
    weights = len(tiny_model.files()["model.safetensors"])
    hub.breaks_off["model.safetensors"] = weights // 2
    hub.busy_then = 10_000  # until the next worker is there
    async with first.serving():
        handle = await first.client.start_workflow(
            names.MODEL_REGISTRATION,
            RegisterModelInput(name=name, source="hf:org/tiny"),
            id=names.model_id(name),
            task_queue=names.CONTROL_QUEUE,
            result_type=ModelVersion,
        )
        while not hub.sent["model.safetensors"]:
            assert (await handle.describe()).close_time is None
    hub.busy = 0
    async with first.serving():
        assert (await handle.result()).version == 1
    assert hub.sent["model.safetensors"] == weights
    first.records.close()


async def test_who_waits_hears_how_far_it_is(registry: Registry, hub: hubs.Hub, name: str) -> None:
    heard: list[FetchProgress] = []
    hub.gate.clear()
    order = RegisterModelInput(name=name, source="hf:org/tiny")
    waiting = asyncio.ensure_future(models.register(registry.client, order, heard.append))
    async with asyncio.timeout(PATIENCE):
        while not any(each.files_done for each in heard):
            await asyncio.sleep(0.05)
    assert heard[-1].files == len(tiny_model.KEPT)
    assert heard[-1].bytes_total == sum(len(tiny_model.files()[path]) for path in tiny_model.KEPT)
    hub.gate.set()
    assert (await waiting).version == 1


async def test_a_gated_model_needs_the_secret_and_the_token_enters_no_history(
    registry: Registry, hub: hubs.Hub, name: str
) -> None:
    hub.models["org/tiny"].gated = True
    reason = await refused(registry, name)
    assert reason.type == ErrorType.SOURCE_REFUSED and "gated" in reason.message
    registry.secrets.mkdir(parents=True)
    (registry.secrets / "hf_token").write_text(hubs.TOKEN + "\n")
    assert (await registry.register(name)).gated
    history = await registry.client.get_workflow_handle(names.model_id(name)).fetch_history()
    assert hubs.TOKEN not in history.to_json()


async def test_a_secret_that_is_named_must_be_there(registry: Registry, name: str) -> None:
    assert (await refused(registry, name, token_secret="MY_HUB")).type == ErrorType.SECRET_MISSING


async def test_what_the_hub_does_not_have_ends_at_once(registry: Registry, name: str) -> None:
    reason = await refused(registry, name, source="hf:org/none")
    assert reason.type == ErrorType.SOURCE_REFUSED and "does not exist" in reason.message


async def test_a_hub_that_is_away_is_told_after_a_few_tries(registry: Registry, hub: hubs.Hub, name: str) -> None:
    hub.busy = 3
    reason = await refused(registry, name)
    assert reason.type == ErrorType.SOURCE_UNAVAILABLE and "503" in reason.message
    hub.busy = 2
    assert (await registry.register(name)).version == 1


async def test_a_model_of_no_known_kind_is_refused_before_its_weights_are_fetched(
    registry: Registry, hub: hubs.Hub, name: str
) -> None:
    hub.models["org/odd"] = hubs.Shelf(files={"config.json": b"{}", "weights.dat": bytes(5_000)})
    reason = await refused(registry, name, source="hf:org/odd")
    assert reason.type == ErrorType.SOURCE_REFUSED and "--kind" in reason.message
    assert not hub.asked["weights.dat"]
    assert (await registry.register(name, source="hf:org/odd", kind=ModelKind.OTHER)).kind is ModelKind.OTHER


async def test_a_hub_that_names_files_elsewhere_is_refused(
    registry: Registry, hub: hubs.Hub, name: str, tmp_path: Path
) -> None:
    hub.models["org/evil"] = hubs.Shelf(files={"config.json": b"{}", "../../evil": b"x"})
    reason = await refused(registry, name, source="hf:org/evil")
    assert reason.type == ErrorType.SOURCE_REFUSED and "cannot be a file" in reason.message
    assert not any("evil" in path for path in contents_of(tmp_path))


async def test_garbage_collection_spares_what_is_registered_and_takes_what_was_removed(
    registry: Registry, name: str, tmp_path: Path
) -> None:
    told = await registry.register(name)

    async def collect() -> acts.CollectGarbageResult:
        return await registry.client.execute_activity(
            acts.collect_unneeded,
            acts.CollectUnneededInput(grace=timedelta()),
            id=uuid4().hex,
            task_queue=names.HOSTS_QUEUE,
            start_to_close_timeout=timedelta(seconds=30),
            heartbeat_timeout=timedelta(seconds=20),
        )

    for _ in range(2):  # condemned in one run, deleted in the next
        assert (await collect()).live == 1
    assert await registry.live() == [told.manifest]
    assert await restored(registry, told, tmp_path / "replica")
    registry.records.retire_model(ModelKey(name=name))
    for _ in range(2):
        assert (await collect()).live == 0
    assert await registry.live() == []
    assert await registry.store.list("packs/") == []
