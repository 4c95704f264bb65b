"""The examples run: what a reader copies from them works."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from temporalio.client import Client

from holdfast.client.holdfast import Holdfast
from holdfast.client.specs import read_endpoint_spec, read_job_spec, read_spec

from .standins import World

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{Path(name).name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted((EXAMPLES / "specs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_spec_is_a_good_one(path: Path) -> None:
    assert read_spec(path.read_text(), source=path.name).name


async def test_plain_sdk_code_starts_asks_and_stops_a_workload(server: Client, world: World, name: str) -> None:
    plain = load("plain_sdk")
    client = await Client.connect(server.service_client.config.target_host)  # the SDK's default converter: plain JSON
    assert await plain.start(client, {**plain.SPEC, "name": name})
    assert (await plain.status(client, name))["phase"] == "running"
    assert (await plain.stop(client, name))["phase"] == "stopping"


async def test_the_service_starts_shows_and_stops_runs(holdfast: Holdfast, name: str) -> None:
    service = load("service")
    service.app.state.holdfast = holdfast
    body = (EXAMPLES / "specs" / "minimal.yaml").read_text().replace("name: hello", f"name: {name}")
    transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        created = await http.post("/runs", content=body)
        assert (created.status_code, created.headers["location"]) == (201, f"/runs/{name}")
        assert (await http.post("/runs", content=body)).status_code == 409
        assert (await http.get(f"/runs/{name}")).json()["status"]["phase"] == "running"
        assert (await http.delete(f"/runs/{name}")).status_code == 202
        assert (await http.get("/runs/none-such")).json()["error"] == "UnknownWorkload"
        refused = await http.post("/runs", content="name: X\n")
        assert (refused.status_code, refused.json()["error"]) == (422, "SpecInvalid")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[httpx.Client]:
    """The serverless example with weights of its own, served from an empty folder as a machine does it."""
    example = EXAMPLES / "serverless"
    weights = tmp_path / "weights.bin"
    subprocess.run([sys.executable, example / "model.py", "--seed", "3", "--out", weights], check=True)
    process = subprocess.Popen([sys.executable, example / "server.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = process.stdout.readline().rstrip(")\n").rpartition(" ")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            yield http
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_model_server_says_what_its_weights_say_whole_and_streamed(served: httpx.Client, tmp_path: Path) -> None:
    model = load("serverless/model").Model.load(tmp_path / "weights.bin")
    right = "".join(model.letters("Once", 30, 5))
    assert right != "".join(model.letters("Once", 30, 6))
    asked = {"model": "tiny", "prompt": "Once", "max_tokens": 30, "seed": 5}
    assert served.get("/health").json() == {"status": "ok"}
    assert served.post("/v1/completions", json=asked).json()["choices"][0]["text"] == right
    streamed = served.post("/v1/completions", json=asked | {"stream": True}).text
    events = [each.removeprefix("data: ") for each in streamed.split("\n\n") if each]
    assert events.pop() == "[DONE]"
    assert "".join(json.loads(each)["choices"][0]["text"] for each in events) == right
    assert served.get("/stats").json() == {"completions": 2}
    assert (tmp_path / "answered").read_text() == "2"


@pytest.mark.parametrize("asked", [b"{", b"[]", b'{"max_tokens": 0}', b'{"max_tokens": "many"}'], ids=bytes.decode)
def test_the_model_server_refuses_what_is_no_request(served: httpx.Client, asked: bytes) -> None:
    refused = served.post("/v1/completions", content=asked)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


def test_the_job_example_is_a_good_job() -> None:
    path = EXAMPLES / "train" / "job.yaml"
    spec = read_job_spec(path.read_text(), source=path.name)
    assert spec.script is not None and (path.parent / spec.script).is_file()


def test_the_serverless_example_is_a_good_endpoint() -> None:
    path = EXAMPLES / "serverless" / "endpoint.yaml"
    assert read_endpoint_spec(path.read_text(), source=path.name).name == "tiny"
