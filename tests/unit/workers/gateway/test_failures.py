"""Replicas that do not answer: what is asked again, what never is, and what the workflow hears of it."""

import asyncio

import httpx
import pytest

from holdfast.contracts.endpoints import EndpointPhase, Pass, WakeRequest
from tests.unit.workers.gateway.backend import Backend, Rude, closed_port, run_backend, run_rude
from tests.unit.workers.gateway.conftest import run_gateway
from tests.unit.workers.gateway.desk import Desk, route, until


def both(rude: Rude, backend: Backend) -> Desk:
    """A desk whose first replica is the rude one; it is chosen first, and believed in by the workflow."""
    return Desk(routes=(route(rude.port), route(backend.port, 1)))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_replica_that_cannot_be_reached_is_reported_and_another_one_asked(
    backend: Backend, method: str
) -> None:
    desk = Desk(routes=(route(closed_port()), route(backend.port, 1)))
    async with run_gateway(desk) as gateway:
        answer = await gateway.http.request(method, "/chat/", content=b"body" if method == "POST" else None)
        assert answer.status_code == 200
        assert gateway.count("retries_total", endpoint="chat") == 1
        await until(lambda: len(desk.asked) == 2)
        assert desk.asked[-1].broken == ("chat-r0.e1",)
        assert (await gateway.http.get("/chat/")).status_code == 200
        assert gateway.count("retries_total", endpoint="chat") == 1  # it was not tried again


async def test_a_streamed_post_that_reached_nobody_is_sent_elsewhere_whole(backend: Backend) -> None:
    async def pieces():
        yield b"one "
        yield b"two"

    desk = Desk(routes=(route(closed_port()), route(backend.port, 1)))
    async with run_gateway(desk) as gateway:
        assert (await gateway.http.post("/chat/", content=pieces())).status_code == 200
        assert backend.bodies == [b"one two"]


async def test_a_get_that_was_not_answered_is_asked_of_another_replica(backend: Backend) -> None:
    async with run_rude() as rude:
        desk = both(rude, backend)
        async with run_gateway(desk) as gateway:
            assert (await gateway.http.get("/chat/")).status_code == 200
            assert len(rude.heads) == 1
            assert gateway.count("retries_total", endpoint="chat") == 1
            await until(lambda: len(desk.asked) == 2)
            assert desk.asked[-1].broken == ("chat-r0.e1",)


@pytest.mark.parametrize("body", [b"body", b""], ids=["with a body", "without"])
async def test_a_post_of_which_something_arrived_is_not_sent_again(backend: Backend, body: bytes) -> None:
    async with run_rude() as rude, run_gateway(both(rude, backend)) as gateway:
        answer = await gateway.http.post("/chat/", content=body)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "replica_broke_off"
        assert "not asked again" in answer.json()["error"]["message"]
        assert len(rude.heads) == 1
        assert not backend.asked
        assert gateway.count("cut_total", endpoint="chat", cause="broken_replica") == 1


async def test_a_put_that_is_streamed_is_not_sent_again(backend: Backend) -> None:
    async def pieces():
        yield b"one"

    async with run_rude() as rude, run_gateway(both(rude, backend)) as gateway:
        assert (await gateway.http.put("/chat/", content=pieces())).status_code == 502
        assert not backend.asked


async def test_what_is_no_http_is_502_and_never_asked_again(backend: Backend) -> None:
    async with run_rude(b"SSH-2.0-OpenSSH\r\n\r\n") as rude, run_gateway(both(rude, backend)) as gateway:
        assert (await gateway.http.get("/chat/")).status_code == 502
        assert not backend.asked


async def test_an_answer_that_breaks_off_breaks_off_for_the_caller_too() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning"
    async with run_rude(half) as rude, run_gateway(Desk(routes=(route(rude.port),))) as gateway:
        with pytest.raises(httpx.TransportError):
            await gateway.http.get("/chat/")
        await until(lambda: gateway.count("cut_total", endpoint="chat", cause="broken_replica"))
        assert len(rude.heads) == 1


async def test_a_replica_that_is_silent_for_too_long_is_504(desk: Desk, backend: Backend) -> None:
    desk.set_door(patience="1s")
    async with run_gateway(desk) as gateway:
        answer = await gateway.http.post("/chat/wait", content=b"x")
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "replica_silent"
        assert len(backend.asked) == 1
        await until(lambda: gateway.count("cut_total", endpoint="chat", cause="silent_replica") == 1)


async def test_while_no_replica_can_be_reached_requests_wait_for_one_that_can(backend: Backend) -> None:
    desk = Desk(routes=(route(closed_port()),))
    async with run_gateway(desk) as gateway:
        asked = asyncio.create_task(gateway.http.post("/chat/", content=b"x"))
        await until(lambda: len(desk.asked) >= 3)
        desk.routes = (route(backend.port, epoch=2),)  # it was moved
        assert (await asked).status_code == 200


async def test_a_replica_that_was_broken_is_used_again_when_a_newer_pass_names_it() -> None:
    port = closed_port()
    desk = Believing(routes=(route(port),))
    async with run_gateway(desk) as gateway:
        asked = asyncio.create_task(gateway.http.get("/chat/"))
        await until(lambda: any(each.broken for each in desk.asked))
        async with run_rude(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", port=port):
            assert (await asked).text == "ok"


class Believing(Desk):
    """A workflow that has looked for itself, and stands by its replica."""

    async def wake(self, endpoint: str, request: WakeRequest) -> Pass:
        self.asked.append(request)
        return Pass(phase=EndpointPhase.READY, routes=self.routes, valid_for=self.valid_for)


async def test_an_idle_connection_that_the_replica_has_closed_costs_no_request() -> None:
    """The connection is looked at before it is used, so that even a POST can be sent."""
    whole = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"  # which lets the connection stay; it is closed all the same
    )
    async with run_rude(whole) as rude, run_gateway(Desk(routes=(route(rude.port),))) as gateway:
        for number in range(1, 6):
            rude.hang_up.clear()
            assert (await gateway.http.post("/chat/", content=b"x")).text == "ok"
            assert len(rude.heads) == number
            (replica,) = gateway.gateway._gates["chat"]._replicas.values()
            await until(lambda replica=replica: replica._idle)
            rude.hang_up.set()
            await until(lambda replica=replica: all(each.http.has_expired() for each in replica._idle))


async def test_connections_are_used_again(desk: Desk, backend: Backend) -> None:
    async with run_gateway(desk) as gateway:
        for _ in range(5):
            await gateway.http.get("/chat/")
        assert len({each.scope["client"] for each in backend.asked}) == 1


async def test_the_dead_and_the_living_are_told_apart_under_load() -> None:
    async with run_backend() as backend:
        desk = Desk(routes=(route(closed_port()), route(backend.port, 1)))
        async with run_gateway(desk) as gateway:
            answers = await asyncio.gather(*(gateway.http.get("/chat/") for _ in range(50)))
            assert {each.status_code for each in answers} == {200}
