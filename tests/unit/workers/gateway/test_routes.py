"""Which endpoint a request reaches, what its replica is sent, and what the caller gets back."""

import asyncio
import logging
from datetime import timedelta

import pytest

from tests.unit.workers.gateway.backend import Backend, told
from tests.unit.workers.gateway.conftest import Running, run_gateway
from tests.unit.workers.gateway.desk import TOKEN, Desk, card, route


async def test_a_request_by_name_arrives_without_the_name(gateway: Running) -> None:
    answer = await gateway.http.put("/chat/a%2Fb/c?x=1&y=%20", content=b"body")
    assert answer.status_code == 200
    seen = told(answer)
    assert (seen["method"], seen["query"], seen["body"]) == ("PUT", "x=1&y=%20", "body")
    assert seen["path"] == "/a/b/c"


async def test_the_name_alone_is_the_root(gateway: Running) -> None:
    assert told(await gateway.http.get("/chat"))["path"] == "/"


async def test_the_path_stays_encoded_as_it_was(gateway: Running, backend: Backend) -> None:
    await gateway.http.get("/chat/a%2Fb")
    assert backend.asked[-1].scope["raw_path"] == b"/a%2Fb"


async def test_the_token_stays_with_the_gateway(gateway: Running) -> None:
    headers = dict(told(await gateway.http.get("/chat/"))["headers"])  # type: ignore[call-overload]
    assert "authorization" not in headers
    assert TOKEN not in str(headers)


async def test_the_replica_learns_who_asked_where(gateway: Running) -> None:
    answer = await gateway.http.get("/chat/", headers={"x-forwarded-for": "203.0.113.9", "x-request-id": "mine-1"})
    headers = dict(told(answer)["headers"])  # type: ignore[call-overload]
    assert headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert headers["x-forwarded-host"] == f"127.0.0.1:{gateway.port}"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-prefix"] == "/chat"
    assert headers["x-request-id"] == answer.headers["x-request-id"] == "mine-1"


async def test_under_a_deployment_s_name_its_endpoint_answers_with_the_same_token(gateway: Running, desk: Desk) -> None:
    desk.directory = [card("chat-v1", aliases=("assistant",))]
    await gateway.gateway.directory.refresh()
    answer = await gateway.http.get("/assistant/x")
    headers = dict(told(answer)["headers"])  # type: ignore[call-overload]
    assert (told(answer)["path"], headers["x-forwarded-prefix"]) == ("/x", "/assistant")
    assert gateway.count("requests_total", endpoint="chat-v1", status="2xx") == 1
    by_model = await gateway.http.post("/v1/completions", json={"model": "assistant"})
    assert told(by_model)["path"] == "/v1/completions"
    assert "assistant" in [each["id"] for each in (await gateway.http.get("/v1/models")).json()["data"]]
    assert (await gateway.http.get("/assistant/x", headers={"authorization": "Bearer no"})).status_code == 401


async def test_a_request_id_that_is_unfit_for_a_log_is_replaced(gateway: Running) -> None:
    answer = await gateway.http.get("/chat/", headers={"x-request-id": "two words=1"})
    assert answer.headers["x-request-id"].isalnum()


async def test_headers_of_one_connection_stay_on_it(gateway: Running) -> None:
    ours = {"connection": "x-secret-hop", "x-secret-hop": "1", "te": "trailers", "proxy-authorization": "Basic x"}
    answer = await gateway.http.get("/chat/", headers=ours)
    seen = dict(told(answer)["headers"])  # type: ignore[call-overload]
    assert not {"x-secret-hop", "te", "proxy-authorization", "connection"} & set(seen)
    assert "keep-alive" not in answer.headers
    assert answer.headers["x-app"] == "backend"


async def test_a_chunked_body_arrives_whole(gateway: Running) -> None:
    async def pieces():
        for number in range(5):
            yield b"%d" % number

    assert told(await gateway.http.post("/chat/up", content=pieces()))["body"] == "01234"


async def test_head_has_a_length_and_no_body(gateway: Running) -> None:
    answer = await gateway.http.head("/chat/x")
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""


async def test_v1_finds_the_endpoint_by_model_and_by_name(desk: Desk, backend: Backend) -> None:
    desk.directory = [card(models=("llama-3",)), card("other", tokens=("another",))]
    body = b'{ "model": "llama-3",   "messages": [] }'
    async with run_gateway(desk) as gateway:
        answer = await gateway.http.post("/v1/chat/completions?a=b", content=body)
        assert told(answer)["path"] == "/v1/chat/completions"
        assert told(answer)["query"] == "a=b"
        assert backend.bodies[-1] == body  # byte for byte
        assert (await gateway.http.post("/v1/completions", json={"model": "chat"})).status_code == 200


async def test_v1_lists_the_models_that_the_token_opens(desk: Desk) -> None:
    desk.directory = [
        card(models=("llama-3",)),
        card("other", tokens=("another",), models=("secret-model",)),
        card("free", tokens=(), models=("open-model",), open=True),
    ]
    async with run_gateway(desk) as gateway:
        listed = [each["id"] for each in (await gateway.http.get("/v1/models")).json()["data"]]
        assert sorted(listed) == ["chat", "free", "llama-3", "open-model"]
        assert (await gateway.http.get("/v1/models/llama-3")).json()["id"] == "llama-3"
        assert (await gateway.http.get("/v1/models/secret-model")).status_code == 404
        assert not desk.asked  # a list wakes nobody


async def test_a_model_of_others_is_as_unknown_as_one_that_never_was(desk: Desk) -> None:
    desk.directory = [card(), card("other", tokens=("another",), models=("secret-model",))]
    async with run_gateway(desk) as gateway:
        for model in ("secret-model", "never-was"):
            answer = await gateway.http.post("/v1/chat/completions", json={"model": model})
            assert answer.status_code == 404
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
            assert answer.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"[]", "model_missing"),
        (b'{"model": 3}', "model_missing"),
        (b"{}", "model_missing"),
    ],
    ids=["cut off", "no text", "deep", "a list", "a number", "nothing"],
)
async def test_v1_says_what_is_wrong_with_a_body(gateway: Running, desk: Desk, body: bytes, code: str) -> None:
    answer = await gateway.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert not desk.asked


async def test_a_directory_that_cannot_be_read_anew_goes_on_counting(gateway: Running, desk: Desk) -> None:
    assert (await gateway.http.get("/chat/")).status_code == 200
    desk.away = "the server is down"
    readings = desk.readings
    while desk.readings < readings + 2:
        assert (await gateway.http.get("/chat/")).status_code == 200


async def test_without_any_directory_nobody_is_told_that_an_endpoint_does_not_exist(desk: Desk) -> None:
    desk.away = "no Temporal server answers"
    async with run_gateway(desk) as gateway:
        for path in ("/chat/", "/v1/models", "/healthz"):
            answer = await gateway.http.get(path)
            assert answer.status_code == 503
            assert "no Temporal server answers" in answer.text
            assert answer.headers["retry-after"]
        desk.away = ""
        while (await gateway.http.get("/healthz")).status_code != 200:
            pass


@pytest.mark.parametrize("path", ["/chat/", "/v1/models", "/v1/chat/completions"])
@pytest.mark.parametrize("header", ["Bearer wrong", "Basic abc", "Bearer", ""])
async def test_a_wrong_token_or_none_is_refused(gateway: Running, desk: Desk, path: str, header: str) -> None:
    method = "POST" if path.endswith("completions") else "GET"
    answer = await gateway.http.request(method, path, headers={"authorization": header}, json={"model": "chat"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert not desk.asked


async def test_a_token_that_was_just_given_is_looked_for(desk: Desk) -> None:
    desk.directory = [card(tokens=()), card("mine")]
    async with run_gateway(desk, refresh=timedelta(hours=1)) as gateway:
        assert (await gateway.http.get("/chat/")).status_code == 401
        desk.directory = [card(), card("mine")]
        while (await gateway.http.get("/chat/")).status_code != 200:
            await asyncio.sleep(0.05)
        desk.directory = [card(), card("mine"), card("third", tokens=())]
        assert (await gateway.http.post("/v1/x", json={"model": "third"})).status_code == 404
        desk.directory = [card(), card("mine"), card("third")]
        while (await gateway.http.post("/v1/x", json={"model": "third"})).status_code != 200:
            await asyncio.sleep(0.05)


async def test_a_revoked_token_soon_opens_nothing_any_more(desk: Desk) -> None:
    async with run_gateway(desk) as gateway:
        assert (await gateway.http.get("/chat/")).status_code == 200
        desk.directory = [card(tokens=("another",))]
        while (await gateway.http.get("/chat/")).status_code != 401:
            pass


async def test_an_open_endpoint_passes_foreign_tokens_on_but_none_of_ours(desk: Desk) -> None:
    desk.directory = [card(tokens=(), open=True), card("other", tokens=("a-secret",))]
    async with run_gateway(desk) as gateway:
        theirs = await gateway.http.get("/chat/", headers={"authorization": "Bearer of-the-app"})
        assert dict(told(theirs)["headers"])["authorization"] == "Bearer of-the-app"  # type: ignore[call-overload]
        ours = await gateway.http.get("/chat/", headers={"authorization": "Bearer a-secret"})
        assert "authorization" not in dict(told(ours)["headers"])  # type: ignore[call-overload]


async def test_web_sockets_are_declined_in_words(gateway: Running) -> None:
    ours = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    answer = await gateway.http.get("/chat/ws", headers=ours)
    assert answer.status_code == 501
    assert answer.json()["error"]["code"] == "websockets_unsupported"


async def test_the_log_has_a_line_per_request_without_query_token_or_body(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "holdfast.gateway.access")
    answer = await gateway.http.post("/chat/a/b?password=hunter2", content=b"a secret body")
    (line,) = [each.getMessage() for each in caplog.records if each.name == "holdfast.gateway.access"]
    assert f"id={answer.headers['x-request-id']} endpoint=chat replica=chat-r0 method=POST" in line
    assert 'path="/chat/a/b" status=200 in=13' in line
    assert f"out={len(answer.content)}" in line
    assert "retries=0" in line
    assert not {"hunter2", TOKEN, "secret body"} & set(line.split())
    assert "hunter2" not in line and TOKEN not in line and "secret" not in line


async def test_requests_are_counted_by_endpoint(backend: Backend) -> None:
    desk = Desk(directory=[card()], routes=(route(backend.port),))
    async with run_gateway(desk) as gateway:
        await gateway.http.get("/chat/")
        assert gateway.count("requests_total", endpoint="chat", status="2xx") == 1
        assert gateway.count("added_seconds_count", endpoint="chat") == 1
        assert gateway.count("wakes_total", endpoint="chat", outcome="pass") == 1
        assert gateway.count("in_flight", endpoint="chat") == 0
