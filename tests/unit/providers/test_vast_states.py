"""The status triple in our words."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from holdfast.contracts.machines import InstanceState, SshAddress, Terms
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.vast.states import instance_of, state_of
from holdfast.providers.vast.wire import country, read_instance
from tests.unit.providers.wire import INSTANCE

NOW = datetime(2026, 11, 24, tzinfo=UTC)
S = InstanceState


@pytest.mark.parametrize(
    ("intended", "current", "actual", "state"),
    [
        ("running", "running", None, S.STARTING),
        ("running", "running", "created", S.STARTING),
        ("running", "running", "loading", S.STARTING),
        ("running", "running", "rebooting", S.STARTING),
        ("running", "running", "running", S.RUNNING),
        ("running", "running", "exited", S.EXITED),
        ("running", "running", "offline", S.OFFLINE),
        ("running", "running", "unknown", S.OFFLINE),
        ("running", "running", "frozen", S.UNKNOWN),
        ("running", "running", "a new word", S.UNKNOWN),
        ("running", "stopped", "exited", S.INTERRUPTED),
        ("stopped", "running", "running", S.STOPPING),
        ("stopped", "stopped", "exited", S.STOPPED),
        (None, None, "running", S.UNKNOWN),
        (None, None, None, S.UNKNOWN),
    ],
)
def test_each_triple_has_one_meaning(
    intended: str | None, current: str | None, actual: str | None, state: InstanceState
) -> None:
    assert _state(intended_status=intended, cur_state=current, actual_status=actual) is state


def test_a_firm_machine_without_a_gpu_waits_until_its_contract_is_over() -> None:
    denied = {"is_bid": False, "intended_status": "running", "cur_state": "stopped"}
    assert _state(**denied) is S.WAITING
    assert _state(**denied, end_date=NOW.timestamp() - 1) is S.INTERRUPTED


@pytest.mark.parametrize(
    ("actual", "message", "state"),
    [
        ("loading", "manifest for x:1 not found: manifest unknown", S.FAILED),
        ("loading", "pull access denied for x", S.FAILED),
        ("created", "Error response: OCI runtime create failed: no driver", S.FAILED),
        ("running", "warning: manifest unknown earlier", S.RUNNING),
        ("loading", "pulling layer 3", S.STARTING),
    ],
)
def test_a_machine_that_can_never_run_has_failed(actual: str, message: str, state: InstanceState) -> None:
    assert _state(actual_status=actual, status_msg=message) is state


def test_a_running_row_in_our_words() -> None:
    instance = instance_of(read_instance(INSTANCE), provider="vast", now=NOW)
    assert instance.ssh == SshAddress(host="198.51.100.24", port=41022)
    assert instance.hourly == Decimal("0.2067")
    assert (instance.terms, instance.region, instance.label) == (Terms.INTERRUPTIBLE, "CA", "train.e3")
    assert instance.contract_ends == datetime(2100, 1, 1, tzinfo=UTC)


def test_without_a_mapped_port_the_proxy_is_the_way_in() -> None:
    assert _ssh(ports=None) == SshAddress(host="ssh5.vast.ai", port=17740)
    assert _ssh(ports={}, image_runtype="jupyter_proxy") == SshAddress(host="ssh5.vast.ai", port=17741)
    assert _ssh(ports=None, ssh_host=None) is None


@pytest.mark.parametrize("port", ["", None, "none"])
def test_a_mapping_without_a_port_is_no_direct_way_in(port: object) -> None:
    assert _ssh(ports={"22/tcp": [{"HostPort": port}]}) == SshAddress(host="ssh5.vast.ai", port=17740)


def test_a_port_may_be_a_number() -> None:
    assert _ssh(ports={"22/tcp": [{"HostPort": 41022}]}) == SshAddress(host="198.51.100.24", port=41022)


@pytest.mark.parametrize("never", [1e15, -1e15, 1e300, float("nan"), float("inf"), "soon"])
def test_an_end_that_no_calendar_holds_is_not_told(never: object) -> None:
    assert instance_of(read_instance(INSTANCE | {"end_date": never}), provider="vast", now=NOW).contract_ends is None


@pytest.mark.parametrize(
    "field", ["status_msg", "gpu_name", "num_gpus", "dph_total", "ssh_port", "ports", "machine_id"]
)
def test_an_odd_detail_counts_as_not_told(field: str) -> None:
    read = instance_of(read_instance(INSTANCE | {field: ["odd"]}), provider="vast", now=NOW)
    assert (read.instance_id, read.state, read.label) == ("29817740", S.RUNNING, "train.e3")


@pytest.mark.parametrize("field", ["id", "label", "cur_state", "is_bid"])
def test_a_machine_is_not_judged_by_an_odd_row(field: str) -> None:
    with pytest.raises(ProviderUnavailable, match=field):
        read_instance(INSTANCE | {field: ["odd"]})


def test_a_label_of_digits_is_a_label() -> None:
    assert read_instance(INSTANCE | {"label": 123}).label == "123"


def test_a_machine_that_does_not_run_has_no_address() -> None:
    assert instance_of(read_instance(INSTANCE | {"actual_status": "loading"}), provider="vast", now=NOW).ssh is None


def test_a_row_of_nulls_is_a_machine_of_which_nothing_is_known() -> None:
    bare = instance_of(read_instance(dict.fromkeys(INSTANCE) | {"id": 5}), provider="vast", now=NOW)
    assert (bare.instance_id, bare.state, bare.terms, bare.hourly) == ("5", S.UNKNOWN, None, None)


def test_a_row_that_cannot_be_read_is_no_answer() -> None:
    with pytest.raises(ProviderUnavailable, match="id"):
        read_instance({"actual_status": "running"})


@pytest.mark.parametrize(("words", "code"), [("Quebec, CA", "CA"), ("us", "US"), ("Mars", ""), ("", ""), (None, "")])
def test_the_country_is_read_from_the_place(words: str | None, code: str) -> None:
    assert country(words) == code


def _state(**changes: Any) -> InstanceState:
    return state_of(read_instance(INSTANCE | changes), now=NOW)


def _ssh(**changes: Any) -> SshAddress | None:
    return instance_of(read_instance(INSTANCE | changes), provider="vast", now=NOW).ssh


@pytest.mark.parametrize(
    ("changes", "charged"),
    [
        ({}, Decimal("0.2067")),
        ({"actual_status": "loading"}, Decimal("0.0167")),
        ({"intended_status": "stopped", "cur_state": "stopped", "actual_status": "exited"}, Decimal("0.0167")),
        ({"actual_status": "offline"}, Decimal(0)),
        ({"actual_status": "frozen"}, None),
    ],
)
def test_what_is_charged_in_each_state(changes: dict[str, Any], charged: Decimal | None) -> None:
    priced = INSTANCE | {"storage_total_cost": 0.0167, "start_date": NOW.timestamp()} | changes
    instance = instance_of(read_instance(priced), provider="vast", now=NOW)
    assert (instance.charged, instance.storage_hourly) == (charged, Decimal("0.0167"))
    assert instance.running_since == (None if changes else NOW)
