"""What is known of endpoints, and how often it is asked for."""

import asyncio
from datetime import timedelta

import pytest

from holdfast.contracts.endpoints import EndpointCard
from holdfast.workers.gateway import directory as directory_module
from holdfast.workers.gateway.directory import Directory
from tests.unit.workers.gateway.desk import Desk, card

HOURLY = timedelta(hours=1)


async def test_unknown_names_are_looked_up_at_most_once_a_second() -> None:
    now = 100.0
    desk = Desk()
    directory = Directory(desk, every=HOURLY, clock=lambda: now)
    await directory.refresh()
    desk.directory = [card(), card("fresh")]
    assert await directory.named("fresh") is None
    now += 1
    found = await asyncio.gather(*(directory.named("fresh") for _ in range(50)))
    assert all(found)
    assert desk.readings == 2
    for _ in range(10):
        assert await directory.named("nobody") is None
    assert desk.readings == 2
    now += 1
    assert await directory.serving("nobody") is None
    assert desk.readings == 3


async def test_a_reading_that_fails_changes_nothing_but_says_why() -> None:
    desk = Desk()
    directory = Directory(desk, every=HOURLY)
    await directory.refresh()
    desk.away = "the server is down"
    await directory.refresh()
    assert directory.known
    assert directory.trouble == "the server is down"
    assert await directory.named("chat") is not None


async def test_a_name_goes_before_a_model_and_of_models_the_first_endpoint() -> None:
    desk = Desk(directory=[card("b", models=("shared", "a")), card("a", models=("shared",))])
    directory = Directory(desk, every=HOURLY)
    await directory.refresh()
    for wanted in ("shared", "a"):
        found = await directory.serving(wanted)
        assert found is not None
        assert found.name == "a"


async def test_a_deployment_s_name_leads_to_the_endpoint_that_serves_and_after_a_shift_to_the_next() -> None:
    now = 100.0
    desk = Desk(directory=[card("chat-v1", aliases=("chat",))])
    directory = Directory(desk, every=HOURLY, clock=lambda: now)
    await directory.refresh()
    for look in (directory.named, directory.serving):
        found = await look("chat")
        assert found is not None and found.name == "chat-v1"
    desk.directory = [card("chat-v2", aliases=("chat",))]
    await directory.refresh()
    found = await directory.named("chat")
    assert found is not None and found.name == "chat-v2"
    now += 1
    assert await directory.named("chat-v1") is None


async def test_an_endpoint_s_own_name_goes_before_a_deployment_s_and_that_before_a_model() -> None:
    desk = Desk(directory=[card("a", aliases=("b", "c")), card("b"), card("d", models=("c",))])
    directory = Directory(desk, every=HOURLY)
    await directory.refresh()
    own, alias = await directory.serving("b"), await directory.serving("c")
    assert own is not None and own.name == "b"
    assert alias is not None and alias.name == "a"


async def test_who_asks_for_an_unknown_name_does_not_wait_for_a_directory_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(directory_module, "LOOKUP_WITHIN", 0.05)
    desk = Hanging()
    directory = Directory(desk, every=HOURLY)
    assert await directory.named("chat") is None
    desk.go_on.set()
    while await directory.named("chat") is None:
        await asyncio.sleep(0.01)
    assert desk.readings == 1


class Hanging(Desk):
    """It answers when it may go on."""

    go_on = asyncio.Event()

    async def cards(self) -> tuple[EndpointCard, ...]:
        found = await super().cards()
        await self.go_on.wait()
        return found
