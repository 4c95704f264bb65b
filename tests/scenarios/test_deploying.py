"""Versions of a model behind one name, on the real stack: callers see the next version, and never a bad one."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.embedded import Ran, Stack, until

MARKET = "extends: default\nboot: {kind: constant, seconds: 0.2}\nthreshold_scale: 0\n"
WORKERS = {"HOLDFAST_GATEWAY__REFRESH": "1s", "HOLDFAST_HOSTS__HEARTBEAT_INTERVAL": "500ms"}
SMOKE = "method: POST\npath: /predict\njson: {text: hello}\nanswer: labels.0\nwithin_seconds: 20\n"
SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

with open("weights.json") as file:
    weights = json.load(file)


class Model(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"status": "ok"})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"labels": [weights["label"] * bool(asked["text"])]})

    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Model).serve_forever()
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("deploying")
    (folder / "market.yaml").write_text(MARKET)
    (folder / "ask.yaml").write_text(SMOKE)
    running = Stack(folder / "data", WORKERS)
    try:
        yield running
    finally:
        running("down")


def registered(stack: Stack, label: str) -> int:
    """A version of the model that answers everything with this label; its number."""
    folder = stack.home.parent / "model"
    folder.mkdir(exist_ok=True)
    (folder / "serve.py").write_text(SERVER)
    (folder / "weights.json").write_text(json.dumps({"label": label}))
    told = stack("model", "register", "moods", "--from", str(folder), "--kind", "other", "--memory-gb", "1", "--json")
    assert told.code == 0, told.err
    return int(told.document["version"])


def deployed(stack: Stack, *more: str) -> Ran:
    """All machines of the market are this computer: each version must get a port of its own without being told to."""
    served = ("-o", "image=python:3.12", "-o", "command=exec python3 serve.py")
    asked = ("--smoke", str(Path(stack.home.parent / "ask.yaml")), "--max-hourly", "0.90", "--mode", "checkpoint")
    return stack("deploy", "moods", "--as", "mood", *served, *asked, *more)


def called(address: str, token: str, path: str = "/mood/predict") -> Any:
    request = urllib.request.Request(
        address + path, json.dumps({"text": "hello"}).encode(), {"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["labels"][0]


def machines(stack: Stack) -> list[str]:
    listed = stack("sim", "instances", "--json")
    assert listed.code == 0, listed.err
    return [each["label"] for each in listed.document]


def test_versions_come_and_go_behind_one_name(stack: Stack) -> None:
    up = stack("up", "--detach", "--port", "auto", "--profile", str(stack.home.parent / "market.yaml"))
    assert up.code == 0, up.err
    found = re.search(r"Gateway\S*\s+(http://\S+)", up.out + up.err)
    assert found, up.out + up.err
    address = found[1]

    assert registered(stack, "calm") == 1
    refused = deployed(stack, "--gpu", "B9999")
    assert refused.code == 5 and "B9999" in refused.err
    first = deployed(stack, "--json")
    assert first.code == 0, first.err
    token = first.document["token"]
    assert (first.document["endpoint"], first.document["status"]["serving"]) == ("mood-v1", "mood-v1")
    assert "mood-v1 wakes" in first.err or "can serve" in first.err, "it is told how it gets on"
    until(lambda: called(address, token) == "calm")

    assert registered(stack, "glad") == 2
    second = deployed(stack, "--json")
    assert second.code == 0, second.err
    assert second.document["token"] == ""
    assert second.document["status"]["kept"] == "mood-v1"
    until(lambda: called(address, token) == "glad")

    back = stack("deployment", "rollback", "mood", "--json")
    assert back.code == 0 and back.document["serving"] == "mood-v1", back.err
    until(lambda: called(address, token) == "calm")

    assert registered(stack, "") == 3  # it serves, and has nothing to say
    bad = deployed(stack)
    assert bad.code == 29, bad.err
    assert "labels.0 of the answer is empty" in bad.err and "mood-v1 serves on" in bad.err
    assert not any("mood-v3" in label for label in machines(stack))
    assert called(address, token) == "calm"

    for version in ("1", "2"):  # one serves, one is kept
        used = stack("model", "rm", "moods", "--version", version)
        assert used.code == 10 and "of mood serves" in used.err and "deployment retire mood" in used.err
    assert stack("model", "rm", "moods", "--version", "3").code == 0
    assert stack("model", "rm", "moods", "--version", "2", "--force").code == 0

    shown = stack("deployment", "show", "mood")
    assert "mood-v3" in shown.out and "failed" in shown.out
    assert "mood-v1" in stack("deployment", "ls").out
    assert stack("deployment", "retire", "mood").code == 0
    assert machines(stack) == []
    assert stack("model", "rm", "moods").code == 0
    assert stack("deployment", "rollback", "mood").code == 10
    assert stack("deployment", "show", "nobody").code == 4
