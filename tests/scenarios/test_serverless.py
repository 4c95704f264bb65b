"""Endpoints that sleep while nobody calls, where things go wrong: every caller gets an answer, or a reason."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from holdfast.contracts.endpoints import EndpointPhase, EndpointStatus
from holdfast.contracts.workload import Phase
from holdfast.simcloud.model import Trouble
from tests.scenarios.conftest import Serve
from tests.scenarios.stage import eventually

A_WHILE = timedelta(minutes=10)


async def test_a_gpu_that_was_taken_while_it_slept_costs_the_caller_time_and_no_state(serve: Serve) -> None:
    endpoint = await serve("taken")
    first = await endpoint.tells("remember", path="/note")
    await endpoint.sleeps()
    endpoint.market.take(endpoint.replica)
    second = await endpoint.tells()
    assert second["machine"] != first["machine"], "the GPU was taken, so it woke elsewhere"
    assert second["notes"] == ["remember"]


async def test_a_machine_that_dies_in_the_middle_of_a_stream_breaks_it_and_another_answers_the_next_call(
    serve: Serve,
) -> None:
    endpoint = await serve("dies")
    async with endpoint.streams(600) as stream:
        first = await stream.piece()
        (machine,) = endpoint.alive()
        endpoint.market.kill(endpoint.replica)
        with pytest.raises(httpx.RemoteProtocolError):
            await stream.to_its_end()
    assert not stream.done
    second = await endpoint.tells()
    assert second["machine"] != first["machine"]
    await asyncio.to_thread(
        eventually, lambda: machine["id"] not in [each["id"] for each in endpoint.alive()], "the dead one is ended"
    )


async def test_without_its_store_it_stays_up_and_serves_and_sleeps_when_the_store_is_back(serve: Serve) -> None:
    endpoint = await serve("storeless")
    first = await endpoint.tells("remember", path="/note")
    with endpoint.stage.without("store"):
        await endpoint.comes_to(_could_not_be_paused, "it says that it could not be put to sleep")
        assert (await endpoint.tells())["pid"] == first["pid"]
    await endpoint.sleeps()
    assert (await endpoint.tells())["notes"] == ["remember"]


async def test_a_store_that_hangs_while_it_is_to_sleep_holds_up_no_caller(serve: Serve) -> None:
    endpoint = await serve("hanging")
    first = await endpoint.tells()
    endpoint.stage.freeze("store")
    try:
        await endpoint.replica_is(Phase.PAUSING)
        assert (await endpoint.tells())["pid"] == first["pid"]
        assert (await endpoint.status()).wakes == 2, "it had begun to fall asleep"
    finally:
        endpoint.stage.thaw("store")


async def test_a_call_while_the_provider_is_down_is_held_and_answered_when_it_is_back(serve: Serve) -> None:
    endpoint = await serve("outage")
    first = await endpoint.tells("remember", path="/note")
    await endpoint.sleeps()
    endpoint.market.add_fault(Trouble.DOWN, lasting=A_WHILE)
    calling = asyncio.create_task(endpoint.tells())
    await endpoint.replica_is(Phase.RESUMING)
    assert not calling.done()
    endpoint.market.clear_faults()
    second = await calling
    assert (second["machine"], second["notes"]) == (first["machine"], ["remember"])


async def test_whoever_cannot_be_held_longer_is_told_when_to_come_back(serve: Serve) -> None:
    endpoint = await serve("impatient", door={"wait": "3s"})
    endpoint.market.add_fault(Trouble.DOWN, lasting=A_WHILE)
    refused = await endpoint.asks()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_awake")
    assert int(refused.headers["Retry-After"]) > 0
    endpoint.market.clear_faults()
    async with asyncio.timeout(90):
        while (await endpoint.asks()).status_code != httpx.codes.OK:
            pass


async def test_a_provider_that_is_down_when_it_falls_asleep_loses_nothing(serve: Serve) -> None:
    endpoint = await serve("blind")
    first = await endpoint.tells("remember", path="/note")
    endpoint.market.add_fault(Trouble.DOWN, endpoint="change", lasting=A_WHILE)
    await endpoint.replica_is(Phase.PAUSING)
    calling = asyncio.create_task(endpoint.tells())
    await endpoint.comes_to(lambda status: status.phase is EndpointPhase.WAKING, "somebody calls")
    endpoint.market.clear_faults()
    second = await calling
    assert (second["machine"], second["notes"]) == (first["machine"], ["remember"])
    assert len(endpoint.bill()) == 1


async def test_a_gateway_that_is_killed_while_it_holds_a_call_keeps_the_machine_no_longer_than_its_pass(
    serve: Serve,
) -> None:
    endpoint = await serve("orphaned", door={"pass_for": "20s"})
    await endpoint.tells()
    await endpoint.sleeps()
    endpoint.market.add_fault(Trouble.LATENCY, endpoint="change", seconds=3)
    calling = asyncio.create_task(endpoint.asks())
    await endpoint.replica_is(Phase.RESUMING)
    killed = endpoint.stage.pid("gateway")
    endpoint.stage.kill("gateway")
    with pytest.raises(httpx.TransportError):
        await calling
    await endpoint.comes_to(lambda status: status.phase is EndpointPhase.READY, "the wake goes on")
    await asyncio.to_thread(eventually, lambda: endpoint.stage.is_back("gateway", instead_of=killed), "it is replaced")
    await asyncio.to_thread(eventually, lambda: endpoint.is_known_to(endpoint.stage.gateway), "the new one serves")
    assert (await endpoint.tells())["epoch"] == 2
    await endpoint.sleeps()


async def test_of_two_gateways_each_keeps_it_awake_for_the_other(serve: Serve) -> None:
    endpoint = await serve("shared")
    with endpoint.stage.another_gateway() as other:
        first = await endpoint.tells()
        async with endpoint.streams(120, gateway=other) as stream:
            for _ in range(110):  # longer than the first one keeps its pass, and the idle time
                await stream.piece()
            assert (await endpoint.tells())["pid"] == first["pid"]
            await stream.to_its_end()
        assert stream.done and {piece["pid"] for piece in stream.pieces} == {first["pid"]}
        await endpoint.sleeps()
        assert (await endpoint.tells(gateway=other))["epoch"] == 2


async def test_a_worker_that_is_killed_in_a_pause_and_in_a_wake_costs_neither_state_nor_machine(serve: Serve) -> None:
    endpoint = await serve("headless")
    first = await endpoint.tells("remember", path="/note")
    endpoint.market.add_fault(Trouble.LATENCY, endpoint="change", seconds=3)
    await endpoint.replica_is(Phase.PAUSING)
    endpoint.stage.kill("worker-1")
    await endpoint.sleeps()
    endpoint.market.add_fault(Trouble.LATENCY, endpoint="change", seconds=3)
    calling = asyncio.create_task(endpoint.tells())
    await endpoint.replica_is(Phase.RESUMING)
    endpoint.stage.kill("worker-1")
    second = await calling
    assert (second["machine"], second["notes"]) == (first["machine"], ["remember"])
    assert len(endpoint.bill()) == 1


def _could_not_be_paused(status: EndpointStatus) -> bool:
    return "could not be paused" in status.replicas[0].reason
