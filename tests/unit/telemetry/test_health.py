"""What probes and Prometheus see of a process."""

import asyncio
import json
from datetime import timedelta

import httpx
import pytest

from holdfast.telemetry.health import Check, HealthServer, remembered
from holdfast.telemetry.metrics import Metrics


def serving(**checks: Check) -> HealthServer:
    return HealthServer(registry=Metrics().registry, checks=checks)


async def get(server: HealthServer, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url) as client:
        return await client.request(method, path)


async def fine() -> str | None:
    return None


async def missing() -> str | None:
    return "the records do not answer"


async def broken() -> str | None:
    raise OSError("no route")


async def test_serves_our_metrics_in_the_format_prometheus_asks_for() -> None:
    async with serving() as server:
        plain = await get(server, "/metrics")
        assert plain.status_code == 200
        assert "# TYPE holdfast_machines gauge" in plain.text
        assert plain.headers["content-type"].startswith("text/plain")


async def test_is_ready_when_every_check_is() -> None:
    async with serving(temporal=fine, records=fine) as server:
        answer = await get(server, "/readyz")
        assert (answer.status_code, answer.json()) == (200, {"temporal": "ready", "records": "ready"})


async def test_is_not_ready_and_says_why_when_a_check_is_not() -> None:
    async with serving(temporal=fine, records=missing) as server:
        answer = await get(server, "/readyz")
        assert answer.status_code == 503
        assert answer.json()["records"] == "the records do not answer"


async def test_a_check_that_fails_is_a_reason_not_an_error_page() -> None:
    async with serving(store=broken) as server:
        answer = await get(server, "/readyz")
        assert (answer.status_code, answer.json()) == (503, {"store": "OSError: no route"})


async def test_is_alive_while_it_is_not_ready() -> None:
    async with serving(records=missing) as server:
        assert (await get(server, "/livez")).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/livez", 405)])
async def test_serves_nothing_else(method: str, path: str, status: int) -> None:
    async with serving() as server:
        assert (await get(server, path, method)).status_code == status


async def test_a_client_that_hangs_up_does_no_harm() -> None:
    async with serving() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /met")
        writer.close()
        assert (await get(server, "/livez")).status_code == 200


async def test_readiness_is_readable_by_people_and_programs() -> None:
    async with serving(store=missing) as server:
        assert json.loads((await get(server, "/readyz?verbose=1")).text)


async def test_a_good_answer_is_remembered_and_a_bad_one_is_not() -> None:
    answers: list[str | None] = ["the store is away", None, "nobody should ask a third time"]
    now = 0.0

    async def check() -> str | None:
        return answers.pop(0)

    asked_rarely = remembered(check, timedelta(seconds=30), clock=lambda: now)
    assert await asked_rarely() == "the store is away"
    assert await asked_rarely() is None
    now = 29.0
    assert await asked_rarely() is None
    now = 31.0
    assert await asked_rarely() == "nobody should ask a third time"
