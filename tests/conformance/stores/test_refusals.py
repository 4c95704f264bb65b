"""What stores say when they cannot or will not: the caller's remedy is in the type."""

import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdfast.checkpoints.errors import StoreRefused, StoreUnavailable
from holdfast.checkpoints.stores import s3
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.checkpoints.stores.opening import open_store
from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.settings import Settings
from tests.weed import Weed


async def test_a_wrong_key_needs_a_person(weed: Weed) -> None:
    wrong = weed.settings().model_copy(update={"secret_access_key": SecretStr("guessed")})
    store = S3Store(wrong)
    with pytest.raises(StoreRefused) as refusal:
        await store.put("a", b"")
    assert "guessed" not in str(refusal.value)
    with pytest.raises(StoreRefused):
        await store.get("a")
    with pytest.raises(StoreRefused):
        await store.list("a/")


async def test_a_bucket_that_does_not_exist_needs_a_person(weed: Weed) -> None:
    store = S3Store(weed.settings().model_copy(update={"bucket": "nowhere"}))
    with pytest.raises(StoreRefused, match="nowhere"):
        await store.get("a")


async def test_a_bucket_of_our_own_is_made_once(weed: Weed) -> None:
    store = S3Store(weed.settings().model_copy(update={"bucket": "fresh"}))
    await store.create_bucket()
    await store.create_bucket()
    assert await store.put("a", b"b")


async def test_a_store_that_is_down_is_worth_another_try(weed: Weed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "RETRIES", 0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        store = S3Store(weed.settings().model_copy(update={"endpoint": endpoint}))
        with pytest.raises(StoreUnavailable):
            await store.put("a", b"")


@pytest.mark.parametrize("key", ["../outside", "a/../../b", "/etc/passwd", "a//b", ".unfinished/x", "a/\0"])
async def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path / "store")
    with pytest.raises(StoreRefused):
        await store.put(key, b"")
    with pytest.raises(StoreRefused):
        await store.get(key)


async def test_the_settings_choose_the_store(weed: Weed, tmp_path: Path) -> None:
    assert isinstance(open_store(Settings(data_dir=tmp_path)), FolderStore)
    assert isinstance(open_store(Settings(data_dir=tmp_path, store=weed.settings())), S3Store)
