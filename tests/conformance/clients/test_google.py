"""Google's own library, google-cloud-compute, unmodified, against the market: it finds what it finds at Google."""

import json
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.conformance.clients.conftest import Client, find
from tests.simmarket import RunningMarket

DONE = {"status": "DONE", "errors": [], "http": 0}
SCRIPT = Path(__file__).with_name("compute.py")


class Google:
    """Runs steps of the script with the market's key file, where the library looks for one."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __call__(self, step: str, *arguments: str) -> Any:
        done = self._client(step, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def google(market: RunningMarket, tmp_path: Path) -> Google:
    """The library with the account's key."""
    python = find("python")
    if not (python.parent.parent / "lib").glob("python3*/site-packages/google/cloud/compute_v1"):
        pytest.skip("google-cloud-compute is not installed: `make clients` installs it")
    home = tmp_path / "home"
    key = home / ".config/gcloud/application_default_credentials.json"
    key.parent.mkdir(parents=True)
    key.write_text((market.data_dir / "gcp-key.json").read_text())
    return Google(Client(python, home, first=(str(SCRIPT), market.base_url)))


@pytest.fixture
def key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def test_an_instance_lives_from_insert_to_delete(google: Google, market: RunningMarket, key: str) -> None:
    inserted = google("insert", "mine", "g2-standard-4", key)
    assert inserted["operation"] == inserted["again"]
    shown = google("show", "mine")
    assert (shown["id"], shown["status"], shown["disks"]) == (inserted["target"], "RUNNING", [100])
    assert shown["address"].startswith("127.")
    assert google("list", "labels.team=clients AND status=RUNNING") == {"zones/us-central1-a": ["mine"]}
    assert google("list", "status=TERMINATED") == {}

    assert google("act", "stop", "mine") == DONE
    assert google("show", "mine")["status"] == "TERMINATED"
    assert google("act", "start", "mine") == DONE
    assert google("act", "delete", "mine") == DONE
    assert google("show", "mine")["refused"] == "NotFound"
    with market.control as control:
        assert control.instances() == []


def test_what_fails_inside_the_operation_stands_in_it(google: Google, market: RunningMarket, key: str) -> None:
    with market.control as control:
        control.set_capacity("us-central1-a", available=0)
    refused = google("insert", "mine", "g2-standard-12", key)
    assert (refused["errors"], refused["http"]) == (["ZONE_RESOURCE_POOL_EXHAUSTED"], 503)
    assert google("show", "mine")["refused"] == "NotFound"


def test_what_is_refused_at_once_is_raised_by_the_call(google: Google, market: RunningMarket, key: str) -> None:
    google("insert", "mine", "g2-standard-4", key)
    assert google("insert", "mine", "g2-standard-4", key)["refused"] == "Conflict"
    assert google("insert", "Mine", "g2-standard-4", key)["refused"] == "BadRequest"
    with market.control as control:
        control.set_quota("PREEMPTIBLE_NVIDIA_L4_GPUS", 1)
    quota = google("insert", "second", "g2-standard-4", key)
    assert (quota["refused"], "PREEMPTIBLE_NVIDIA_L4_GPUS" in quota["words"]) == ("Forbidden", True)


def test_types_quotas_and_snapshots_are_what_the_library_expects(google: Google, key: str) -> None:
    assert google("types")["g2-standard-8"] == [8, ["nvidia-l4"]]
    google("insert", "mine", "g2-standard-4", key)
    assert google("region")["PREEMPTIBLE_NVIDIA_L4_GPUS"][1] == 1
    assert google("snapshot", "mine", "copy") == {"of": 100, "size": 100}
