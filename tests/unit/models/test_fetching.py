"""Fetching into a folder: resumed by file and by byte, and nothing is believed that can be checked."""

import hashlib
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.models import FetchProgress, ModelFile, ModelPlan
from holdfast.models.bucket import BucketSource
from holdfast.models.errors import SourceRefused, SourceUnavailable
from holdfast.models.fetching import Fetch, alone
from holdfast.models.hub import HubSource
from holdfast.models.sources import HubName
from tests import tiny_model
from tests.hub import Hub

WEIGHTS = tiny_model.files()["model.safetensors"]


async def fetch(hub: Hub, folder: Path, heard: list[FetchProgress] | None = None) -> tuple[ModelFile, ...]:
    source = HubSource(HubName(model="org/tiny"), url=hub.address, token=None)
    try:
        plan = await source.plan()
        told = (heard if heard is not None else []).append
        return await Fetch(source=source, plan=plan, folder=folder, told=told).run()
    finally:
        await source.close()


async def test_every_file_arrives_with_its_hash(tiny_hub: Hub, tmp_path: Path) -> None:
    found = await fetch(tiny_hub, tmp_path)
    for path, data in tiny_model.files().items():
        assert (tmp_path / "files" / path).read_bytes() == data
    assert {each.path: each.sha256 for each in found} == {
        path: hashlib.sha256(data).hexdigest() for path, data in tiny_model.files().items()
    }
    assert [each.path for each in found] == sorted(tiny_model.files())


async def test_progress_ends_at_all_of_it(tiny_hub: Hub, tmp_path: Path) -> None:
    heard: list[FetchProgress] = []
    await fetch(tiny_hub, tmp_path, heard)
    assert [each.bytes_done for each in heard] == sorted(each.bytes_done for each in heard)
    assert (heard[-1].bytes_done, heard[-1].files_done) == (heard[-1].bytes_total, heard[-1].files)


async def test_a_next_try_sends_for_what_is_missing_alone(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.breaks_off["model.safetensors"] = 1_500
    with pytest.raises(SourceUnavailable):
        await fetch(tiny_hub, tmp_path)
    before = tiny_hub.asked["config.json"]
    await fetch(tiny_hub, tmp_path)
    assert (tmp_path / "files/model.safetensors").read_bytes() == WEIGHTS
    assert tiny_hub.sent["model.safetensors"] == len(WEIGHTS)
    assert tiny_hub.asked["config.json"] == before


async def test_bytes_that_are_not_the_promised_ones_are_thrown_away(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.models["org/tiny"].wrong = {"model.safetensors": bytes(len(WEIGHTS))}
    with pytest.raises(SourceUnavailable, match="not what the source says it is"):
        await fetch(tiny_hub, tmp_path)
    tiny_hub.models["org/tiny"].wrong = {}
    await fetch(tiny_hub, tmp_path)
    assert (tmp_path / "files/model.safetensors").read_bytes() == WEIGHTS


async def test_a_file_of_another_size_is_thrown_away(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.models["org/tiny"].wrong = {"config.json": b"{" * 5_000}
    with pytest.raises(SourceUnavailable, match=r"config\.json should have"):
        await fetch(tiny_hub, tmp_path)
    assert not (tmp_path / "files/config.json").exists()


async def test_a_disk_without_room_is_told_before_anything_is_fetched(
    tiny_hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 0))
    with pytest.raises(SourceRefused, match=r"0\.0 GiB free"):
        await fetch(tiny_hub, tmp_path)
    assert not tiny_hub.asked["config.json"]


def test_two_workers_with_one_disk_take_turns(tmp_path: Path) -> None:
    with alone(tmp_path / "m"), pytest.raises(SourceUnavailable, match="another worker"), alone(tmp_path / "m"):
        pass
    with alone(tmp_path / "m"):
        assert (tmp_path / "m").is_dir()


async def test_a_bucket_is_fetched_like_a_hub(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    for path, data in tiny_model.files().items():
        await store.put(f"models/tiny/v1/{path}", data)
    await store.put("models/tiny/v10/config.json", b"another one")
    source = BucketSource(store, name="s3://bucket/models/tiny/v1", prefix="models/tiny/v1")
    plan = await source.plan()
    assert (plan.source, plan.revision) == ("s3://bucket/models/tiny/v1", "")
    found = await Fetch(source=source, plan=plan, folder=tmp_path / "here").run()
    assert {each.path for each in found} == set(tiny_model.files())
    assert (tmp_path / "here/files/model.safetensors").read_bytes() == WEIGHTS
    await source.close()


async def test_an_object_that_shrank_is_not_taken_for_whole(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    await store.put("m/config.json", b"{}")
    source = BucketSource(store, name="s3://bucket/m", prefix="m")
    plan = ModelPlan(source="s3://bucket/m", revision="", files=(ModelFile(path="config.json", size=9),))
    with pytest.raises(SourceUnavailable, match="shrank"):
        await Fetch(source=source, plan=plan, folder=tmp_path / "here").run()
