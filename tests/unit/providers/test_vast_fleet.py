"""Looking at instances, by the calls that are made: nothing is concluded from an odd answer."""

from typing import Any

import httpx
import pytest

from holdfast.contracts.machines import InstanceState
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable, RateLimited, RequestRejected
from holdfast.providers.wrappers.pacing import hurried
from tests.unit.providers.wire import HTML, INSTANCE, NOT_FOUND, YES, Wire, listing, no

SHOWN = httpx.Response(200, json={"instances": INSTANCE})
ID = "29817740"


@pytest.mark.parametrize("answer", [NOT_FOUND, no(404, "no_such_instance"), no(404, "not_found")])
async def test_gone_is_what_the_provider_says_in_one_of_its_ways(answer: httpx.Response) -> None:
    assert (await Wire(show=answer).provider().inspect(ID)).state is InstanceState.GONE


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HTML, ProviderUnavailable),
        (httpx.Response(200, json={}), ProviderUnavailable),
        (httpx.Response(200, json=[]), ProviderUnavailable),
        (httpx.Response(200, json={"instances": []}), ProviderUnavailable),
        (httpx.Response(200, json={"instances": INSTANCE | {"id": 1}}), ProviderUnavailable),
        (no(410, "deprecated_endpoint"), ProviderUnavailable),
        (no(404, "auth_error", "Invalid user key"), CredentialsRefused),
        (httpx.Response(404, json={"detail": "Not Found"}), RequestRejected),
    ],
)
async def test_anything_else_is_not_gone(answer: httpx.Response, error: type[Exception]) -> None:
    with pytest.raises(error):
        await Wire(show=answer).provider().inspect(ID)


async def test_a_second_look_in_a_hurry_uses_the_call_that_may_leave_first() -> None:
    wire = Wire(show=SHOWN, list=listing(INSTANCE))
    provider = wire.provider()
    with hurried():
        assert [(await provider.inspect(ID)).state for _ in range(2)] == [InstanceState.RUNNING] * 2
    assert wire.calls() == ["show", "list"] and wire.time.slept == []


async def test_who_is_in_no_hurry_leaves_lists_to_those_who_rent() -> None:
    wire = Wire(show=SHOWN, list=listing(INSTANCE))
    provider = wire.provider()
    await provider.inspect(ID)
    await provider.inspect(ID)
    assert wire.calls() == ["show", "show"] and 0 < sum(wire.time.slept) <= 2.1


async def test_an_empty_list_is_checked_by_asking_for_the_one() -> None:
    wire = Wire(show=SHOWN, list=listing())
    provider = wire.provider()
    with hurried():
        await provider.inspect(ID)
        assert (await provider.inspect(ID)).state is InstanceState.RUNNING
    assert wire.calls() == ["show", "list", "show"]


async def test_pages_are_followed_to_the_end() -> None:
    rows = [INSTANCE | {"id": number} for number in range(1, 52)]
    counts = {"instances_found": 51, "total_instances": 60}
    pages = [
        listing(*rows[:25], next_token="a", **counts),
        listing(*rows[25:50], next_token="b", **counts),
        listing(*rows[50:], **counts),
    ]
    wire = Wire(list=pages)
    assert [int(each.instance_id) for each in await wire.provider().list_owned()] == list(range(1, 52))
    assert [request.url.params.get("after_token") for _, request in wire.asked] == [None, "a", "b"]


@pytest.mark.parametrize(
    "changes",
    [
        {"instances_found": 2, "total_instances": 2},
        {"instances_found": 1, "total_instances": 0},
        {"instances_found": None},
        {"total_instances": None},
        {"instances": None},
        {"instances": [{"label": "no id"}]},
        {"next_token": "round and round"},
        {"next_token": {"page": 2}},
    ],
)
async def test_a_list_that_does_not_add_up_is_no_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(ProviderUnavailable):
        await Wire(list=listing(INSTANCE, **changes)).provider().list_owned()


async def test_a_label_is_compared_whole_although_the_filter_is_ignored() -> None:
    rows = [INSTANCE | {"id": 1, "label": "train.e30"}, INSTANCE | {"id": 2}]
    (found,) = await Wire(list=listing(*rows)).provider().list_owned("train.e3")
    assert found.instance_id == "2"


async def test_destroyed_is_only_what_is_not_found_afterwards() -> None:
    wire = Wire(destroy=YES, show=[SHOWN, NOT_FOUND])
    provider = wire.provider()
    assert [await provider.destroy(ID), await provider.destroy(ID)] == [False, True]


@pytest.mark.parametrize(
    "gone",
    [no(404, "no_such_instance"), no(404, "invalid_args", "error 404/3301: no_such_instance Instance 7 not found")],
)
async def test_a_machine_that_is_gone_already_is_destroyed(gone: httpx.Response) -> None:
    assert await Wire(destroy=gone, show=gone).provider().destroy(ID)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404, html="<html>no_such_instance here</html>"), ProviderUnavailable),
        (no(404, "auth_error", "no_such_instance for this key"), CredentialsRefused),
    ],
)
async def test_a_machine_is_not_gone_because_the_address_or_the_key_is_wrong(
    answer: httpx.Response, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await Wire(destroy=answer, show=answer).provider().destroy(ID)


async def test_a_read_waits_as_long_as_a_refusal_says_and_is_repeated() -> None:
    early = httpx.Response(429, json={"detail": "API requests too frequent endpoint threshold=4.0"})
    wire = Wire(show=[early, SHOWN])
    assert (await wire.provider().inspect(ID)).state is InstanceState.RUNNING
    assert wire.time.slept and sum(wire.time.slept) >= 4


async def test_a_provider_that_goes_on_refusing_ends_our_patience() -> None:
    wire = Wire(show=httpx.Response(429, text="API requests too frequent"))
    with pytest.raises(RateLimited):
        await wire.provider().inspect(ID)
    assert len(wire.asked) < 10


async def test_a_start_that_finds_no_gpu_waits() -> None:
    taken = no(200, "resources_unavailable", "Required resources are currently unavailable, state change queued.")
    stopped = httpx.Response(200, json={"instances": INSTANCE | {"cur_state": "stopped"}})
    found = await Wire(change=taken, show=stopped).provider().start(ID)
    assert found.state is InstanceState.WAITING and "currently unavailable" in found.detail


async def test_the_word_on_the_stop_before_may_linger_after_a_start() -> None:
    lingering = httpx.Response(200, json={"instances": INSTANCE | {"actual_status": "exited"}})
    assert (await Wire(change=YES, show=lingering).provider().start(ID)).state is InstanceState.STARTING


@pytest.mark.parametrize("odd", ["", "abc", "1/../2", "-1", "1.5"])
async def test_an_id_that_is_no_number_never_reaches_the_wire(odd: str) -> None:
    wire = Wire()
    with pytest.raises(RequestRejected):
        await wire.provider().destroy(odd)
    assert wire.asked == []
