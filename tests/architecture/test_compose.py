"""The files of the Docker deployment, checked without a Docker engine."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.contracts.names import SEARCH_ATTRIBUTE_TYPES
from holdfast.settings import PREFIX, Settings, unknown_variables
from holdfast.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.temporal.yml"
BIN = Path(sys.executable).parent
ROLES = ("control", "provider", "host", "analysis", "gateway")
SCRIPTS = sorted(ROOT.glob("deploy/**/*.sh"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def test_the_compose_file_follows_the_specification() -> None:
    check = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_service_that_is_waited_for_exists_and_can_be_waited_for(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        needs = service.get("depends_on", {})
        for name, how in needs.items() if isinstance(needs, dict) else ((name, {}) for name in needs):
            assert name in services
            if how.get("condition") == "service_healthy":
                assert "healthcheck" in services[name]


def test_no_service_waits_for_itself_in_a_circle(compose: dict[str, Any]) -> None:
    waits = {name: set(service.get("depends_on", ())) for name, service in compose["services"].items()}
    while waits:
        free = {name for name, needs in waits.items() if not needs}
        assert free, f"a circle among {sorted(waits)}"
        waits = {name: needs - free for name, needs in waits.items() if name not in free}


def test_every_mounted_file_and_volume_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in compose["volumes"]


@pytest.mark.parametrize("role", ROLES)
def test_each_kind_of_worker_can_be_scaled(compose: dict[str, Any], role: str) -> None:
    service = compose["services"][role]
    assert service["command"] == ["--role", role]
    assert not {"container_name", "hostname"} & set(service)
    for port in service.get("ports", ()):  # as many on the host, and only for it, as there may be of them
        assert re.fullmatch(r"127\.0\.0\.1:(\d+)-(?!\1:)\d+:\d+", port)


def test_the_settings_in_the_file_are_real_ones(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ROLES, "records-migrations"):
        environment = compose["services"][name]["environment"]
        ours = {key: resolved(value) for key, value in environment.items() if key.startswith(PREFIX)}
        assert not unknown_variables(ours)
        with monkeypatch.context() as patch:
            for key, value in ours.items():
                patch.setenv(key, value)
            Settings()  # refuses unknown fields inside sections


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("VAST_API_KEY", {"provider"}),
        ("RECORDS_PASSWORD", {"postgres", "records-migrations", "control"}),
        ("STORE_SECRET_ACCESS_KEY", {"store", "host", "analysis"}),
        ("POSTGRES_PASSWORD", {"postgres", "temporal-schema", "temporal"}),
    ],
)
def test_every_secret_is_known_only_to_those_who_need_it(
    compose: dict[str, Any], secret: str, holders: set[str]
) -> None:
    assert {name for name, each in compose["services"].items() if f"${{{secret}" in json.dumps(each)} == holders


def test_every_secret_is_required_and_none_is_an_argument(compose: dict[str, Any]) -> None:
    text = COMPOSE.read_text()
    for name in re.findall(r"\$\{(\w*(?:PASSWORD|KEY)\w*)", text):
        assert f"${{{name}:?" in text
    for service in compose["services"].values():
        assert not re.search(r"PASSWORD|KEY", json.dumps(service.get("command", "")))


def test_the_example_environment_names_every_required_variable() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    offered = set(re.findall(r"^(\w+)=", (ROOT / "deploy/example.env").read_text(), re.MULTILINE))
    assert required == offered


def test_people_reach_services_on_the_loopback_address_only(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_every_image_has_a_version(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        image, _, tag = service["image"].partition(":")
        assert tag, image
        assert tag != "latest"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_valid_shell(script: Path) -> None:
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0


def test_the_namespace_job_registers_exactly_our_search_attributes() -> None:
    script = (ROOT / "deploy/temporal/namespace.sh").read_text()
    assert dict(re.findall(r"^attribute (\w+) (\w+)$", script, re.MULTILINE)) == SEARCH_ATTRIBUTE_TYPES


def test_prometheus_scrapes_every_role_on_both_ports_that_workers_serve(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    for job, variable in (("holdfast", "PORT"), ("holdfast-sdk", "SDK_PORT")):
        (found,) = jobs[job]["dns_sd_configs"]
        assert tuple(found["names"]) == ROLES
        for role in ROLES:
            environment = compose["services"][role]["environment"]
            assert str(found["port"]) == environment[f"HOLDFAST_TELEMETRY__{variable}"]
    for job in jobs.values():
        for target in (target for static in job.get("static_configs", ()) for target in static["targets"]):
            assert target.split(":")[0] in {*compose["services"], "localhost"}
    assert all((ROOT / "deploy/prometheus" / name).exists() for name in config["rule_files"])


def test_rules_and_dashboard_use_metrics_that_exist() -> None:
    exported = {metric.name for metric in Metrics().registry.collect()}
    rules = (ROOT / "deploy/prometheus/rules.yml").read_text()
    dashboard = (ROOT / "deploy/grafana/dashboards/holdfast.json").read_text()
    used = set(re.findall(r"holdfast_\w+", rules + dashboard))
    assert used
    for name in used:
        assert re.sub(r"_(total|bucket|sum|count)$", "", name) in exported, name


def test_every_alert_has_a_remedy() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert {"summary", "remedy"} <= set(rule["annotations"]), rule["alert"]


def test_the_dockerfile_passes_its_linter_and_uses_pinned_requirements() -> None:
    dockerfile = ROOT / "Dockerfile"
    done = subprocess.run([BIN / "hadolint", dockerfile], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = dockerfile.read_text()
    assert "USER 10001" in text
    for install in re.findall(r"pip install .*?(?=&&|\n)", text):
        assert "--require-hashes" in install or "--no-deps" in install


def resolved(value: str) -> str:
    """A value as Compose would hand it over, with `set` for what the operator must give."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", lambda match: match[1] if match[1] is not None else "set", value)
