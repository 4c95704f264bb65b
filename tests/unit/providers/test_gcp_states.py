"""From Google's rows to our words."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from holdfast.contracts.machines import InstanceState, SshAddress, Terms
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.gcp.kinds import Kind
from holdfast.providers.gcp.prices import PriceList
from holdfast.providers.gcp.states import instance_of, state_of
from holdfast.providers.gcp.wire import OperationRow, read_instance, read_operation

LINK = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a"
STARTED = "2026-10-01T03:00:00.101-07:00"
KIND = Kind(zone="us-central1-a", machine="g2-standard-4", cores=4, memory_gb=16, card="nvidia-l4", count=1)
PRICES = PriceList(
    units={
        ("g2/core", "us-central1", True): Decimal("0.01"),
        ("g2/ram", "us-central1", True): Decimal("0.001"),
        ("gpu/l4", "us-central1", True): Decimal("0.2"),
        ("disk", "us-central1", False): Decimal("0.10"),
    }
)


def row(**changes: Any) -> Any:
    plain = {
        "id": "4711",
        "name": "train-e1-k3f9",
        "status": "RUNNING",
        "zone": LINK,
        "machineType": f"{LINK}/machineTypes/g2-standard-4",
        "labels": {"holdfast": "train_e1_k3f9", "team": "a"},
        "scheduling": {"provisioningModel": "SPOT"},
        "guestAccelerators": [{"acceleratorType": f"{LINK}/acceleratorTypes/nvidia-l4", "acceleratorCount": 1}],
        "disks": [{"boot": True, "diskSizeGb": "73"}],
        "networkInterfaces": [{"accessConfigs": [{"natIP": "203.0.113.7"}]}],
        "metadata": {"items": [{"key": "ssh-keys", "value": "holdfast:ssh-ed25519 AAAA me"}]},
        "lastStartTimestamp": STARTED,
    }
    return read_instance(plain | changes)


def ending(kind: str) -> OperationRow:
    return read_operation({"name": "o", "status": "DONE", "operationType": kind, "statusMessage": "It was so."})


def told(found: Any, **more: Any) -> Any:
    return instance_of(found, provider="gcp", ssh_port=22, kind=KIND, prices=PRICES, **more)


def test_a_running_machine_is_told_with_what_it_costs() -> None:
    found = told(row())
    assert (found.instance_id, found.label, found.state) == (
        "p/us-central1-a/train-e1-k3f9",
        "train.e1.k3f9",
        InstanceState.RUNNING,
    )
    assert (found.gpu, found.gpu_count, found.region, found.terms) == ("L4", 1, "US", Terms.INTERRUPTIBLE)
    assert found.machine_id == "us-central1-a/g2-standard-4"
    assert found.ssh == SshAddress(host="203.0.113.7", port=22, user="holdfast")
    assert found.storage_hourly == Decimal("0.01"), "73 GB at $0.10 a month of 730 hours"
    assert found.hourly == found.charged == Decimal("0.266"), "4 * 0.01 + 16 * 0.001 + 0.2 + 0.01"
    assert found.running_since == datetime(2026, 10, 1, 10, 0, 0, 101000, tzinfo=UTC)


def test_a_machine_that_is_off_costs_its_disk() -> None:
    found = told(row(status="TERMINATED"), ending=ending("stop"))
    assert (found.state, found.charged, found.ssh, found.running_since) == (
        InstanceState.STOPPED,
        Decimal("0.01"),
        None,
        None,
    )


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", InstanceState.WAITING),
        ("PROVISIONING", InstanceState.STARTING),
        ("STAGING", InstanceState.STARTING),
        ("STOPPING", InstanceState.STOPPING),
        ("SUSPENDED", InstanceState.STOPPED),
        ("REPAIRING", InstanceState.OFFLINE),
        ("A_NEW_WORD", InstanceState.UNKNOWN),
    ],
)
def test_each_status_has_its_word(status: str, state: InstanceState) -> None:
    assert state_of(row(status=status)) is state


@pytest.mark.parametrize(
    ("by", "state"),
    [
        ("compute.instances.preempted", InstanceState.INTERRUPTED),
        ("compute.instances.hostError", InstanceState.EXITED),
        ("compute.instances.guestTerminate", InstanceState.EXITED),
        ("stop", InstanceState.STOPPED),
    ],
)
def test_who_switched_a_machine_off_is_told_by_its_operation(by: str, state: InstanceState) -> None:
    found = told(row(status="TERMINATED"), ending=ending(by))
    assert (found.state, found.detail) == (state, "TERMINATED: It was so.")


def test_a_spot_machine_that_nobody_stopped_was_taken_back() -> None:
    assert state_of(row(status="TERMINATED")) is InstanceState.INTERRUPTED
    assert state_of(row(status="TERMINATED", scheduling={})) is InstanceState.STOPPED
    assert state_of(row(status="TERMINATED", scheduling={"preemptible": True})) is InstanceState.INTERRUPTED


def test_what_cannot_be_read_is_not_told_and_a_machine_without_a_name_is_no_answer() -> None:
    found = told(row(labels=["odd"], disks="odd", metadata=7, networkInterfaces=None, lastStartTimestamp="then"))
    assert (found.label, found.ssh, found.running_since) == (None, None, None)
    with pytest.raises(ProviderUnavailable, match="name"):
        read_instance({"id": "1", "status": "RUNNING", "zone": LINK, "machineType": "x"})


def test_without_a_price_list_nothing_is_said_of_money() -> None:
    found = instance_of(row(), provider="gcp", ssh_port=22)
    assert (found.hourly, found.charged, found.storage_hourly) == (None, None, None)
