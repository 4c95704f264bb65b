"""Callers who leave, who are slow, who send too much; and the end of a gateway that still has some."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
import pytest

from holdfast.workers.gateway import lines
from tests.unit.workers.gateway.backend import Backend, told
from tests.unit.workers.gateway.conftest import Running, run_gateway
from tests.unit.workers.gateway.desk import TOKEN, Desk, until

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD = f"Host: here\r\nAuthorization: Bearer {TOKEN}\r\n"


@asynccontextmanager
async def dial(gateway: Running, said: str) -> AsyncIterator[Pipe]:
    """A caller who writes his own HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(said.encode())
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_when_a_caller_leaves_the_replica_may_stop(gateway: Running, backend: Backend) -> None:
    async with gateway.http.stream("GET", "/chat/events") as answer:
        assert await anext(answer.aiter_lines()) == "data: first"
        assert backend.running == 1
    await until(lambda: backend.cancelled == 1)
    await until(lambda: gateway.count("cut_total", endpoint="chat", cause="gone") == 1)
    assert gateway.count("in_flight", endpoint="chat") == 0


async def test_a_caller_who_leaves_before_the_answer_begins_frees_his_place(gateway: Running, backend: Backend) -> None:
    async with dial(gateway, f"GET /chat/wait HTTP/1.1\r\n{HEAD}\r\n"):
        await until(lambda: backend.running == 1)
    await until(lambda: gateway.count("in_flight", endpoint="chat") == 0)


async def test_events_arrive_as_they_are_sent(gateway: Running, backend: Backend) -> None:
    async with gateway.http.stream("GET", "/chat/events") as answer:
        events = answer.aiter_lines()
        assert await anext(events) == "data: first"
        assert not backend.go_on.is_set()  # the replica has not said more
        backend.go_on.set()
        assert [each async for each in events if each][-1] == "data: 2"
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_body_is_passed_on_while_it_still_comes(gateway: Running, backend: Backend) -> None:
    said = f"POST /chat/up HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with dial(gateway, said) as (reader, writer):
        await until(lambda: backend.asked)  # the replica has the head already
        writer.write(b"0\r\n\r\n")
        assert b"200" in await reader.readline()
    assert backend.bodies == [b"hello"]


@pytest.mark.parametrize("path", ["/chat/", "/v1/chat/completions"])
async def test_a_request_that_says_it_is_too_large_is_refused_unread(desk: Desk, backend: Backend, path: str) -> None:
    desk.set_door(body_mb=0.001)
    async with run_gateway(desk) as gateway:
        async with dial(gateway, f"POST {path} HTTP/1.1\r\n{HEAD}Content-Length: 1001\r\n\r\n") as (reader, _):
            assert b"413" in await reader.readline()
        assert not desk.asked
        assert (await gateway.http.post("/chat/", content=b"x" * 1000)).status_code == 200


@pytest.mark.parametrize("path", ["/chat/", "/v1/chat/completions"])
async def test_a_request_that_turns_out_too_large_is_refused(desk: Desk, backend: Backend, path: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    desk.set_door(body_mb=0.001)
    async with run_gateway(desk) as gateway:
        answer = await gateway.http.post(path, content=pieces())
        assert answer.status_code == 413
        assert not backend.bodies  # the replica never had a whole request
        assert (await gateway.http.get("/chat/")).status_code == 200


async def test_who_goes_on_sending_what_was_refused_is_cut(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_LEFTOVERS_WITHIN", 0.2)
    desk.set_door(body_mb=0.001)
    async with run_gateway(desk) as gateway:
        said = f"POST /chat/ HTTP/1.1\r\n{HEAD}Content-Length: 1000000\r\n\r\n"
        async with dial(gateway, said) as (reader, writer):
            assert b"413" in await reader.readline()
            with suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"x" * 100)
                    await asyncio.wait_for(reader.read(1000), timeout=20)


async def test_a_caller_who_stops_sending_is_told_and_counted(desk: Desk, backend: Backend) -> None:
    desk.set_door(patience="1s")
    async with run_gateway(desk) as gateway:
        said = f"POST /chat/ HTTP/1.1\r\n{HEAD}Content-Length: 10\r\n\r\nhalf"
        async with dial(gateway, said) as (reader, _):
            assert b"408" in await reader.readline()
        assert gateway.count("cut_total", endpoint="chat", cause="slow_sender") == 1
        assert not backend.bodies


async def test_a_caller_who_stops_reading_is_cut_and_counted(desk: Desk, backend: Backend) -> None:
    desk.set_door(patience="1s")
    async with run_gateway(desk) as gateway:
        async with dial(gateway, f"GET /chat/flood HTTP/1.1\r\n{HEAD}\r\n") as (reader, _):
            await until(lambda: gateway.count("cut_total", endpoint="chat", cause="slow_reader") == 1)
            await until(lambda: backend.running == 0)
            with suppress(ConnectionError):
                while await reader.read(1_000_000):
                    pass
        assert gateway.count("in_flight", endpoint="chat") == 0


async def test_a_head_that_never_ends_is_cut(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_HEAD_WITHIN", 0.2)
    for said in ("", "GET /chat/ HTTP/1.1\r\nHost: here\r\nX-Slow: "):
        async with dial(gateway, said) as (reader, _):
            with suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), timeout=20) == b""


async def test_a_slow_second_head_is_cut_and_an_idle_connection_is_not(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "_HEAD_WITHIN", 0.3)
    async with dial(gateway, f"GET /chat/ HTTP/1.1\r\n{HEAD}\r\n") as idle:
        assert b"200" in await idle[0].readline()
        async with dial(gateway, f"GET /chat/ HTTP/1.1\r\n{HEAD}\r\n") as (reader, writer):
            assert b"200" in await reader.readline()
            writer.write(b"GET /chat/ HT")
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), timeout=20)
        idle[1].write(f"GET /chat/again HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert b"/again" in await asyncio.wait_for(idle[0].readuntil(b"/again"), timeout=20)


async def test_expect_continue_is_answered_by_the_gateway(gateway: Running) -> None:
    said = f"POST /chat/ HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    async with dial(gateway, said) as (reader, writer):
        assert b"100" in await reader.readline()
        writer.write(b"body")
        await reader.readuntil(b"200")


async def test_requests_on_one_connection_in_a_row_are_answered_in_order(gateway: Running) -> None:
    said = "".join(f"GET /chat/{number} HTTP/1.1\r\n{HEAD}\r\n" for number in range(3))
    async with dial(gateway, said) as (reader, _):
        for number in range(3):
            await asyncio.wait_for(reader.readuntil(f'"path":"/{number}"'.encode()), timeout=20)


async def test_a_gateway_that_is_told_to_stop_finishes_what_it_has_and_takes_no_more(
    desk: Desk, backend: Backend
) -> None:
    async with run_gateway(desk) as gateway:
        asked = asyncio.create_task(gateway.http.get("/chat/wait"))
        await until(lambda: backend.running)
        ending = asyncio.create_task(gateway.server.stop())
        await until(lambda: not gateway.server._server.servers[0].sockets)
        async with httpx.AsyncClient() as other:
            with pytest.raises(httpx.ConnectError):
                await other.get(f"{gateway.url}/healthz")
        assert not asked.done()
        backend.go_on.set()
        assert (await asked).json() == {"waited": True}
        await ending
        assert desk.notices  # the machine may sleep at once
        assert not desk.passes


async def test_what_is_not_finished_within_the_limit_is_cut(desk: Desk, backend: Backend) -> None:
    async with run_gateway(desk, drain=timedelta(seconds=1)) as gateway:
        waiting = asyncio.create_task(gateway.http.get("/chat/wait"))
        streamed = asyncio.create_task(gateway.http.get("/chat/events"))
        await until(lambda: backend.running == 2)
        await gateway.server.stop()
        assert (await waiting).status_code == 503
        assert (await waiting).json()["error"]["code"] == "draining"
        with pytest.raises(httpx.HTTPError):
            await streamed
        assert gateway.count("cut_total", endpoint="chat", cause="drained") == 2
        await until(lambda: backend.cancelled == 1)


async def test_a_large_body_and_answer_pass_unchanged(gateway: Running) -> None:
    body = bytes(range(256)) * 20_000
    answer = await gateway.http.post("/chat/", content=body)
    assert str(told(answer)["body"]).encode("latin-1") == body


async def test_small_writes_to_callers_are_sent_at_once(gateway: Running) -> None:
    async with dial(gateway, f"GET /chat/ HTTP/1.1\r\n{HEAD}\r\n") as (reader, _):
        await reader.readline()
        for connection in gateway.server._server.server_state.connections:
            at_our_end = connection.transport.get_extra_info("socket")
            assert at_our_end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_caller_who_leaves_in_the_middle_of_a_body_takes_no_room_with_him(desk: Desk) -> None:
    async with run_gateway(desk, room=100_000) as gateway:
        room = gateway.gateway._room
        said = f"POST /v1/x HTTP/1.1\r\n{HEAD}Content-Length: 90000\r\n\r\n" + "x" * 60_000
        async with dial(gateway, said):
            await until(lambda: room._left == 40_000)
        await until(lambda: room._left == 100_000)
