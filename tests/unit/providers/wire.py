"""Canned answers at the transport, and the rows that Vast.ai's API is known to send."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import VastProvider, connect
from holdfast.providers.vast.endpoints import PACES
from holdfast.providers.wrappers.pacing import Pacer

KEY = "vast-key-0123456789abcdef"
Answer = httpx.Response | httpx.TransportError

OFFER: dict[str, Any] = {
    "id": 27410093,
    "ask_contract_id": 27410093,
    "machine_id": 40217,
    "host_id": 9131,
    "num_gpus": 1,
    "gpu_name": "RTX 4090",
    "gpu_ram": 24564,
    "cpu_cores": None,
    "cpu_cores_effective": 16.0,
    "cpu_ram": 257640,
    "disk_space": 812.4,
    "inet_up": 811.2,
    "inet_down": 902.6,
    "dph_base": 0.1667,
    "dph_total": 0.1839,
    "min_bid": 0.1667,
    "reliability2": 0.9931,
    "verification": "verified",
    "rentable": True,
    "rented": False,
    "is_bid": True,
    "external": None,
    "geolocation": "Quebec, CA",
    "end_date": 4102444800.0,
}
INSTANCE: dict[str, Any] = {
    "id": 29817740,
    "machine_id": 40217,
    "host_id": 9131,
    "num_gpus": 1,
    "gpu_name": "RTX 4090",
    "actual_status": "running",
    "cur_state": "running",
    "next_state": "running",
    "intended_status": "running",
    "status_msg": "success, running vastai/pytorch/ssh",
    "label": "train.e3",
    "image_runtype": "ssh_direc ssh_proxy",
    "extra_env": [["HF_HOME", "/workspace/hf"]],
    "ssh_host": "ssh5.vast.ai",
    "ssh_port": 17740,
    "public_ipaddr": "198.51.100.24\n",
    "ports": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "41022"}], "8000/tcp": None},
    "is_bid": True,
    "dph_base": 0.19,
    "dph_total": 0.2067,
    "end_date": 4102444800.0,
    "geolocation": "Quebec, CA",
}


class Time:
    """A clock that jumps when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Wire:
    """Answers each call with the next of its canned answers, the last one for ever, and keeps what was asked."""

    def __init__(self, **answers: Answer | list[Answer]) -> None:
        self._answers = {name: each if isinstance(each, list) else [each] for name, each in answers.items()}
        self.asked: list[tuple[str, httpx.Request]] = []
        self.time = Time()

    def provider(
        self, *, patience: timedelta = timedelta(seconds=10), listing_lag: timedelta = timedelta(0)
    ) -> VastProvider:
        """A driver whose calls all come here, and whose time is ours."""
        config = VastConfig(api_key=SecretStr(KEY), base_url="http://127.0.0.1:9", listing_lag=listing_lag)
        pacer = Pacer(PACES, patience=patience, clock=self.time.clock, sleep=self.time.sleep, dice=lambda: 0.0)
        transport = httpx.MockTransport(self._answer)
        return connect(config, pacer=pacer, transport=transport, clock=self.time.clock, sleep=self.time.sleep)

    def calls(self) -> list[str]:
        return [name for name, _ in self.asked]

    def body(self, name: str, which: int = -1) -> Any:
        return json.loads([request for asked, request in self.asked if asked == name][which].content)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = _call_of(request)
        self.asked.append((name, request))
        queue = self._answers[name]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def listing(*rows: dict[str, Any], **changes: Any) -> httpx.Response:
    """One page that is the whole list."""
    body = {
        "success": True,
        "instances_found": len(rows),
        "total_instances": len(rows),
        "next_token": None,
        "instances": list(rows),
    }
    return httpx.Response(200, json=body | changes)


def no(status: int, error: str, msg: str = "", **more: Any) -> httpx.Response:
    """A refusal in the usual envelope."""
    return httpx.Response(status, json={"success": False, "error": error, "msg": msg, **more})


YES = httpx.Response(200, json={"success": True})
HTML = httpx.Response(502, html="<html><title>502 Bad Gateway</title></html>")
NOT_FOUND = httpx.Response(200, json={"instances": None})


def _call_of(request: httpx.Request) -> str:
    rules: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("POST search", lambda path: path.endswith("/bundles/")),
        ("PUT rent", lambda path: "/asks/" in path),
        ("GET list", lambda path: path == "/api/v1/instances/"),
        ("PUT change_bid", lambda path: "/bid_price/" in path),
        ("POST attach", lambda path: path.endswith("/ssh/") and "/instances/" in path),
        ("GET keys", lambda path: path == "/api/v0/ssh/"),
        ("POST add_key", lambda path: path == "/api/v0/ssh/"),
        ("GET charges", lambda path: path == "/api/v0/charges/"),
        ("GET show", lambda path: path.startswith("/api/v0/instances/")),
        ("PUT change", lambda path: path.startswith("/api/v0/instances/")),
        ("DELETE destroy", lambda path: path.startswith("/api/v0/instances/")),
        ("GET prices", lambda path: path == "/api/v0/metrics/gpu/history/"),
    )
    for name, matches in rules:
        method, _, short = name.partition(" ")
        if request.method == method and matches(request.url.path):
            return short
    raise AssertionError(f"an unknown call: {request.method} {request.url.path}")
