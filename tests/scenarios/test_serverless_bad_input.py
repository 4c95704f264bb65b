"""Bad input to endpoints, by the command line and by the gateway: a clear answer, and nothing that is billed."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.contracts.endpoints import EndpointSpec
from holdfast.embedded import SECRETS_FILE
from holdfast.workers.stack.state import write_private
from tests.cli.embedded import Ran, Stack
from tests.scenarios.conftest import Serve, Tell
from tests.scenarios.serving import REPLICA, serving
from tests.scenarios.stage import PATIENCE, Stage, eventually


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


@pytest.mark.long  # the worker starts anew twice
async def test_to_sleep_by_stopping_is_refused_where_no_provider_can_stop_a_machine(
    stage: Stage, tmp_path: Path
) -> None:
    file = stage.home / SECRETS_FILE
    known = json.loads(file.read_text())
    without = {"tensordock": {"api_key": known["market_key"]}}  # and none for its older API, which alone can stop one
    try:
        write_private(file, known | {"providers": known["providers"] | without})
        await _starts_anew(stage, "worker-1")
        refused = await deploy(stage, tmp_path, serving("sleepless", work={"providers": ["tensordock"]}))
    finally:
        write_private(file, known)
        await _starts_anew(stage, "worker-1")
    assert refused.code == 3, refused
    assert "sleep.mode: stop is not possible" in refused.err and "checkpoint is" in refused.err


async def _starts_anew(stage: Stage, process: str) -> None:
    before = stage.pid(process)
    stage.kill(process)
    await asyncio.to_thread(eventually, lambda: stage.is_back(process, instead_of=before), f"{process} is back")
    await asyncio.to_thread(eventually, lambda: stage.is_ready(process), f"{process} is ready")


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
        pytest.param("exit 3", "ended with code 3", id="ends", marks=pytest.mark.long),
        pytest.param("exec sleep 600", "is not open", id="never listens"),
        pytest.param("exec python3 serve.py --health 500", "500", id="is not well", marks=pytest.mark.long),
    ],
)
async def test_a_server_that_cannot_serve_is_told_to_its_callers_and_not_paid_for(
    serve: Serve, command: str, why: str
) -> None:
    endpoint = await serve("useless", command=command, service={"ready_within": "2s"}, door={"wait": "5s"})
    async with asyncio.timeout(PATIENCE):
        while why not in (refused := await endpoint.asks()).json()["error"]["message"]:
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_awake")
    await endpoint.leaves_no_machine()
    assert endpoint.bill()
