"""Bad input to endpoints, by the command line and by the gateway: a clear answer, and nothing that is billed."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.contracts.endpoints import EndpointSpec
from tests.cli.embedded import Ran, Stack
from tests.scenarios.conftest import Serve, Tell
from tests.scenarios.serving import REPLICA, serving
from tests.scenarios.stage import Stage


async def deploy(stage: Stage, folder: Path, spec: EndpointSpec, **changes: Any) -> Ran:
    written = folder / "endpoint.yaml"
    written.write_text(yaml.safe_dump(json.loads(spec.model_dump_json(exclude_unset=True)) | changes))
    command = ("endpoint", "deploy", str(written), "--workdir", str(REPLICA), "--json")
    return await asyncio.to_thread(Stack(stage.home), *command)


async def test_a_name_that_is_taken_by_an_endpoint_or_by_a_workload_is_refused(
    serve: Serve, tell: Tell, stage: Stage, tmp_path: Path
) -> None:
    endpoint = await serve("twice")
    refused = await deploy(stage, tmp_path, endpoint.spec)
    assert refused.code == 12 and "exists already" in refused.err
    squatter = tell("squatter")
    squatter.changes(name="squatted-r0")
    await squatter.begins()
    refused = await deploy(stage, tmp_path, serving("squatted"))
    assert refused.code == 12, refused
    assert "'squatted-r0' is running" in refused.err and "holdfast stop squatted-r0" in refused.err


async def test_a_machine_that_nobody_offers_is_told_at_once(stage: Stage, tmp_path: Path) -> None:
    spec = serving("huge", work={"price": {"max_hourly": "0.01"}})
    refused = await deploy(stage, tmp_path, spec)
    assert refused.code == 5, refused
    unknown = await asyncio.to_thread(Stack(stage.home), "endpoint", "show", "huge")
    assert unknown.code == 4 and "no endpoint 'huge'" in unknown.err


async def test_every_mistake_in_a_spec_is_told_with_its_line(stage: Stage, tmp_path: Path) -> None:
    written = tmp_path / "bad.yaml"
    written.write_text(
        "name: v1\nscale: {minimum: 3, maximum: 2}\nsleep:\n  mode: nap\ndoor: {wait: soon}\nworkload:\n  command: x\n"
    )
    refused = await asyncio.to_thread(Stack(stage.home), "endpoint", "deploy", str(written))
    assert refused.code == 3
    told = re.findall(re.escape(str(written)) + r":(\d+:\d+): (\S+):", refused.err)
    assert told == [
        ("1:1", "name"),
        ("2:1", "scale"),
        ("4:3", "sleep.mode"),
        ("5:8", "door.wait"),
        ("6:1", "workload.price"),
    ]


async def test_callers_who_are_not_let_in_wake_nobody(serve: Serve) -> None:
    endpoint = await serve("shut", door={"body_mb": 0.001})
    async with endpoint.caller() as client:
        unknown = await client.get(f"{endpoint.stage.gateway}/nobody/echo")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "endpoint_not_found")
        large = await client.post("/echo", content=b"x" * 2000)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "request_too_large")
        client.headers["Authorization"] = "Bearer hfe_wrong"
        wrong = await client.post("/echo", content=b"x")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    assert (await endpoint.status()).wakes == 0 and endpoint.bill() == []


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("exit 3", "ended with code 3"),
        ("exec sleep 600", "is not open"),
        ("exec python3 serve.py --health 500", "500"),
    ],
    ids=["dies", "never listens", "is not well"],
)
async def test_a_server_that_cannot_serve_is_told_to_its_callers_and_not_paid_for(
    serve: Serve, command: str, why: str
) -> None:
    endpoint = await serve("useless", command=command, service={"ready_within": "2s"}, door={"wait": "12s"})
    refused = await endpoint.asks()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_awake")
    assert why in refused.json()["error"]["message"]
    await endpoint.leaves_no_machine()
    assert endpoint.bill()
