"""Stopping: only a machine that has given its GPU back is stopped; whatever else it says, money keeps running."""

import httpx
import pytest

from holdfast.contracts.machines import InstanceState
from holdfast.providers.base import Pauses
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable, RequestRejected
from holdfast.providers.tensordock.pausing import StillCharged
from tests.unit.providers.dock import DONE, GONE, INSTANCE, KEY, LEGACY, NUMBER, PAGE, Dock, no, one

RUNS = one(INSTANCE)
STOPPED = one(INSTANCE, status="stopped")
GIVEN_BACK = one(INSTANCE, status="StoppedDisassociated")
YES = httpx.Response(200, json={"success": True})
NOT_SERVED = httpx.Response(404, html="<html>no such page</html>")


def refused(words: str) -> httpx.Response:
    return httpx.Response(200, json={"success": False, "error": words})


def test_without_credentials_of_the_older_api_a_machine_cannot_be_paused() -> None:
    provider = Dock().provider()
    assert not isinstance(provider, Pauses) and not provider.capabilities.pauses
    pausing = Dock().pausing()
    assert isinstance(pausing, Pauses) and pausing.capabilities.pauses


async def test_a_stop_gives_the_gpu_back_by_the_older_api_and_waits_for_it() -> None:
    dock = Dock(show=[RUNS, one(INSTANCE, status="stopping"), GIVEN_BACK], legacy_stop=YES)
    await dock.pausing().stop(NUMBER)
    assert dock.calls() == ["show", "legacy_stop", "show", "show"]
    key, token = LEGACY
    assert dock.form("legacy_stop") == {
        "api_key": key,
        "api_token": token,
        "server": NUMBER,
        "disassociate_resources": "true",
    }


async def test_the_token_of_v2_is_not_told_to_the_older_api() -> None:
    dock = Dock(show=[RUNS, GIVEN_BACK], legacy_stop=YES)
    await dock.pausing().stop(NUMBER)
    (request,) = [request for name, request in dock.asked if name == "legacy_stop"]
    assert "authorization" not in request.headers and KEY.encode() not in request.content


async def test_a_machine_that_has_given_its_gpu_back_is_left_alone() -> None:
    dock = Dock(show=GIVEN_BACK)
    await dock.pausing().stop(NUMBER)
    assert dock.calls() == ["show"]


@pytest.mark.parametrize("answer", [refused("it cannot be stopped"), NOT_SERVED])
async def test_where_the_older_api_does_not_do_it_v2_must_and_its_word_is_looked_at(answer: httpx.Response) -> None:
    dock = Dock(show=[RUNS, RUNS, GIVEN_BACK], legacy_stop=answer, stop=one(INSTANCE, status="stopping"))
    await dock.pausing().stop(NUMBER)
    assert dock.calls() == ["show", "legacy_stop", "show", "stop", "show"]


async def test_a_machine_that_is_merely_stopped_is_an_error_that_says_that_money_keeps_running() -> None:
    dock = Dock(show=[RUNS, RUNS, STOPPED], legacy_stop=refused("not here"), stop=DONE)
    with pytest.raises(StillCharged, match=r"money keeps running.*not here"):
        await dock.pausing().stop(NUMBER)


async def test_a_stop_that_takes_long_is_no_success_and_may_be_repeated() -> None:
    dock = Dock(show=RUNS, legacy_stop=YES)
    with pytest.raises(ProviderUnavailable, match="is running"):
        await dock.pausing().stop(NUMBER)


@pytest.mark.parametrize("failure", [PAGE, httpx.ReadTimeout("late")])
async def test_an_answer_of_the_older_api_that_is_lost_is_not_a_refusal(
    failure: httpx.Response | httpx.TransportError,
) -> None:
    dock = Dock(show=RUNS, legacy_stop=failure)
    with pytest.raises(ProviderUnavailable):
        await dock.pausing().stop(NUMBER)
    assert "stop" not in dock.calls()


async def test_wrong_credentials_of_the_older_api_ask_for_a_person() -> None:
    dock = Dock(show=RUNS, legacy_stop=refused("Invalid API key or token"))
    with pytest.raises(CredentialsRefused):
        await dock.pausing().stop(NUMBER)


async def test_a_refused_stop_of_a_machine_that_stopped_meanwhile_is_no_failure() -> None:
    dock = Dock(show=[RUNS, RUNS, GIVEN_BACK], legacy_stop=refused("no"), stop=no(409, "Instance is already stopped"))
    await dock.pausing().stop(NUMBER)


async def test_what_is_not_there_cannot_be_stopped() -> None:
    with pytest.raises(RequestRejected):
        await Dock(show=GONE).pausing().stop(NUMBER)


async def test_after_an_accepted_start_the_old_word_is_not_believed() -> None:
    found = await Dock(start=one(INSTANCE, status="starting"), show=GIVEN_BACK).pausing().start(NUMBER)
    assert found.state is InstanceState.STARTING


async def test_a_start_that_is_refused_means_that_the_gpu_is_taken_while_the_machine_stays_stopped() -> None:
    dock = Dock(start=no(400, "Not enough GPUs are available"), show=GIVEN_BACK)
    found = await dock.pausing().start(NUMBER)
    assert found.state is InstanceState.WAITING and "Not enough GPUs" in found.detail


async def test_a_start_of_a_machine_that_runs_is_no_failure() -> None:
    found = await Dock(start=no(409, "Instance is already running"), show=RUNS).pausing().start(NUMBER)
    assert found.state is InstanceState.RUNNING and found.ssh is not None
