"""Signed addresses for a folder store: a small HTTP server on the loopback.

An address carries what it permits and until when, sealed by an HMAC under a key that only this process has; so the same
agent code works against a folder and against S3.
"""

import base64
import hashlib
import hmac
import re
import secrets
import threading
import time
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from holdfast.checkpoints.errors import StoreRefused
from holdfast.checkpoints.stores.base import SignedRequest
from holdfast.checkpoints.stores.files import Files

PIECE = 256 * 1024


class LoopbackServer:
    """Serves the addresses it has signed, from threads of its own, until it is closed."""

    def __init__(self, files: Files) -> None:
        self._secret = secrets.token_bytes(32)
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.files = files
        self._http.secret = self._secret
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="store", daemon=True)
        self._thread.start()

    def sign_put(self, key: str, *, size: int, md5: str, expires: timedelta) -> SignedRequest:
        return SignedRequest(url=self._sign("PUT", key, expires, size=str(size), md5=md5), headers={"Content-MD5": md5})

    def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        return SignedRequest(url=self._sign("GET", key, expires))

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _sign(self, method: str, key: str, expires: timedelta, **permits: str) -> str:
        permits["until"] = str(time.time() + expires.total_seconds())
        permits["seal"] = _seal(self._secret, method, key, permits)
        return f"http://127.0.0.1:{self._http.server_address[1]}/{quote(key)}?{urlencode(permits)}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    files: Files
    secret: bytes

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is no event worth a traceback on stderr."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # connections stay open
    timeout = 120

    def do_PUT(self) -> None:
        permits = self._permits("PUT")
        if permits is None:
            return
        if self.headers.get("Content-Length") != permits["size"]:
            self._answer(HTTPStatus.BAD_REQUEST, "the body has another size than was signed")
            return
        draft = self.server.files.draft()
        try:
            digest = _receive(self.rfile, draft, int(permits["size"]))
            if digest != permits["md5"]:
                self._answer(HTTPStatus.BAD_REQUEST, "the body has another digest than was signed")
            elif self.server.files.publish(draft, self._key()):
                self._answer(HTTPStatus.OK)
            else:
                self._answer(HTTPStatus.PRECONDITION_FAILED, "the object exists")
        except OSError as err:
            self._answer(HTTPStatus.INSUFFICIENT_STORAGE, str(err))
        finally:
            draft.unlink(missing_ok=True)

    def do_GET(self) -> None:
        if self._permits("GET") is None:
            return
        found = self.server.files.head(self._key())
        if found is None:
            self._answer(HTTPStatus.NOT_FOUND, "there is no such object")
            return
        start, length = _range(self.headers.get("Range"), found.size)
        if start >= found.size and found.size:
            self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "beyond the end")
            return
        data = self.server.files.read(self._key(), start, length) or b""
        self.send_response(HTTPStatus.PARTIAL_CONTENT if "Range" in self.headers else HTTPStatus.OK)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line would hold a signed address."""

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def _permits(self, method: str) -> dict[str, str] | None:
        """What the address permits, or None after a refusal was sent."""
        given = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        seal = given.pop("seal", "")
        try:
            self.server.files.path(self._key())
        except StoreRefused as err:
            self._answer(HTTPStatus.BAD_REQUEST, str(err))
            return None
        if not hmac.compare_digest(seal, _seal(self.server.secret, method, self._key(), given)):
            self._answer(HTTPStatus.FORBIDDEN, "not signed for this")
            return None
        if float(given["until"]) < time.time():
            self._answer(HTTPStatus.FORBIDDEN, "expired")
            return None
        return given

    def _answer(self, status: HTTPStatus, words: str = "") -> None:
        body = words.encode()
        if status >= HTTPStatus.BAD_REQUEST:  # the body may not have been read: this connection cannot go on
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _seal(secret: bytes, method: str, key: str, permits: dict[str, str]) -> str:
    sealed = [f"{name}={value}" for name, value in sorted(permits.items()) if name != "seal"]
    return hmac.new(secret, "\n".join([method, key, *sealed]).encode(), hashlib.sha256).hexdigest()


def _receive(source: BufferedIOBase, draft: Path, size: int) -> str:
    """Read exactly `size` bytes into the draft; returns their MD5 in base64."""
    digest = hashlib.md5(usedforsecurity=False)
    left = size
    with draft.open("wb") as file:
        while left:
            piece = source.read(min(PIECE, left))
            if not piece:
                raise ConnectionError("the client hung up")
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
    return base64.b64encode(digest.digest()).decode()


def _range(header: str | None, size: int) -> tuple[int, int]:
    """Start and length of what is asked for; everything without a range that we know."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", header or "")
    if found is None:
        return 0, size
    start = int(found[1])
    end = min(int(found[2]), size - 1) if found[2] else size - 1
    return start, max(0, end - start + 1)
