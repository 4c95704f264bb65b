"""The examples run: what a reader copies from them works."""

import importlib.util
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from temporalio.client import Client

from holdfast.client.holdfast import Holdfast
from holdfast.client.specs import read_spec

from .standins import World

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
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
