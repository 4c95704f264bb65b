"""Canned answers at the transport, and the things that TensorDock's API is known to send."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
from pydantic import SecretStr

from holdfast.providers.tensordock.config import TensorDockConfig
from holdfast.providers.tensordock.driver import PausingTensorDockProvider, TensorDockProvider, connect
from holdfast.providers.tensordock.endpoints import PACES
from holdfast.providers.wrappers.pacing import Pacer
from tests.unit.providers.wire import Answer, Time

KEY = "tensordock-token-0123456789"
LEGACY = ("legacy-key-0123", "legacy-token-4567")
NUMBER = "b1d6c0b8-28f6-4d52-8f0e-0a4bbd2f9a10"
NODE_ID = "6f0d8c4e-6f2b-4a39-9b7f-2f3c0f9a1d55"
GPU = "geforcertx4090-pcie-24gb"

NODE: dict[str, Any] = {
    "id": NODE_ID,
    "location_id": "d7cc4e7a-0b3b-4b1c-9a0c-2d7f0d2d3f10",
    "engine": "kvm",
    "uptime_percentage": 99.4,
    "available_resources": {
        "gpus": [{"v0Name": GPU, "availableCount": 3, "price_per_hr": 0.37}],
        "vcpu_count": 64,
        "ram_gb": 256,
        "storage_gb": 2000,
        "max_vcpus_per_gpu": 16,
        "max_ram_per_gpu": 96,
        "max_vcpus": 64,
        "max_ram_gb": 256,
        "max_storage_gb": 2000,
        "available_ports": [20013, 20044],
        "has_public_ip_available": False,
    },
    "pricing": {"per_vcpu_hr": 0.003, "per_gb_ram_hr": 0.002, "per_gb_storage_hr": 0.00005},
    "location": {
        "uuid": "d7cc4e7a-0b3b-4b1c-9a0c-2d7f0d2d3f10",
        "city": "Chubbuck",
        "stateprovince": "Idaho",
        "country": "United States",
        "network_speed_gbps": 5,
        "network_speed_upload_gbps": 2.5,
        "organization": "host-12",
        "tier": 3,
    },
}
INSTANCE: dict[str, Any] = {
    "type": "virtualmachine",
    "id": NUMBER,
    "name": "train.e3",
    "status": "running",
    "ipAddress": "203.0.113.77",
    "portForwards": [
        {"internal_port": 8000, "external_port": 20045},
        {"internal_port": 22, "external_port": 20044},
    ],
    "resources": {"vcpu_count": 8, "ram_gb": 32, "storage_gb": 150, "gpus": {GPU: {"count": 1, "v0Name": GPU}}},
    "rateHourly": 0.452,
}
LISTED = {name: INSTANCE[name] for name in ("type", "id", "name", "status")}


def node(**resources: Any) -> dict[str, Any]:
    """The node, with other resources."""
    return NODE | {"available_resources": NODE["available_resources"] | resources}


class Dock:
    """Answers each call with the next of its canned answers, the last one for ever, and keeps what was asked."""

    def __init__(self, **answers: Answer | list[Answer]) -> None:
        self._answers = {name: each if isinstance(each, list) else [each] for name, each in answers.items()}
        self.asked: list[tuple[str, httpx.Request]] = []
        self.time = Time()

    def provider(self, *, listing_lag: timedelta = timedelta(0), **changes: Any) -> TensorDockProvider:
        """A driver whose calls all come here, and whose time is ours."""
        config = TensorDockConfig(
            api_key=SecretStr(KEY), base_url="http://127.0.0.1:9", listing_lag=listing_lag, **changes
        )
        pacer = Pacer(PACES, clock=self.time.clock, sleep=self.time.sleep, dice=lambda: 0.0)
        transport = httpx.MockTransport(self._answer)
        return connect(config, pacer=pacer, transport=transport, clock=self.time.clock, sleep=self.time.sleep)

    def pausing(self) -> PausingTensorDockProvider:
        """The same, with credentials of the older API."""
        key, token = map(SecretStr, LEGACY)
        provider = self.provider(legacy_key=key, legacy_token=token)
        assert isinstance(provider, PausingTensorDockProvider)
        return provider

    def calls(self) -> list[str]:
        return [name for name, _ in self.asked]

    def order(self) -> dict[str, Any]:
        """The attributes of the last deploy."""
        (*_, request) = (request for name, request in self.asked if name == "deploy")
        data = json.loads(request.content)["data"]
        assert data["type"] == "virtualmachine"
        attributes: dict[str, Any] = data["attributes"]
        return attributes

    def form(self, name: str) -> dict[str, str]:
        """The fields of the last call of the older API."""
        (*_, request) = (request for asked, request in self.asked if asked == name)
        return dict(parse_qsl(request.content.decode()))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = _call_of(request)
        self.asked.append((name, request))
        queue = self._answers[name]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def one(thing: dict[str, Any], **changes: Any) -> httpx.Response:
    """One thing, flat."""
    return httpx.Response(200, json=thing | changes)


def listing(*things: dict[str, Any]) -> httpx.Response:
    """The account's machines."""
    return httpx.Response(200, json={"data": {"instances": list(things)}})


def nodes(*things: dict[str, Any]) -> httpx.Response:
    """Host nodes."""
    return httpx.Response(200, json={"data": {"hostnodes": list(things)}})


def no(status: int, words: str) -> httpx.Response:
    """A refusal with its status."""
    return httpx.Response(status, json={"error": words})


def no_as_ok(words: str, status: int = 400) -> httpx.Response:
    """A refusal with status 200."""
    return httpx.Response(200, json={"error": words, "status": status})


ACCEPTED = httpx.Response(200, json={"data": {"type": "virtualmachine", "id": NUMBER, "status": "queued"}})
GONE = httpx.Response(404, json={"message": "Instance not found"})
DONE = httpx.Response(204)
PAGE = httpx.Response(502, html="<html><title>502 Bad Gateway</title></html>")


def _call_of(request: httpx.Request) -> str:
    match request.method, request.url.path.strip("/").split("/"):
        case "GET", ["api", "v2", "hostnodes"]:
            return "hostnodes"
        case "GET", ["api", "v2", "hostnodes", _]:
            return "hostnode"
        case "GET", ["api", "v2", "locations"]:
            return "locations"
        case "POST", ["api", "v2", "instances"]:
            return "deploy"
        case "GET", ["api", "v2", "instances"]:
            return "list"
        case "GET", ["api", "v2", "instances", _]:
            return "show"
        case "DELETE", ["api", "v2", "instances", _]:
            return "delete"
        case "POST", ["api", "v2", "instances", _, ("start" | "stop") as action]:
            return action
        case "POST", ["api", "v0", "client", "stop", "single"]:
            return "legacy_stop"
    raise AssertionError(f"an unknown call: {request.method} {request.url.path}")
