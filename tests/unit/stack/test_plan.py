"""What a stack consists of, and how its processes are started."""

import subprocess
from pathlib import Path

import pytest

from holdfast.providers import registry
from holdfast.settings import load_settings
from holdfast.workers.stack import plan as planning
from holdfast.workers.stack.errors import BadMarket, ProgramMissing
from holdfast.workers.stack.plan import SIMULATED, Plan, UpOptions, make_plan
from holdfast.workers.stack.ports import LOOPBACK
from holdfast.workers.stack.services import Service, services
from holdfast.workers.stack.state import Home, ProcessRecord
from tests.unit.stack.conftest import eventually

AS_NOBODY = ("unshare", "--user", "--map-user=54321")  # a uid that no list of users has


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "data")
    made.create()
    return made


def make(home: Home, *, workers: int = 1) -> Plan:
    options = UpOptions(data_dir=home.path, workers=workers, auto_ports=True)
    return make_plan(options, load_settings(data_dir=home.path), remembered={}, alive={})


def listed(home: Home, plan: Plan) -> dict[str, Service]:
    return {service.name: service for service in services(plan, home)}


def test_with_no_settings_everything_runs_here(home: Home) -> None:
    assert list(listed(home, make(home))) == ["temporal", "store", "market", "worker-1"]


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("TEMPORAL_ADDRESS", "temporal.internal:7233", "temporal"),
        ("HOLDFAST_STORE__KIND", "folder", "store"),
        ("HOLDFAST_PROVIDERS__VAST__API_KEY", "real", "market"),
    ],
)
def test_a_server_that_the_settings_place_elsewhere_is_not_started(
    home: Home, variable: str, value: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert part not in listed(home, make(home))


def test_workers_need_every_server_that_runs_here_and_are_stopped_before_them(home: Home) -> None:
    plan = make(home)
    assert plan.servers() == ("temporal", "store", "market")
    assert [name for name, service in listed(home, plan).items() if service.is_worker] == ["worker-1"]


def test_each_worker_has_metrics_ports_of_its_own(home: Home) -> None:
    found = listed(home, make(home, workers=2))
    names = ("HOLDFAST_TELEMETRY__PORT", "HOLDFAST_TELEMETRY__SDK_PORT")
    ports = [found[worker].env[name] for worker in ("worker-1", "worker-2") for name in names]
    assert len(set(ports)) == 4


def test_no_secret_is_in_any_argument(home: Home) -> None:
    secrets = home.secrets()
    drawn = {secrets["market_key"], *secrets["store"].values()}
    for service in listed(home, make(home)).values():
        assert not any(secret in argument for secret in drawn for argument in service.command)


def test_servers_listen_on_the_loopback_address_only(home: Home) -> None:
    found = listed(home, make(home))
    assert "--ip" in found["temporal"].command
    assert found["temporal"].command[found["temporal"].command.index("--ip") + 1] == LOOPBACK
    assert f"-ip.bind={LOOPBACK}" in found["store"].command


def test_every_port_that_a_server_opens_is_chosen_by_us(home: Home) -> None:
    plan = make(home)
    found = listed(home, plan)
    arguments = " ".join([*found["temporal"].command, *found["store"].command, *found["market"].command])
    workers = {name for name in plan.ports if name.startswith("worker")}
    assert all(str(port) in arguments for name, port in plan.ports.items() if name not in workers)


def test_a_plan_survives_being_written_down(home: Home) -> None:
    plan = make(home)
    assert Plan.from_json(plan.to_json()) == plan


def test_what_the_plan_offers_are_settings_that_can_be_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = make(home).offered_settings()
    keys = home.secrets()
    settings = load_settings(
        data_dir=home.path,
        store=offered["store"] | keys["store"],
        providers={name: each | keys["providers"][name] for name, each in offered["providers"].items()},
        embedded_temporal=offered["embedded_temporal"],
        market_url=offered["market_url"],
    )
    assert settings.store.bucket == "holdfast"
    assert settings.providers.keys() == SIMULATED.keys()
    for name, account in settings.providers.items():
        assert registry.build(name, account).name == name


def test_a_profile_of_the_market_is_passed_on_and_its_pace_kept_to(home: Home, tmp_path: Path) -> None:
    profile = tmp_path / "quick.yaml"
    profile.write_text("extends: default\nthreshold_scale: 0.5\n")
    plan = make_plan(
        UpOptions(data_dir=home.path, auto_ports=True, market_profile=profile),
        load_settings(data_dir=home.path),
        remembered={},
        alive={},
    )
    assert plan.market_command[-2:] == ("--profile", str(profile))
    assert plan.offered_settings()["providers"]["vast"]["pace"] == 0.5


def test_a_profile_that_says_nonsense_is_refused_before_anything_starts(home: Home, tmp_path: Path) -> None:
    profile = tmp_path / "broken.yaml"
    profile.write_text("extends: default\nboots: at once\n")
    options = UpOptions(data_dir=home.path, auto_ports=True, market_profile=profile)
    with pytest.raises(BadMarket, match="boots"):
        make_plan(options, load_settings(data_dir=home.path), remembered={}, alive={})


def test_processes_that_still_live_keep_their_ports(home: Home) -> None:
    before = make(home)
    options = UpOptions(data_dir=home.path, auto_ports=True)
    alive = {"store": ProcessRecord(pid=1, started="1")}
    after = make_plan(options, load_settings(data_dir=home.path), remembered=before.ports, alive=alive)
    assert after.ports["s3"] == before.ports["s3"]


def test_a_program_that_is_not_installed_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match=r"`weed`.*holdfast\[embedded\]"):
        planning.find_program("weed")


def test_the_server_starts_for_a_user_without_a_name(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run([*AS_NOBODY, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel gives us no user namespace")
    for name in ("USER", "HOME"):
        monkeypatch.delenv(name)
    server = listed(home, make(home))["temporal"]
    with subprocess.Popen([*AS_NOBODY, *server.command], env=server.env, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: server.ready() or process.poll() is not None)
            assert process.poll() is None
        finally:
            process.kill()
