"""Which source is opened, and with whose key."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from holdfast.models.bucket import BucketSource
from holdfast.models.errors import SourceRefused
from holdfast.models.hub import HubSource
from holdfast.models.opening import open_source
from holdfast.settings import ModelSettings, Settings, SettingsError, StoreSettings, load_settings

OURS = StoreSettings(kind="s3", bucket="ours", access_key_id=SecretStr("id"), secret_access_key=SecretStr("key"))


async def test_a_name_opens_its_source(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, store=OURS)
    for name, kind in (("hf:org/name", HubSource), ("s3://bucket/models/x", BucketSource)):
        source = open_source(name, settings, None)
        assert isinstance(source, kind)
        await source.close()


def test_a_bucket_without_any_key_is_refused_with_the_settings_to_set(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="HOLDFAST_MODELS__S3_ACCESS_KEY_ID"):
        open_source("s3://bucket/x", Settings(data_dir=tmp_path), None)


async def test_a_key_of_its_own_comes_before_the_store_s(tmp_path: Path) -> None:
    own = ModelSettings(s3_access_key_id=SecretStr("a"), s3_secret_access_key=SecretStr("b"), s3_region="eu-north-1")
    source = open_source("s3://bucket/x", Settings(data_dir=tmp_path, models=own), None)
    assert isinstance(source, BucketSource)
    await source.close()


def test_half_a_key_and_a_hub_without_encryption_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_MODELS__HUB_URL", "http://hub.example")
    with pytest.raises(SettingsError, match="https://"):
        load_settings()
    monkeypatch.setenv("HOLDFAST_MODELS__HUB_URL", "http://127.0.0.1:8080")
    assert load_settings().models.hub_url == "http://127.0.0.1:8080"
    monkeypatch.setenv("HOLDFAST_MODELS__S3_ACCESS_KEY_ID", "a")
    with pytest.raises(SettingsError, match="go together"):
        load_settings()
