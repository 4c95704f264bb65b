"""A small hub over real HTTP: the wire API of the public one, as far as models are fetched by it.

Large files are redirected to another port, as the public hub redirects to its stores; what is asked for there, with
which headers, is kept. Faults are settings: a file that breaks off, ranges that are not known, a model behind a gate.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_a_token_of_the_tests"
STRANGER = "hf_of_an_account_that_agreed_to_nothing"
LARGE = 1_000  # bytes from which a file counts as large


@dataclass
class Shelf:
    """One model at one revision."""

    files: Mapping[str, bytes]
    commit: str = "a" * 40
    licence: str = "apache-2.0"
    gated: bool = False
    wrong: Mapping[str, bytes] = field(default_factory=dict)  # what is sent in place of a file's bytes


def _open() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass
class Hub:
    """What it holds and what it was asked for; `address` leads to it."""

    address: str = ""
    store: str = ""
    models: dict[str, Shelf] = field(default_factory=dict)
    knows_ranges: bool = True
    busy: int = 0  # so many answers are 503 first
    breaks_off: dict[str, int] = field(default_factory=dict)  # path to bytes, once
    busy_then: int = 0  # `busy`, from the moment at which a file broke off
    asked: Counter[str] = field(default_factory=Counter)  # by path of the file, or "api"
    sent: Counter[str] = field(default_factory=Counter)  # bytes, by path of the file
    gate: threading.Event = field(default_factory=_open)  # while it is shut, large files wait
    tokens: dict[str, set[str]] = field(default_factory=dict)  # which tokens came to "hub" and to "store"


@contextmanager
def running() -> Iterator[Hub]:
    """A hub and its store on free ports of the loopback address."""
    hub = Hub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, name)) for name in ("hub", "store")]
    hub.address, hub.store = (f"http://127.0.0.1:{each.server_address[1]}" for each in servers)
    threads = [threading.Thread(target=each.serve_forever, args=(0.02,), daemon=True) for each in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.gate.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(hub: Hub, place: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            hub.tokens.setdefault(place, set()).add(token)
            if hub.busy:
                hub.busy -= 1
                self._refuse(503)
                return
            path = unquote(urlsplit(self.path).path)
            if path.endswith("/auth-check"):
                self._let_in(path.removeprefix("/api/models/").removesuffix("/auth-check"), token)
            elif path.startswith("/api/"):  # data is kept under datasets/…, as in the addresses of its files
                model, _, revision = path.removeprefix("/api/").removeprefix("models/").partition("/revision/")
                self._tell(model, revision, token)
            else:
                model, _, rest = path.removeprefix("/").partition("/resolve/")
                self._send(model, rest.partition("/")[2], token)

        def _tell(self, model: str, revision: str, token: str) -> None:
            hub.asked["api"] += 1
            shelf = hub.models.get(model)
            if shelf is None:
                self._refuse(401, "RepoNotFound")
            elif revision not in ("main", shelf.commit):
                self._refuse(404, "RevisionNotFound")
            else:
                self._answer(json.dumps(_told(model, shelf)).encode())

        def _let_in(self, model: str, token: str) -> None:
            hub.asked["gate"] += 1
            shelf = hub.models.get(model)
            if shelf is None:
                self._refuse(401, "RepoNotFound")
            elif refusal := _refusal_at_gate(shelf, token):
                self._refuse(refusal, "GatedRepo")
            else:
                self._answer(b"{}")

        def _send(self, model: str, path: str, token: str) -> None:
            shelf = hub.models.get(model)
            if shelf is None:
                self._refuse(404)
                return
            if place == "hub" and (refusal := _refusal_at_gate(shelf, token)):
                self._refuse(refusal, "GatedRepo")
                return
            data = shelf.wrong.get(path, shelf.files[path])
            if place == "hub" and len(data) >= LARGE:
                self.send_response(302)
                self.send_header("Location", hub.store + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            hub.asked[path] += 1
            if len(data) >= LARGE:
                hub.gate.wait()
            self._pieces(path, data)

        def _pieces(self, path: str, data: bytes) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            start = start if hub.knows_ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            breaks_off = hub.breaks_off.pop(path, None)
            if breaks_off is not None and hub.busy_then:
                hub.busy = hub.busy_then
            whole = data[start:breaks_off]
            hub.sent[path] += len(whole)
            self.wfile.write(whole)
            if len(whole) < len(data) - start:
                self.close_connection = True

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _refuse(self, status: int, code: str = "") -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: what was asked for is in `Hub.asked`."""

    return Handler


def _refusal_at_gate(shelf: Shelf, token: str) -> int:
    """As the public hub: 401 for who is not known, 403 for who has not agreed to the terms."""
    if not shelf.gated or token == TOKEN:
        return 0
    return 403 if token == STRANGER else 401


def _told(model: str, shelf: Shelf) -> dict[str, Any]:
    return {
        "id": model,
        "sha": shelf.commit,
        "gated": "manual" if shelf.gated else False,
        "private": False,
        "cardData": {"license": shelf.licence},
        "tags": ["text-generation", f"license:{shelf.licence}"],
        "siblings": [_sibling(path, data) for path, data in shelf.files.items()],
    }


def _sibling(path: str, data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
    if len(data) >= LARGE:
        told["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return told
