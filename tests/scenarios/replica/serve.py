"""What the replicas of the serverless stories run: it says who answers, keeps notes in a file, and streams.

GET  /health               200, or with --health STATUS whatever is wanted
POST /echo                 the body again, with who answered and all notes
POST /note                 the same, once the body stands in the file
GET  /stream?pieces=N      an event stream of N pieces and an end
"""

import argparse
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

NOTES = Path("notes.txt")


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    health = 200

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/stream":
            self._stream(int(parse_qs(asked.query)["pieces"][0]))
        else:
            self._say(self.health if asked.path == "/health" else 404, {})

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/note":
            with NOTES.open("a") as notes:
                notes.write(said + "\n")
        self._say(200, _who() | {"said": said, "notes": NOTES.read_text().split() if NOTES.exists() else []})

    def _stream(self, pieces: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in range(pieces):
            self._chunk(f"data: {json.dumps(_who() | {'piece': piece})}\n\n")
            time.sleep(0.1)
        self._chunk("data: [DONE]\n\n")
        self._chunk("")

    def _chunk(self, text: str) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text.encode()))
        self.wfile.flush()

    def _say(self, status: int, what: dict[str, object]) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _who() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "replica": os.environ["HOLDFAST_WORKLOAD"],
        "epoch": int(os.environ["HOLDFAST_EPOCH"]),
        "machine": os.environ["HOLDFAST_SIM_INSTANCE"],
    }


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--health", type=int, default=200)
    chosen = options.parse_args()
    Answers.health = chosen.health
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()


if __name__ == "__main__":
    main()
