"""Requests that wait, passes that run out, and how often the workflow is bothered."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from holdfast.contracts.endpoints import EndpointPhase, WakeRequest
from tests.unit.workers.gateway.backend import Backend, run_backend
from tests.unit.workers.gateway.conftest import BRISK, Running, run_gateway
from tests.unit.workers.gateway.desk import Desk, route, until

SHORT = timedelta(seconds=0.4)


async def test_a_hundred_requests_at_once_cause_one_wake(gateway: Running, desk: Desk, backend: Backend) -> None:
    desk.awake.clear()
    asked = [asyncio.create_task(gateway.http.get("/chat/")) for _ in range(100)]
    await until(lambda: gateway.count("held", endpoint="chat") == 100)
    await until(lambda: bool(desk.asked))
    assert len(desk.asked) == 1
    assert not backend.asked
    desk.awake.set()
    answers = await asyncio.gather(*asked)
    assert [each.status_code for each in answers] == [200] * 100
    assert len(desk.asked) == 1
    assert gateway.count("held_seconds_count", endpoint="chat") == 100
    assert gateway.count("held", endpoint="chat") == 0


async def test_an_answer_without_replicas_is_asked_about_again(gateway: Running, desk: Desk) -> None:
    there, desk.routes = desk.routes, ()
    desk.phase = EndpointPhase.WAKING
    asked = asyncio.create_task(gateway.http.get("/chat/"))
    await until(lambda: len(desk.asked) >= 3)
    assert desk.asked[-1].waiting == 1
    desk.routes = there
    assert (await asked).status_code == 200


async def test_without_requests_the_pass_is_given_back(gateway: Running, desk: Desk) -> None:
    await gateway.http.get("/chat/")
    assert desk.passes
    await until(lambda: desk.notices)
    assert not desk.passes
    assert desk.notices[0].gateway == "gateway-1"
    assert desk.notices[0].quiet_for >= timedelta(seconds=BRISK.linger)
    assert (await gateway.http.get("/chat/")).status_code == 200
    assert len(desk.asked) == 2


async def test_a_request_longer_than_pass_and_idle_time_is_never_cut(desk: Desk, backend: Backend) -> None:
    desk.valid_for = SHORT
    async with run_gateway(desk) as gateway, gateway.http.stream("GET", "/chat/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: first"
        await until(lambda: len(desk.asked) >= 4)  # renewed again and again
        assert desk.asked[-1].in_flight == {"chat-r0": 1}
        assert not desk.notices
        desk.away = "the server is down"
        await until(lambda: gateway.count("wakes_total", endpoint="chat", outcome="away") > 5)
        backend.go_on.set()
        assert [line async for line in lines if line] == ["data: 0", "data: 1", "data: 2"]


async def test_a_pass_is_renewed_in_good_time(desk: Desk, backend: Backend) -> None:
    desk.valid_for = timedelta(seconds=4)
    async with run_gateway(desk) as gateway:
        asked = asyncio.create_task(gateway.http.get("/chat/wait"))
        await until(lambda: backend.asked)
        gate = gateway.gateway._gates["chat"]
        while len(desk.asked) < 2:
            assert gate._choose() is not None  # the older pass holds until the newer one comes
            await asyncio.sleep(0.01)
        backend.go_on.set()
        assert (await asked).status_code == 200


async def test_when_the_workflow_is_away_a_pass_serves_to_its_end_and_then_callers_hear_why(desk: Desk) -> None:
    desk.valid_for = timedelta(seconds=2)
    async with run_gateway(desk, timing=replace(BRISK, linger=60)) as gateway:
        assert (await gateway.http.get("/chat/")).status_code == 200
        desk.away = "no Temporal server answers at here:7233"
        await until(lambda: gateway.count("wakes_total", endpoint="chat", outcome="away"))
        assert (await gateway.http.get("/chat/")).status_code == 200
        gate = gateway.gateway._gates["chat"]
        await until(lambda: gate._choose() is None)
        answer = await gateway.http.get("/chat/")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["error"]["code"] == "control_unreachable"
        assert "no Temporal server answers" in answer.json()["error"]["message"]
        desk.away = ""
        assert (await gateway.http.get("/chat/")).status_code == 200


async def test_a_short_absence_of_the_workflow_is_waited_out(desk: Desk) -> None:
    async with run_gateway(desk, timing=replace(BRISK, grace=60)) as gateway:
        desk.away = "restarting"
        asked = asyncio.create_task(gateway.http.get("/chat/"))
        await until(lambda: gateway.count("wakes_total", endpoint="chat", outcome="away") > 2)
        desk.away = ""
        assert (await asked).status_code == 200


async def test_a_wake_that_never_comes_is_answered_with_503(desk: Desk) -> None:
    desk.set_door(wait="1s")
    desk.awake.clear()
    async with run_gateway(desk) as gateway:
        answer = await gateway.http.get("/chat/")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["error"]["code"] == "not_awake"
        desk.awake.set()


async def test_the_reason_for_not_being_awake_is_told(desk: Desk) -> None:
    desk.set_door(wait="1s")
    desk.routes, desk.phase, desk.reason = (), EndpointPhase.WAKING, "no offer below 0.40 USD/h"
    async with run_gateway(desk) as gateway:
        assert "no offer below 0.40 USD/h" in (await gateway.http.get("/chat/")).text


async def test_a_stopped_endpoint_holds_nobody(desk: Desk) -> None:
    desk.routes, desk.phase, desk.reason = (), EndpointPhase.STOPPED, "its budget is spent"
    async with run_gateway(desk) as gateway:
        answer = await gateway.http.get("/chat/")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "endpoint_stopped"
        assert "its budget is spent" in answer.text


async def test_one_that_is_not_woken_holds_nobody(desk: Desk) -> None:
    desk.routes, desk.phase, desk.refused, desk.reason = (), EndpointPhase.PAUSED, True, "kept for a rollback of chat"
    async with run_gateway(desk) as gateway:
        answer = await gateway.http.get("/chat/")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "not_woken"
        assert "kept for a rollback of chat" in answer.text


async def test_no_more_wait_than_the_queue_has_room_for(desk: Desk) -> None:
    desk.set_door(queue=3)
    desk.awake.clear()
    async with run_gateway(desk) as gateway:
        asked = [asyncio.create_task(gateway.http.get("/chat/")) for _ in range(3)]
        await until(lambda: gateway.count("held", endpoint="chat") == 3)
        answer = await gateway.http.get("/chat/")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "queue_full"
        assert answer.headers["retry-after"] == "1"
        desk.awake.set()
        assert {each.status_code for each in await asyncio.gather(*asked)} == {200}


async def test_bodies_that_wait_under_v1_have_room_together(desk: Desk) -> None:
    desk.awake.clear()
    body = b'{"model": "chat", "padding": "%s"}' % (b"x" * 60_000)
    async with run_gateway(desk, room=100_000) as gateway:
        first = asyncio.create_task(gateway.http.post("/v1/x", content=body))
        await until(lambda: gateway.count("held", endpoint="chat") == 1)
        answer = await gateway.http.post("/v1/x", content=body)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "gateway_full"
        desk.awake.set()
        assert (await first).status_code == 200
        assert (await gateway.http.post("/v1/x", content=body)).status_code == 200  # the room is free again


async def test_a_load_that_rose_is_told_before_the_pass_is_half_over(desk: Desk, backend: Backend) -> None:
    async with run_gateway(desk) as gateway:
        first = asyncio.create_task(gateway.http.get("/chat/wait"))
        await until(lambda: len(backend.asked) == 1)
        more = [asyncio.create_task(gateway.http.get("/chat/wait")) for _ in range(20)]
        await until(lambda: len(desk.asked) == 2)
        assert desk.asked[-1].in_flight["chat-r0"] >= 5
        backend.go_on.set()
        await asyncio.gather(first, *more)


async def test_one_request_more_than_the_replicas_have_room_for_is_told_at_once(desk: Desk, backend: Backend) -> None:
    desk.room = 2
    async with run_gateway(desk) as gateway:
        waiting = [asyncio.create_task(gateway.http.get("/chat/wait")) for _ in range(2)]
        await until(lambda: len(backend.asked) == 2)
        waiting.append(asyncio.create_task(gateway.http.get("/chat/wait")))
        await until(lambda: desk.asked[-1].in_flight.get("chat-r0") == 3)
        backend.go_on.set()
        await asyncio.gather(*waiting)


async def test_the_workflow_is_asked_to_answer_while_the_caller_can_still_be_told(desk: Desk) -> None:
    desk.set_door(wait="8s")
    async with run_gateway(desk) as gateway:
        await gateway.http.get("/chat/")
    assert desk.asked[-1].answer_within == timedelta(seconds=2)


async def test_a_caller_who_leaves_while_he_waits_is_no_longer_counted(gateway: Running, desk: Desk) -> None:
    desk.awake.clear()
    async with httpx.AsyncClient(base_url=gateway.url, headers=gateway.http.headers) as other:
        asked = asyncio.create_task(other.get("/chat/"))
        await until(lambda: gateway.count("held", endpoint="chat") == 1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    await until(lambda: gateway.count("held", endpoint="chat") == 0)
    assert gateway.count("cut_total", endpoint="chat", cause="gone") == 1
    assert gateway.count("requests_total", endpoint="chat", status="4xx") == 1  # 499
    desk.awake.set()


async def test_requests_go_to_the_replica_with_the_fewest(desk: Desk, backend: Backend) -> None:
    async with run_backend() as second:
        desk.routes = (route(backend.port), route(second.port, 1))
        async with run_gateway(desk) as gateway:
            asked = [asyncio.create_task(gateway.http.get("/chat/wait")) for _ in range(10)]
            await until(lambda: len(backend.asked) + len(second.asked) == 10)
            assert len(backend.asked) == len(second.asked) == 5
            backend.go_on.set()
            second.go_on.set()
            await asyncio.gather(*asked)


async def test_a_replica_that_left_the_pass_finishes_what_it_has(desk: Desk, backend: Backend) -> None:
    desk.valid_for = SHORT
    async with run_backend() as second, run_gateway(desk) as gateway:
        asked = asyncio.create_task(gateway.http.get("/chat/wait"))
        await until(lambda: backend.asked)
        desk.routes = (route(second.port, epoch=2),)
        known = len(desk.asked)
        await until(lambda: len(desk.asked) > known + 1)
        assert (await gateway.http.get("/chat/")).status_code == 200
        assert len(second.asked) == 1
        backend.go_on.set()
        assert (await asked).json() == {"waited": True}


async def test_two_gateways_hold_passes_of_their_own(desk: Desk, backend: Backend) -> None:
    async with run_gateway(desk, name="one") as one, run_gateway(desk, name="two") as two:
        asked = asyncio.create_task(one.http.get("/chat/wait"))
        await until(lambda: backend.asked)
        assert (await two.http.get("/chat/")).status_code == 200
        assert set(desk.passes) == {"one", "two"}
        await until(lambda: desk.notices)
        assert [each.gateway for each in desk.notices] == ["two"]  # the first one still has a request
        assert set(desk.passes) == {"one"}
        backend.go_on.set()
        assert (await asked).status_code == 200
        await until(lambda: not desk.passes)


async def test_a_doorkeeper_that_fails_in_another_way_keeps_nobody_waiting() -> None:
    async with run_gateway(_Failing()) as gateway:
        answer = await gateway.http.get("/chat/")
        assert answer.status_code == 503
        assert "RuntimeError" in answer.text


class _Failing(Desk):
    async def wake(self, endpoint: str, request: WakeRequest) -> Any:
        raise RuntimeError("nobody thought of this")
