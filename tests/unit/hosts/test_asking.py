"""A question through SSH to a service on the machine, over real sockets."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.parser import BytesParser
from email.policy import HTTP

import asyncssh
import pytest

from holdfast.contracts.deployments import SmokeRequest
from holdfast.contracts.machines import SshAddress
from holdfast.hosts import asking
from holdfast.hosts.asking import ask
from holdfast.hosts.session import HostSession, open_session
from tests.unit.hosts.far import run_far


@pytest.fixture
async def session(client_key: asyncssh.SSHKey) -> AsyncIterator[HostSession]:
    async with run_far(client_key) as far:
        address = SshAddress(host="127.0.0.1", port=far.ssh_port)
        opened = await open_session(
            address, private_key=client_key, host_key=None, connect_timeout=timedelta(seconds=20)
        )
        yield opened
        await opened.close()


@asynccontextmanager
async def service(answer: bytes, *, hang: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers everything so; its port, and what it was sent."""
    seen: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = BytesParser(policy=HTTP).parsebytes(head.partition(b"\r\n")[2])["content-length"]
        seen.append(head + (await reader.readexactly(int(length)) if length else b""))
        writer.write(answer)
        if hang:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        over.set()
        server.close()


async def test_the_body_is_sent_and_a_chunked_answer_is_read_whole(session: HostSession) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with service(chunked) as (port, seen):
        answer = await ask(session, port=port, request=SmokeRequest(method="POST", path="/x?y=1", body='{"a": 1}'))
    assert (answer.status, answer.body, answer.trouble) == (200, b"abcde", "")
    assert seen[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n") and seen[0].endswith(b'{"a": 1}')


async def test_an_answer_that_ends_with_its_connection_is_whole_and_one_that_breaks_off_is_not(
    session: HostSession,
) -> None:
    async with service(b"HTTP/1.0 503 Busy\r\n\r\nlater") as (port, _):
        answer = await ask(session, port=port, request=SmokeRequest())
    assert (answer.status, answer.body) == (503, b"later")
    async with service(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort") as (port, _):
        answer = await ask(session, port=port, request=SmokeRequest())
    assert answer.status is None and "hung up" in answer.trouble


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n"])
async def test_what_is_no_http_is_no_answer(session: HostSession, answer: bytes) -> None:
    async with service(answer) as (port, _):
        told = await ask(session, port=port, request=SmokeRequest())
    assert told.status is None and "hung up" in told.trouble


async def test_a_port_where_nobody_listens_is_no_answer_and_the_machine_is_not_blamed(session: HostSession) -> None:
    async with service(b"") as (port, _):
        pass
    told = await ask(session, port=port, request=SmokeRequest())
    assert told.status is None and told.trouble


async def test_a_server_that_never_ends_its_answer_is_given_up(session: HostSession) -> None:
    async with service(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", hang=True) as (port, _):
        told = await ask(session, port=port, request=SmokeRequest(within=timedelta(seconds=0.2)))
    assert told.status is None and "within 0.2 s" in told.trouble


async def test_no_more_of_an_answer_is_read_than_is_allowed(
    session: HostSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LARGEST", 100)
    async with service(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000) as (port, _):
        told = await ask(session, port=port, request=SmokeRequest())
    assert (told.status, told.body) == (200, b"") and "longer than 100" in told.trouble


async def test_a_form_with_a_sound_is_what_a_transcriber_takes(session: HostSession) -> None:
    async with service(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, seen):
        await ask(session, port=port, request=SmokeRequest(method="POST", form={"model": "m"}, sound_seconds=0.5))
    parts = list(BytesParser(policy=HTTP).parsebytes(seen[0].partition(b"\r\n")[2]).iter_parts())  # type: ignore[attr-defined]
    assert [each.get_param("name", header="content-disposition") for each in parts] == ["model", "file"]
    assert parts[0].get_payload(decode=True).strip() == b"m"
    with wave.open(io.BytesIO(parts[1].get_payload(decode=True))) as sound:
        assert (sound.getframerate(), sound.getnframes(), sound.getnchannels()) == (16_000, 8_000, 1)
        assert any(sound.readframes(8_000))
