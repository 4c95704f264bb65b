"""Renting, by the calls that are made: what is sent, what is never sent twice, what is cleaned up."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from holdfast.contracts.machines import InstanceState, LaunchOrder, Requirements, Terms
from holdfast.providers.errors import (
    LaunchUnsettled,
    OutOfCredit,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from tests.unit.providers.dock import (
    ACCEPTED,
    DONE,
    GONE,
    GPU,
    INSTANCE,
    LISTED,
    NODE,
    NODE_ID,
    NUMBER,
    PAGE,
    Dock,
    listing,
    no,
    no_as_ok,
    node,
    nodes,
    one,
)

PUBLIC_KEY = "ssh-ed25519 AAAAC3Nza me@here\n"
UNAVAILABLE = no_as_ok("Hostnode unavailable")
FREE = httpx.Response(200, json={"data": NODE})


async def _order(**changes: Any) -> LaunchOrder:
    needs = Requirements(gpu="RTX 4090", terms=Terms.ON_DEMAND)
    (offer,) = await Dock(hostnodes=nodes(NODE)).provider().search_offers(needs)
    return replace(
        LaunchOrder(offer=offer, label="train.e3", image="pytorch:2", disk_gb=60, ssh_public_key=PUBLIC_KEY), **changes
    )


async def test_an_order_says_all_that_the_machine_is_to_be() -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=ACCEPTED)
    result = await dock.provider(image="ubuntu2404").launch(await _order(onstart="echo ready"))
    assert dock.calls() == ["list", "hostnode", "deploy"]
    assert dock.order() == {
        "name": "train.e3",
        "type": "virtualmachine",
        "image": "ubuntu2404",
        "resources": {"vcpu_count": 4, "ram_gb": 16, "storage_gb": 100, "gpus": {GPU: {"count": 1}}},
        "hostnode_id": NODE_ID,
        "useDedicatedIp": False,
        "port_forwards": dock.order()["port_forwards"],
        "ssh_key": "ssh-ed25519 AAAAC3Nza me@here",
        "cloud_init": {"runcmd": ["echo ready"]},
    }
    (forward,) = dock.order()["port_forwards"]
    assert forward["internal_port"] == 22 and forward["external_port"] in (20013, 20044)
    rented = result.instance
    assert rented is not None and (rented.instance_id, rented.label, result.adopted) == (NUMBER, "train.e3", False)
    assert (rented.machine_id, rented.hourly, rented.state) == (NODE_ID, Decimal("0.419"), InstanceState.STARTING)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "virtualmachine", "id": NUMBER, "name": "train.e3", "status": "starting"},
        {"data": {"id": NUMBER, "attributes": {"status": "queued"}}},
        {"data": {"id": NUMBER}},
    ],
)
async def test_an_accepted_order_is_read_in_every_envelope(body: object) -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=httpx.Response(201, json=body))
    result = await dock.provider().launch(await _order())
    assert result.instance is not None and result.instance.instance_id == NUMBER and not result.adopted


@pytest.mark.parametrize(
    "now",
    [
        GONE,
        one({"data": node(gpus=[])}),
        one({"data": node(gpus=[{"v0Name": GPU, "availableCount": 0, "price_per_hr": 0.37}])}),
        one({"data": node(gpus=[{"v0Name": GPU, "availableCount": 1, "price_per_hr": 0.38}])}),
        one({"data": node(storage_gb=80)}),
        one({"data": node(available_ports=[])}),
    ],
    ids=["unknown", "without GPUs", "full", "dearer", "no disk", "no port"],
)
async def test_a_node_that_no_longer_gives_what_it_offered_is_not_ordered_from(now: httpx.Response) -> None:
    dock = Dock(list=listing(), hostnode=now)
    result = await dock.provider().launch(await _order())
    assert result.instance is None and "offer gone" in result.refusal
    assert "deploy" not in dock.calls()


async def test_a_node_that_cannot_be_asked_is_not_ordered_from() -> None:
    dock = Dock(list=listing(), hostnode=PAGE)
    with pytest.raises(ProviderUnavailable):
        await dock.provider().launch(await _order())
    assert "deploy" not in dock.calls()


@pytest.mark.parametrize(
    "refusal", [UNAVAILABLE, no(400, "External port 20013 is not available"), no(404, "Hostnode not found")]
)
async def test_a_refused_order_means_the_next_offer_once_the_list_shows_that_nothing_was_made(
    refusal: httpx.Response,
) -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=refusal)
    result = await dock.provider().launch(await _order())
    assert result.instance is None and "offer gone" in result.refusal
    assert dock.calls() == ["list", "hostnode", "deploy", "list"]


async def test_what_a_refused_order_left_behind_is_destroyed_until_it_is_not_found() -> None:
    left = LISTED | {"status": "error"}
    dock = Dock(
        list=[listing(), listing(left)],
        hostnode=FREE,
        deploy=UNAVAILABLE,
        delete=[DONE, GONE],
        show=[one(INSTANCE, status="deleting"), GONE],
    )
    result = await dock.provider().launch(await _order())
    assert result.instance is None and "cannot run: error" in result.refusal
    assert dock.calls()[3:] == ["list", "delete", "show", "delete", "show"]


async def test_a_machine_that_runs_although_its_order_was_refused_is_adopted() -> None:
    dock = Dock(list=[listing(), listing(LISTED)], hostnode=FREE, deploy=UNAVAILABLE)
    assert (await dock.provider().launch(await _order())).adopted


async def test_a_wrong_order_is_our_mistake_and_not_a_gone_offer() -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=no(400, "image must be one of ubuntu2404"))
    with pytest.raises(RequestRejected):
        await dock.provider().launch(await _order())


async def test_an_account_without_money_asks_for_a_person() -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=no_as_ok("You need at least $1 in your account"))
    with pytest.raises(OutOfCredit):
        await dock.provider().launch(await _order())


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut"), PAGE])
async def test_an_order_is_never_sent_twice_when_its_answer_is_lost(
    lost: httpx.Response | httpx.TransportError,
) -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=lost)
    with pytest.raises(LaunchUnsettled):
        await dock.provider(listing_lag=timedelta(seconds=3)).launch(await _order())
    assert dock.calls().count("deploy") == 1 and dock.calls().count("list") > 3


async def test_an_order_without_a_machine_in_its_answer_is_settled_by_its_name() -> None:
    dock = Dock(list=[listing(), listing(LISTED)], hostnode=FREE, deploy=one({"data": {}}))
    assert (await dock.provider().launch(await _order())).adopted


async def test_an_order_that_never_left_is_simply_not_placed() -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=httpx.ConnectError("refused"))
    with pytest.raises(ProviderUnavailable):
        await dock.provider().launch(await _order())
    assert dock.calls() == ["list", "hostnode", "deploy"]


async def test_an_order_that_came_too_early_is_not_repeated_by_the_driver() -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=no(429, "Too many requests"))
    with pytest.raises(RateLimited):
        await dock.provider().launch(await _order())
    assert dock.calls().count("deploy") == 1


async def test_a_machine_with_another_name_is_not_adopted() -> None:
    dock = Dock(list=listing(LISTED | {"name": "train.e30"}, LISTED | {"name": None}), hostnode=FREE, deploy=ACCEPTED)
    assert not (await dock.provider().launch(await _order())).adopted


async def test_of_two_machines_with_one_name_the_first_is_adopted_and_the_other_goes() -> None:
    other = LISTED | {"id": "younger"}
    dock = Dock(list=listing(LISTED, other), delete=DONE, show=GONE)
    result = await dock.provider().launch(await _order())
    assert result.adopted and result.instance is not None and result.instance.instance_id == NUMBER
    (deleted,) = [request.url.path for name, request in dock.asked if name == "delete"]
    assert deleted.endswith("/younger")


async def test_a_repeated_order_waits_until_what_it_may_have_rented_is_listed() -> None:
    dock = Dock(list=[listing(), PAGE, listing(LISTED)])
    provider = dock.provider(listing_lag=timedelta(seconds=30))
    assert (await provider.launch(await _order(repeated=True))).adopted
    assert dock.calls() == ["list", "list", "list"]


async def test_a_repeated_order_that_left_no_trace_rents() -> None:
    dock = Dock(list=listing(), hostnode=FREE, deploy=ACCEPTED)
    provider = dock.provider(listing_lag=timedelta(seconds=3))
    assert not (await provider.launch(await _order(repeated=True))).adopted
    assert dock.calls().count("list") > 2


async def test_a_machine_is_gone_only_when_it_is_not_found() -> None:
    dock = Dock(delete=[httpx.Response(200, json={"data": {"status": "deleting"}}), GONE], show=[one(INSTANCE), GONE])
    provider = dock.provider()
    assert [await provider.destroy(NUMBER), await provider.destroy(NUMBER)] == [False, True]


async def test_a_delete_that_is_refused_because_the_machine_is_going_is_no_failure_once_it_is_gone() -> None:
    dock = Dock(delete=no(409, "Instance is being deleted"), show=[one(INSTANCE), GONE])
    provider = dock.provider()
    with pytest.raises(RequestRejected):
        await provider.destroy(NUMBER)
    assert await provider.destroy(NUMBER)
