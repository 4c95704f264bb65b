"""Where a setting comes from, and what is said when it cannot be read."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from holdfast.embedded import start_time
from holdfast.settings import (
    MirrorSettings,
    ProviderSettings,
    Settings,
    SettingsError,
    load_settings,
    unknown_variables,
    variable,
)

SECTIONS = {"providers": ProviderSettings, "mirrors": MirrorSettings}
STACK = {
    "embedded_temporal": {"address": "127.0.0.1:7233"},
    "store": {"kind": "s3", "endpoint": "http://127.0.0.1:8333", "bucket": "holdfast"},
    "providers": {"vast": {"base_url": "http://127.0.0.1:8433"}},
    "market_url": "http://127.0.0.1:8433",
}
SECRETS = {
    "store": {"access_key_id": "id", "secret_access_key": "key"},
    "providers": {"vast": {"api_key": "simulated"}},
    "market_key": "simulated",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("HOLDFAST_", "TEMPORAL_")):
            monkeypatch.delenv(name)


@pytest.fixture
def stack(tmp_path: Path) -> Callable[[str], None]:
    """Leave the files of a stack whose supervisor is this very process, as of the given start time."""

    def leave(started: str) -> None:
        keepers = [{"pid": os.getpid(), "started": started}]
        (tmp_path / "stack.json").write_text(json.dumps({"keepers": keepers, "settings": STACK}))
        (tmp_path / "secrets.json").write_text(json.dumps(SECRETS))

    return leave


def test_defaults_need_nothing_installed(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert settings.records_location() == f"sqlite:///{tmp_path}/records.db"
    assert settings.store.kind == "folder"
    assert settings.store_folder() == tmp_path / "store"
    assert settings.embedded_temporal is None


def test_the_data_directory_is_absolute_and_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().data_dir == tmp_path / ".holdfast"


def test_variables_reach_into_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_PROVIDERS__VAST__API_KEY", "real")
    monkeypatch.setenv("HOLDFAST_HOSTS__CONNECT_TIMEOUT", "3")
    settings = load_settings()
    assert settings.data_dir == tmp_path
    assert settings.providers["vast"].api_key.get_secret_value() == "real"
    assert settings.hosts.connect_timeout == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("1.5", 1.5), ("250ms", 0.25), ("20s", 20), ("5m", 300), ("2h", 7200), ("PT30S", 30)],
)
def test_durations_are_written_as_people_do(written: str, meant: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HOSTS__WATCH_INTERVAL", written)
    assert load_settings().hosts.watch_interval == timedelta(seconds=meant)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HOLDFAST_TELEMETRY__PORT", "many"),
        ("HOLDFAST_TELEMETRY__PORT", "70000"),
        ("HOLDFAST_HOSTS__CONNECT_TIMEOUT", "soon"),
        ("HOLDFAST_HOSTS__CONNECT_TIMEOUT", "0"),
        ("HOLDFAST_STORE__BUKET", "typo"),
        ("HOLDFAST_STORE__KIND", "floppy"),
    ],
)
def test_an_unusable_value_names_its_variable(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_an_s3_store_without_a_bucket_or_keys_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_STORE__KIND", "s3")
    with pytest.raises(SettingsError, match="bucket, access_key_id, secret_access_key"):
        load_settings()


def test_an_error_never_shows_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PROVIDERS__VAST__API_KEYS", "hunter2")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_a_mirror_is_a_store_with_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"KIND": "s3", "BUCKET": "copies", "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "hunter2", "NEAR": "DE, F*"}
    for name, value in given.items():
        monkeypatch.setenv(f"HOLDFAST_MIRRORS__EU__{name}", value)
    settings = load_settings()
    assert settings.mirrors["eu"].regions() == ("DE", "F*")
    assert settings.mirrors["eu"].bucket == "copies"
    assert "hunter2" not in repr(settings)
    assert settings.store.kind == "folder"  # the main store is its own affair


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PATH": "copies"}, "HOLDFAST_MIRRORS__EU__NEAR: Field required"),
        ({"PATH": "copies", "NEAR": ","}, "HOLDFAST_MIRRORS__EU: near names no region"),
        ({"NEAR": "DE"}, "HOLDFAST_MIRRORS__EU: a mirror in a folder also needs path"),
        ({"NEAR": "DE", "KIND": "s3"}, "HOLDFAST_MIRRORS__EU: an s3 store also needs bucket"),
        ({"NEAR": "DE", "PATH": ".holdfast/store"}, "HOLDFAST_MIRRORS__EU: it is the same place as HOLDFAST_STORE"),
        ({"NEAR": "DE", "PATH": "copies", "REGIONS": "DE"}, "HOLDFAST_MIRRORS__EU__REGIONS"),
    ],
)
def test_a_mirror_that_cannot_be_used_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"HOLDFAST_MIRRORS__EU__{name}", value)
    with pytest.raises(SettingsError, match=said):
        load_settings()


def test_two_mirrors_in_one_place_are_refused(tmp_path: Path) -> None:
    mirrors = {name: {"path": tmp_path / "copies", "near": "DE"} for name in ("one", "two")}
    with pytest.raises(SettingsError, match="HOLDFAST_MIRRORS__TWO: it is the same place as HOLDFAST_MIRRORS__ONE"):
        load_settings(mirrors=mirrors)


def test_a_mirror_s_name_is_fit_for_an_id(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="letters, digits"):
        load_settings(mirrors={"eu/1": {"path": tmp_path, "near": "DE"}})


def test_secrets_print_as_asterisks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PROVIDERS__VAST__API_KEY", "hunter2")
    monkeypatch.setenv("HOLDFAST_RECORDS_URL", "postgresql+psycopg://u:hunter2@db/records")
    assert "hunter2" not in repr(load_settings())


def test_a_living_stack_supplies_what_nobody_else_said(tmp_path: Path, stack: Callable[[str], None]) -> None:
    stack(start_time(os.getpid()))
    settings = load_settings(data_dir=tmp_path)
    assert settings.embedded_temporal is not None
    assert settings.embedded_temporal.address == "127.0.0.1:7233"
    assert settings.store.bucket == "holdfast"
    assert settings.providers["vast"].api_key.get_secret_value() == "simulated"


def test_a_stack_that_died_supplies_nothing_even_if_its_pid_was_reused(
    tmp_path: Path, stack: Callable[[str], None]
) -> None:
    stack("1")
    assert load_settings(data_dir=tmp_path).embedded_temporal is None


def test_a_real_key_is_never_sent_to_the_simulated_market(
    tmp_path: Path, stack: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack(start_time(os.getpid()))
    monkeypatch.setenv("HOLDFAST_PROVIDERS__VAST__API_KEY", "real")
    account = load_settings(data_dir=tmp_path).providers["vast"]
    assert account.api_key.get_secret_value() == "real"
    assert account.base_url is None


def test_temporals_own_variables_win_over_the_embedded_server(
    tmp_path: Path, stack: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack(start_time(os.getpid()))
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.internal:7233")
    assert load_settings(data_dir=tmp_path).embedded_temporal is None


def test_a_broken_state_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(SettingsError, match="holdfast down"):
        load_settings(data_dir=tmp_path)


def test_a_misspelt_variable_is_found() -> None:
    environ = {
        "HOLDFAST_STOER__BUCKET": "x",
        "HOLDFAST_STORE__BUCKET": "x",
        "HOLDFAST_SECRET_hf_token": "x",
        "HOME": "/",
    }
    assert unknown_variables(environ) == ["HOLDFAST_STOER__BUCKET"]


def test_the_start_time_of_no_process_is_empty() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert start_time(child.pid) == ""


def test_reading_settings_loads_nothing_heavy() -> None:
    heavy = "{'temporalio', 'boto3', 'sqlalchemy', 'httpx', 'asyncssh'}"
    check = f"import sys, holdfast.settings; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text()
    for name, field in Settings.model_fields.items():
        section = SECTIONS.get(name, field.annotation)
        fields = section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else {}
        words = (name, "<NAME>") if name in SECTIONS else (name,)
        for path in [(*words, each) for each in fields] or [words]:
            assert variable(*path) in page
