"""The official `vastai` command, unmodified, against the market: what it prints is what it prints for the real one."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.conformance.clients.conftest import Client, find
from tests.simmarket import RunningMarket


@pytest.fixture
def vastai(market: RunningMarket, tmp_path: Path) -> Client:
    """The command, with the market's address and the account's key where it looks for it."""
    program = find("vastai")
    client = Client(program, tmp_path / "home", first=("--url", market.base_url))
    set_key(client, market.api_key)
    return client


def set_key(client: Client, key: str) -> None:
    """As `vastai set api-key` leaves it."""
    path = client.home / ".config/vastai/vast_api_key"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(key)


def raw(client: Client, *arguments: str) -> Any:
    """What a command answers with --raw."""
    done = client(*arguments, "--raw")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def cheapest(client: Client, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = raw(client, "search", "offers", "gpu_name=RTX_4090 num_gpus=1", "-o", "dph", *more)[0]
    return found


def create(client: Client, *more: str) -> str:
    """Rent the cheapest RTX 4090 on demand; the instance's number."""
    image = ("--image", "ubuntu:24.04", "--disk", "20", "--ssh", "--direct")
    rented = raw(client, "create", "instance", str(cheapest(client)["id"]), *image, *more)
    assert rented["success"] is True
    return str(rented["new_contract"])


def status(client: Client, number: str) -> str:
    return str(raw(client, "show", "instance", number)["actual_status"])


def test_search_shows_offers_that_fit_cheapest_first(vastai: Client) -> None:
    table = vastai("search", "offers", "gpu_name=RTX_4090 num_gpus=1 reliability>0.99", "-o", "dph")
    assert table.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", table.stdout)
    assert plain.count("RTX_4090") == 5
    assert "Quebec,_CA" in plain and "verified" in plain
    rows = raw(vastai, "search", "offers", "gpu_name=RTX_4090 num_gpus=1 reliability>0.99", "-o", "dph")
    assert [row["dph_total"] for row in rows] == sorted(row["dph_total"] for row in rows)
    assert all(row["reliability2"] > 0.99 and row["gpu_name"] == "RTX 4090" for row in rows)


def test_an_instance_lives_from_create_to_destroy(vastai: Client, market: RunningMarket) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    assert "ssh-key created" in vastai("create", "ssh-key", key, "-y").stdout
    number = create(vastai, "--label", "mine.e1")
    until(lambda: status(vastai, number) == "running")
    listed = raw(vastai, "show", "instances")
    assert [(str(row["id"]), row["label"], row["gpu_name"]) for row in listed] == [(number, "mine.e1", "RTX 4090")]
    assert vastai("ssh-url", number).stdout.strip() == f"ssh://root@127.0.0.1:{listed[0]['ssh_port']}"

    assert vastai("label", "instance", number, "other.e1").stdout.strip() == f"label for {number} set to other.e1."
    assert raw(vastai, "show", "instance", number)["label"] == "other.e1"

    assert vastai("stop", "instance", number).stdout.strip() == f"stopping instance {number}."
    until(lambda: status(vastai, number) == "exited")
    assert vastai("start", "instance", number).stdout.strip() == f"starting instance {number}."
    until(lambda: status(vastai, number) == "running")

    assert vastai("destroy", "instance", number, "-y").stdout.strip() == f"destroying instance {number}."
    again = vastai("show", "instance", number)
    assert (again.returncode, "not found or no longer exists" in again.stderr) == (1, True)
    assert raw(vastai, "show", "instances") == []
    with market.control as control:
        assert control.instances() == []


def test_a_table_of_instances_names_number_status_and_label(vastai: Client) -> None:
    number = create(vastai, "--label", "mine.e1")
    until(lambda: status(vastai, number) == "running")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", vastai("show", "instance", number).stdout)
    assert re.search(rf"{number}\s+20117\s+running\s+1x\s+RTX_4090", plain), plain
    assert "Labels: mine.e1: 1" in re.sub(r"\x1b\[[0-9;]*m", "", vastai("show", "instances").stdout)


def test_a_bid_below_the_least_leaves_a_stopped_instance_behind(vastai: Client) -> None:
    offer = cheapest(vastai, "--type", "bid")
    image = ("--image", "ubuntu:24.04", "--bid_price", "0.001")
    refused = raw(vastai, "create", "instance", str(offer["id"]), *image)
    assert (refused["success"], refused["error"]) == (False, "invalid_price")
    left = raw(vastai, "show", "instance", str(refused["new_contract"]))
    assert (left["cur_state"], left["is_bid"]) == ("stopped", True)
    assert vastai("change", "bid", str(left["id"]), "--price", "0.5").returncode == 0
    until(lambda: status(vastai, str(left["id"])) == "running")


def test_a_start_on_a_taken_gpu_is_told(vastai: Client, market: RunningMarket) -> None:
    number = create(vastai)
    vastai("stop", "instance", number)
    until(lambda: raw(vastai, "show", "instance", number)["cur_state"] == "stopped")
    with market.control as control:
        control.take(number)
    started = vastai("start", "instance", number)
    assert "Required resources are currently unavailable" in started.stdout + started.stderr


def test_the_account_and_its_keys_are_shown(vastai: Client) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    vastai("create", "ssh-key", key, "-y")
    assert key in vastai("show", "ssh-keys").stdout
    assert raw(vastai, "show", "user")["credit"] == pytest.approx(100.0)


def test_prices_of_the_last_day_are_shown(vastai: Client) -> None:
    trends = raw(vastai, "show", "gpu-trends", "RTX 4090")["RTX 4090"]
    assert len(trends["rows"]) >= 20
    assert all(0.1 < row["avail_median"] < 1 for row in trends["rows"])
    now = next(row for row in raw(vastai, "show", "gpu-metrics")["gpus"] if row["gpu_name"] == "RTX 4090")
    assert now["price_p10"] <= now["price_median"] <= now["price_p90"]


def test_refusals_are_told_in_the_providers_words(vastai: Client) -> None:
    gone = vastai("create", "instance", "1", "--image", "ubuntu:24.04")
    assert "Failed with error 404: error 404/3603: no_such_ask" in gone.stderr
    assert "not found" in vastai("destroy", "instance", "1", "-y").stderr
    set_key(vastai, "a-wrong-key")
    assert "Failed with error 404: Invalid user key" in vastai("show", "instances").stderr
