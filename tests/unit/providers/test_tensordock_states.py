"""Machines in our words, whatever envelope and spelling they come in."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from holdfast.contracts.machines import InstanceState, SshAddress, Terms
from holdfast.providers.errors import ProviderUnavailable, RequestRejected
from holdfast.providers.tensordock.countries import country_code
from holdfast.providers.tensordock.gpus import memory_gb, neutral_name
from holdfast.providers.tensordock.states import instance_of
from holdfast.providers.tensordock.wire import one_of, read_instance
from tests.unit.providers.dock import GONE, GPU, INSTANCE, LISTED, NUMBER, Dock, listing, one

S = InstanceState


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("queued", S.STARTING),
        ("creating", S.STARTING),
        ("Starting", S.STARTING),
        ("RUNNING", S.RUNNING),
        ("stopping", S.STOPPING),
        ("stopped", S.STOPPED),
        ("StoppedDisassociated", S.STOPPED),
        ("stopped_disassociated", S.STOPPED),
        ("stopped-disassociated", S.STOPPED),
        ("deleting", S.STOPPING),
        ("error", S.FAILED),
        ("Outbid", S.INTERRUPTED),
        ("Relocating", S.STARTING),
        ("a new word", S.UNKNOWN),
    ],
)
def test_each_status_has_one_meaning_however_it_is_spelt(status: str, state: InstanceState) -> None:
    assert instance_of(read_instance(one_of(INSTANCE | {"status": status})), provider="tensordock").state is state


@pytest.mark.parametrize(
    ("status", "charged"),
    [("running", Decimal("0.452")), ("stopped", Decimal("0.452")), ("StoppedDisassociated", None), ("error", None)],
)
def test_a_machine_that_is_merely_stopped_is_charged_in_full(status: str, charged: Decimal | None) -> None:
    told = instance_of(read_instance(one_of(INSTANCE | {"status": status})), provider="tensordock")
    assert told.charged == charged
    assert ("reserved" in told.detail) == (status == "stopped")


def _apart(thing: dict[str, Any]) -> dict[str, Any]:
    return {"type": thing["type"], "id": thing["id"], "attributes": {k: v for k, v in thing.items() if k != "id"}}


@pytest.mark.parametrize("envelope", [INSTANCE, {"data": INSTANCE}, {"data": _apart(INSTANCE)}, _apart(INSTANCE)])
async def test_a_machine_is_read_in_every_envelope(envelope: dict[str, Any]) -> None:
    found = await Dock(show=httpx.Response(200, json=envelope)).provider().inspect(NUMBER)
    assert found.ssh == SshAddress(host="203.0.113.77", port=20044, user="user")
    assert (found.label, found.gpu, found.gpu_count) == ("train.e3", "RTX 4090", 1)
    assert (found.hourly, found.terms, found.machine_id) == (Decimal("0.452"), Terms.ON_DEMAND, "")


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"instances": [LISTED]}},
        {"data": [LISTED]},
        {"instances": [LISTED]},
        {"data": {"type": "list", "id": "instances", "attributes": {"instances": [_apart(LISTED)]}}},
    ],
)
async def test_a_list_is_read_in_every_envelope(body: object) -> None:
    dock = Dock(list=httpx.Response(200, json=body))
    (found,) = await dock.provider().list_owned()
    assert (found.instance_id, found.label, found.state) == (NUMBER, "train.e3", S.RUNNING)


@pytest.mark.parametrize("body", [{}, [], {"data": {}}, {"data": None}, {"data": {"instances": None}}, {"data": [5]}])
async def test_an_odd_list_is_not_an_empty_account(body: object) -> None:
    with pytest.raises(ProviderUnavailable):
        await Dock(list=httpx.Response(200, json=body)).provider().list_owned()


@pytest.mark.parametrize(
    "ports",
    [
        [{"internal_port": "22", "external_port": "20044"}],
        [{"internalPort": 22, "externalPort": 20044}],
        {"22": 20044},
        {"20044": "22"},
    ],
)
def test_the_way_in_is_found_in_every_spelling(ports: object) -> None:
    thing = one_of({"id": "1", "status": "running", "ip_address": " 203.0.113.9\n", "port_forwards": ports})
    found = instance_of(read_instance(thing), provider="tensordock")
    assert found.ssh == SshAddress(host="203.0.113.9", port=20044, user="user")


@pytest.mark.parametrize(
    "changes", [{"ipAddress": None}, {"portForwards": []}, {"portForwards": None}, {"status": "starting"}]
)
def test_no_address_is_told_before_the_machine_has_one(changes: dict[str, Any]) -> None:
    assert instance_of(read_instance(one_of(INSTANCE | changes)), provider="tensordock").ssh is None


@pytest.mark.parametrize("field", ["ipAddress", "portForwards", "resources", "rateHourly"])
def test_an_odd_detail_counts_as_not_told_and_hides_no_machine(field: str) -> None:
    found = instance_of(read_instance(one_of(INSTANCE | {field: [["odd"]]})), provider="tensordock")
    assert (found.instance_id, found.state) == (NUMBER, S.RUNNING)


def test_gpus_may_come_as_a_list() -> None:
    resources = {"gpus": [{"gpuV0Name": GPU, "count": 2}]}
    found = instance_of(read_instance(one_of(INSTANCE | {"resources": resources})), provider="tensordock")
    assert (found.gpu, found.gpu_count) == ("RTX 4090", 2)


@pytest.mark.parametrize("field", ["id", "status"])
def test_a_machine_that_cannot_be_read_is_an_error_and_not_left_out(field: str) -> None:
    with pytest.raises(ProviderUnavailable, match=field):
        read_instance(one_of(INSTANCE | {field: None}))


async def test_an_answer_about_another_machine_says_nothing() -> None:
    with pytest.raises(ProviderUnavailable):
        await Dock(show=one(INSTANCE, id="another")).provider().inspect(NUMBER)


@pytest.mark.parametrize("reply", [GONE, one(INSTANCE, status="deleted")])
async def test_a_machine_that_is_not_known_or_deleted_is_gone(reply: httpx.Response) -> None:
    assert (await Dock(show=reply).provider().inspect(NUMBER)).state is S.GONE


async def test_a_deleted_machine_is_not_listed() -> None:
    assert list(await Dock(list=listing(LISTED | {"status": "Deleted"})).provider().list_owned()) == []


@pytest.mark.parametrize("number", ["", "../secrets", "a/b", "x" * 200])
async def test_what_is_no_id_is_never_part_of_a_path(number: str) -> None:
    dock = Dock()
    for call in (dock.provider().inspect, dock.provider().destroy):
        with pytest.raises(RequestRejected):
            await call(number)
    assert dock.calls() == []


@pytest.mark.parametrize(
    ("theirs", "ours", "memory"),
    [
        ("geforcertx4090-pcie-24gb", "RTX 4090", 24),
        ("geforcertx3060ti-pcie-8gb", "RTX 3060 Ti", 8),
        ("geforcertx4070tisuper-pcie-16gb", "RTX 4070 Ti SUPER", 16),
        ("geforcegtx1070-pcie-8gb", "GTX 1070", 8),
        ("rtxa6000-pcie-48gb", "RTX A6000", 48),
        ("rtx6000ada-pcie-48gb", "RTX 6000Ada", 48),
        ("l40s-pcie-48gb", "L40S", 48),
        ("a100-sxm4-80gb", "A100 SXM4", 80),
        ("a100-pcie-80gb", "A100 PCIE", 80),
        ("h100-sxm5-80gb", "H100 SXM", 80),
        ("h100-pcie-80gb", "H100 PCIE", 80),
        ("v100-sxm2-16gb", "V100", 16),
        ("something", "SOMETHING", 0),
    ],
)
def test_gpus_go_by_the_names_that_workloads_use(theirs: str, ours: str, memory: float) -> None:
    assert (neutral_name(theirs), memory_gb(theirs)) == (ours, memory)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("United States", "US"),
        ("netherlands", "NL"),
        ("us", "US"),
        ("UK", "GB"),
        ("Atlantis", ""),
        (None, ""),
        ("", ""),
    ],
)
def test_a_country_goes_by_its_code(name: str | None, code: str) -> None:
    assert country_code(name) == code
