"""Transfers on bad lines: what is tried again, what is not, and what is told to the caller."""

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from holdfast.hosts.agent import http_store
from holdfast.hosts.agent.addresses import Addresses
from holdfast.hosts.agent.failures import AgentFailure
from holdfast.hosts.agent.http_store import AddressRefused, HttpStore, Missing

BODY = bytes(range(256)) * 40
PIECE = 128 * 1024

Reply = Callable[[BaseHTTPRequestHandler], None]


class ScriptedServer:
    """Answers each request as the next line of the script says, the last line for ever."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.seen: list[str] = []
        self.pause = 0.0  # seconds that the line needs for a piece
        self.line = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.seen.append(self.command)
                left = int(self.headers.get("Content-Length", 0))
                while left:
                    left -= len(self.rfile.read(min(left, PIECE)))
                    outer.line.wait(outer.pause)
                (outer.script.pop(0) if len(outer.script) > 1 else outer.script[0])(self)

            do_PUT = do_GET  # noqa: N815 (the name that http.server calls)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)  # inherited by each connection
        self.address = {"url": f"http://127.0.0.1:{self.http.server_address[1]}/packs/p?signed=1", "headers": {}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setattr(http_store, "FIRST_PAUSE", 0.001)
    scripted = ScriptedServer()
    thread = threading.Thread(target=scripted.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield scripted
    scripted.http.shutdown()
    scripted.http.server_close()


def say(status: int, body: bytes = b"") -> Reply:
    def reply(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return reply


def cut_short(request: BaseHTTPRequestHandler) -> None:
    request.send_response(206)
    request.send_header("Content-Length", str(len(BODY)))
    request.end_headers()
    request.wfile.write(BODY[:1000])
    request.close_connection = True


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


@pytest.mark.parametrize("trouble", [say(503), say(500), say(429), say(408), hang_up, cut_short])
def test_passing_trouble_is_tried_again(server: ScriptedServer, trouble: Reply) -> None:
    server.script = [trouble, trouble, say(206, BODY)]
    assert bytes(HttpStore().get(server.address, 0, len(BODY))) == BODY
    assert len(server.seen) == 3


def test_lasting_trouble_ends_after_a_bounded_number_of_tries(server: ScriptedServer) -> None:
    server.script = [say(503, b"<Error><Code>SlowDown</Code></Error>")]
    with pytest.raises(AgentFailure, match="SlowDown") as failure:
        HttpStore(tries=3).put(server.address, [b"x"], 1)
    assert failure.value.kind == "store_unavailable"
    assert len(server.seen) == 3


def test_a_body_goes_out_in_parts_and_again_from_the_start(server: ScriptedServer) -> None:
    server.script = [say(500), say(200)]
    HttpStore().put(server.address, [b"abc", memoryview(b"def")], 6)
    assert server.seen == ["PUT", "PUT"]


def test_a_line_that_is_slow_but_never_silent_carries_a_large_body(server: ScriptedServer) -> None:
    server.script, server.pause = [say(200)], 0.01  # more than the silence for all, far less for a slice
    part = bytes(32 * 1024 * 1024)
    HttpStore(silence=1.5, tries=1).put(server.address, [part], len(part))
    assert server.seen == ["PUT"]


def test_an_object_that_exists_counts_as_sent(server: ScriptedServer) -> None:
    server.script = [say(412)]
    HttpStore().put(server.address, [b"x"], 1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_address_is_not_tried_again_as_it_is(server: ScriptedServer, status: int) -> None:
    server.script = [say(status)]
    with pytest.raises(AddressRefused):
        HttpStore().get(server.address, 0, 1)
    assert len(server.seen) == 1


def test_a_missing_object_is_told_apart(server: ScriptedServer) -> None:
    server.script = [say(404)]
    with pytest.raises(Missing):
        HttpStore().get(server.address, 0, 1)


def test_a_wrong_body_is_not_sent_twice_and_no_address_leaks(server: ScriptedServer) -> None:
    server.script = [say(400, b"<Error><Code>BadDigest</Code><Resource>signed=1</Resource></Error>")]
    with pytest.raises(AgentFailure, match="BadDigest") as failure:
        HttpStore().put(server.address, [b"x"], 1)
    assert failure.value.kind == "store_refused"
    assert "signed" not in str(failure.value)
    assert len(server.seen) == 1


def test_addresses_are_asked_for_in_batches_and_again_when_refused() -> None:
    asked: list[list[str]] = []

    def ask(question: str, params: dict[str, Any]) -> dict[str, Any]:
        keys = [each["key"] for each in params["objects"]]
        asked.append(keys)
        return {"addresses": {key: {"url": f"{key}?{len(asked)}"} for key in keys}, "expires_in": 900}

    addresses = Addresses(ask, "get_urls", [{"key": f"k{number}"} for number in range(40)])
    assert addresses.use("k0", lambda address: address["url"]) == "k0?1"
    assert addresses.use("k31", lambda address: address["url"]) == "k31?1"
    assert len(asked[0]) == 32

    def refuse_the_first(address: dict[str, Any]) -> str:
        if address["url"].endswith("?1"):
            raise AddressRefused("expired")
        return str(address["url"])

    assert addresses.use("k0", refuse_the_first) == "k0?2"


def test_an_address_is_not_used_near_its_end() -> None:
    times = []

    def ask(question: str, params: dict[str, Any]) -> dict[str, Any]:
        times.append(question)
        return {"addresses": {each["key"]: {} for each in params["objects"]}, "expires_in": 0}

    addresses = Addresses(ask, "get_urls", [{"key": "k"}])
    addresses.use("k", lambda address: None)
    addresses.use("k", lambda address: None)
    assert len(times) == 2


def test_a_store_that_refuses_every_address_is_a_refusal() -> None:
    def ask(question: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"addresses": {"k": {}}, "expires_in": 900}

    def refuse(address: dict[str, Any]) -> None:
        raise AddressRefused("SignatureDoesNotMatch")

    with pytest.raises(AgentFailure, match="SignatureDoesNotMatch") as failure:
        Addresses(ask, "put_urls", [{"key": "k"}]).use("k", refuse)
    assert failure.value.kind == "store_refused"
