"""Serve the model beside it as OpenAI's completions API does, with the standard library only.

It listens on 127.0.0.1 at $PORT, which Holdfast chooses; nobody but the gateway comes there, through SSH.

    GET  /health           200 once the weights are loaded
    GET  /stats            how many completions it has answered in all its life, on all its machines
    POST /v1/completions   {"prompt", "max_tokens", "seed", "stream"}

The number of completions is in a file of the workspace: what a checkpoint carries from machine to machine.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from model import Model

MOST_LETTERS = 4096


class Counter:
    """A number on disk, whole at every moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.count = int(path.read_text()) if path.exists() else 0

    def up(self) -> None:
        with self._lock:
            self.count += 1
            draft = self._path.with_suffix(".draft")
            draft.write_text(str(self.count))
            draft.replace(self._path)


class Server(ThreadingHTTPServer):
    request_queue_size = 256  # callers who all come at once
    daemon_threads = True

    def __init__(self, port: int, *, weights: Path, pace: float) -> None:
        self.model = Model.load(weights)
        self.pace = pace
        self.answered = Counter(Path("answered"))
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        match self.path:
            case "/health":
                self._answer(200, {"status": "ok"})
            case "/stats":
                self._answer(200, {"completions": self.server.answered.count})
            case _:
                self._refuse(404, f"nothing is at {self.path}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/completions":
            self._refuse(404, f"nothing is at {self.path}")
            return
        try:
            asked = json.loads(body)
            prompt, seed = str(asked.get("prompt", "")), int(asked.get("seed", 0))
            count = int(asked.get("max_tokens", 16))
        except (ValueError, TypeError, AttributeError) as err:
            self._refuse(400, f"not a request for a completion: {err}")
            return
        if not 1 <= count <= MOST_LETTERS:
            self._refuse(400, f"max_tokens must be from 1 to {MOST_LETTERS}")
            return
        letters = self._at_its_pace(self.server.model.letters(prompt, count, seed))
        (self._stream if asked.get("stream") else self._whole)(letters, asked.get("model", ""), count)

    def _at_its_pace(self, letters: Iterator[str]) -> Iterator[str]:
        """As slow as a larger model would be."""
        for letter in letters:
            yield letter
            time.sleep(self.server.pace)

    def _whole(self, letters: Iterator[str], model: str, count: int) -> None:
        text = "".join(letters)
        self.server.answered.up()
        usage = {"completion_tokens": count}
        self._answer(200, _completion(model, text, "length") | {"usage": usage})

    def _stream(self, letters: Iterator[str], model: str, count: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, letter in enumerate(letters, start=1):
            self._event(json.dumps(_completion(model, letter, "length" if number == count else None)))
        self.server.answered.up()
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": None}})

    def log_message(self, format: str, *args: Any) -> None:
        """Who calls is written down by the gateway."""


def _completion(model: str, text: str, finished: str | None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finished}
    return {"object": "text_completion", "created": int(time.time()), "model": model, "choices": [choice]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("weights.bin"))
    parser.add_argument("--pace", type=float, default=0.0, help="seconds per letter")
    options = parser.parse_args()
    if not options.weights.exists():
        parser.error(f"there are no weights; make them with: python model.py --out {options.weights}")
    with Server(int(os.environ.get("PORT", "0")), weights=options.weights, pace=options.pace) as server:
        print(f"serving {options.weights} at {server.server_address}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
