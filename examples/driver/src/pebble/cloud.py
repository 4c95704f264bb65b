"""The provider itself, small enough to read: offers, machines, one account, over HTTP.

It rents out nothing real: its machines have an address where nobody listens. `python -m pebble.cloud PORT` runs it
with the key `pebble-key`.

| call | answer |
|---|---|
| `GET /offers` | `{"offers": [...]}` |
| `GET /machines?name=` | `{"machines": [...]}` |
| `POST /machines` `{offer, name, ...}` | 201 and the machine; 409 name taken; 410 offer gone; 402 no credit |
| `GET` · `DELETE /machines/<id>` | the machine; 404 |

Every call needs the header `X-Pebble-Key`, else 401. No is said as `{"error": "..."}`.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any]
KEY = "pebble-key"
BOOT = 0.2  # seconds


class No(Exception):
    """An answer that is a refusal."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.answer: Answer = (status, {"error": words})


class Cloud:
    """The state of the provider. Each call is one step under one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.credit = 100.0
        self.withdrawn: set[str] = set()
        self.machines: dict[str, dict[str, Any]] = {}
        self._numbers = iter(range(1, 1_000_000))
        self.offers = [
            _offer("a", 0.31, "SE"),
            _offer("b", 0.36, "US"),
            _offer("c", 0.44, "JP"),
            _offer("d", 0.5, "US"),
        ]
        self.offers.append(_offer("e", 1.9, "FR") | {"gpu": "H100 SXM", "gpu_memory_gb": 80})

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        """What a call with the right key does."""
        with self.lock:
            try:
                return self._answer(method, [part for part in path.split("/") if part], query, body)
            except No as no:
                return no.answer

    def _answer(self, method: str, path: list[str], query: dict[str, str], body: dict[str, Any]) -> Answer:
        match method, path:
            case "GET", ["offers"]:
                return 200, {"offers": [offer for offer in self.offers if self._is_free(offer)]}
            case "GET", ["machines"]:
                found = [
                    self._told(each)
                    for each in self.machines.values()
                    if query.get("name", each["name"]) == each["name"]
                ]
                return 200, {"machines": found}
            case "POST", ["machines"]:
                return 201, self._rent(body)
            case "GET", ["machines", number]:
                return 200, self._told(self._machine(number))
            case "DELETE", ["machines", number]:
                del self.machines[self._machine(number)["id"]]
                return 200, {"deleted": number}
        raise No(404, "no such call")

    def _rent(self, body: dict[str, Any]) -> dict[str, Any]:
        if any(each["name"] == body.get("name") for each in self.machines.values()):
            raise No(409, "the name is taken")
        offer = next((each for each in self.offers if each["id"] == body.get("offer") and self._is_free(each)), None)
        if offer is None:
            raise No(410, "the offer is gone")
        if self.credit <= 0:
            raise No(402, "no credit")
        number = f"m{next(self._numbers)}"
        kept = {name: offer[name] for name in ("machine", "gpu", "gpus", "country", "hourly")}
        self.machines[number] = kept | {"id": number, "name": body.get("name"), "born": time.monotonic(), "dead": False}
        return self._told(self.machines[number])

    def _machine(self, number: str) -> dict[str, Any]:
        if number not in self.machines:
            raise No(404, "no such machine")
        return self.machines[number]

    def _is_free(self, offer: dict[str, Any]) -> bool:
        held = any(each["machine"] == offer["machine"] for each in self.machines.values())
        return not held and offer["id"] not in self.withdrawn

    def _told(self, machine: dict[str, Any]) -> dict[str, Any]:
        told = {name: value for name, value in machine.items() if name not in ("born", "dead")}
        if machine["dead"]:
            return told | {"state": "dead"}
        if time.monotonic() - machine["born"] < BOOT:
            return told | {"state": "booting"}
        return told | {"state": "up", "host": "192.0.2.7", "port": 22}


def serve(
    cloud: Cloud, port: int = 0, *, meddle: Callable[[BaseHTTPRequestHandler], bool] | None = None
) -> ThreadingHTTPServer:
    """A server that is not yet running. `meddle` sees each request first and may answer, or break, it itself."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            if meddle is not None and meddle(self):
                return
            self.send(*self.answer())

        do_GET = do_POST = do_DELETE = handle_any

        def answer(self, times: int = 1) -> Answer:
            if self.headers.get("X-Pebble-Key") != KEY:
                return 401, {"error": "who are you?"}
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else {}
            first, *_ = [cloud.answer(self.command, url.path, query, body) for _ in range(times)]
            return first

        def send(self, status: int, body: Any) -> None:
            raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


def _offer(name: str, hourly: float, country: str) -> dict[str, Any]:
    card = {"gpu": "RTX 4090", "gpus": 1, "gpu_memory_gb": 24, "disk_gb": 400}
    return card | {"id": name, "machine": f"rack-{name}", "hourly": hourly, "country": country}


if __name__ == "__main__":
    with serve(Cloud(), int(sys.argv[1])) as running:
        print(f"Pebble answers at http://127.0.0.1:{running.server_port}")
        running.serve_forever()
