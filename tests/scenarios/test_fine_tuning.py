"""Fine-tunings on the real stack, with a program in the trainer's place: what they are given, and refused."""

import json
import re
import shlex
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hub as hubs
from tests import tiny_model
from tests.cli.embedded import SCRIPT, Ran, Stack, until

MARKET = "extends: default\nboot: {kind: constant, seconds: 0.2}\nthreshold_scale: 0\n"
EXAMPLE = {"messages": [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "four"}]}
SECRETS = {"agreed": hubs.TOKEN, "stranger": hubs.STRANGER, "mistyped": "hf_nobody_s"}
TRAINER = """
import json, os, time
json.load(open("base/config.json"))
open({here!r}, "w").write(os.getcwd())
while os.path.exists({here!r}):
    time.sleep(0.1)
os.makedirs("output/adapter")
open("output/adapter/adapter_model.safetensors", "wb").write((2).to_bytes(8, "little") + b"{{}}")
answers = [{{"prompt": "two?", "base": "five", "tuned": "four"}}]
told = {{"steps": 1, "last": {{"loss": 0.5}}, "differs": [], "place": {{}}, "answers": answers}}
json.dump(told, open("output/training.json", "w"))
"""
SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

json.load(open("base/config.json"))
open("adapter_model.safetensors", "rb").close()
served = {os.environ["MODEL_NAME"]: "four", os.environ["MODEL_NAME"] + "-base": sys.argv[1]}

class Model(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["messages"] == [{"role": "user", "content": "two?"}] and asked["temperature"] == 0
        self.answer({"choices": [{"message": {"content": served[asked["model"]]}}]})

    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Model).serve_forever()
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[hubs.Hub]:
    with hubs.running() as running:
        running.models["org/open"] = hubs.Shelf(files=tiny_model.files())
        running.models["org/gated"] = hubs.Shelf(files=tiny_model.files(), gated=True)
        yield running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, hub: hubs.Hub) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tuning")
    (folder / "market.yaml").write_text(MARKET)
    (folder / "train.jsonl").write_text(json.dumps(EXAMPLE) + "\n")
    secrets = folder / "data/secrets"
    secrets.mkdir(parents=True, mode=0o700)
    for name, value in SECRETS.items():
        (secrets / name).touch(mode=0o600)
        (secrets / name).write_text(value)
    running = Stack(
        folder / "data", {"HOLDFAST_MODELS__HUB_URL": hub.address, "HOLDFAST_HOSTS__HEARTBEAT_INTERVAL": "500ms"}
    )
    try:
        up = running("up", "--detach", "--port", "auto", "--profile", str(folder / "market.yaml"))
        assert up.code == 0, up.err
        yield running
    finally:
        running("down")


def submission(stack: Stack, name: str, *more: str, base: str = "hf:org/gated") -> tuple[str, ...]:
    """The trainer stands still at the file `NAME.here`, which says where it runs, until that is removed."""
    here = stack.home.parent / f"{name}.here"
    program = shlex.join(["python3", "-c", TRAINER.format(here=str(here))])
    given = ("--base", base, "--dataset", str(stack.home.parent / "train.jsonl"), "--max-hourly", "0.90")
    return ("finetune", "submit", name, *given, "--setup", "", "--python", program, *more)


@pytest.mark.long
@pytest.mark.parametrize(
    ("secret", "code", "why", "hint"),
    [
        ("", 27, "is gated, and no token was shown", "secret hf_token"),
        ("mistyped", 27, "does not know the token", "make a new one"),
        ("stranger", 27, "has not agreed to its terms", "/org/gated with that account"),
        ("nowhere", 6, "nowhere", "secrets folder"),
    ],
)
def test_a_gated_base_is_refused_before_anything_begins(
    stack: Stack, hub: hubs.Hub, secret: str, code: int, why: str, hint: str
) -> None:
    told = stack(*submission(stack, "shut-out", *(("--token-secret", secret) if secret else ())))
    assert told.code == code, told.err
    assert why in told.err and hint in told.err and told.out == ""
    assert SECRETS.get(secret, "-none-") not in told.err
    assert stack("finetune", "show", "shut-out").code == 4, "nothing was started"
    assert stack("sim", "bill", "--json").document["lines"] == [] and not hub.sent


@pytest.mark.long
def test_with_a_token_of_somebody_who_agreed_it_trains_and_the_token_goes_nowhere_but_to_the_hub(
    stack: Stack, hub: hubs.Hub
) -> None:
    hub.tokens.clear()
    submitted = stack(*submission(stack, "let-in", "--token-secret", "agreed"))
    assert submitted.code == 0, submitted.err
    here = stack.home.parent / "let-in.here"
    until(lambda: here.exists() and bool(here.read_text()))
    workspace = Path(here.read_text())
    assert (workspace / "base/config.json").read_bytes() == tiny_model.files()["config.json"]
    assert [path for path in workspace.rglob("*") if path.is_file() and holds_it(path)] == []
    here.unlink()
    ended = stack("finetune", "wait", "let-in", "--json")
    assert ended.code == 0, ended.err + ended.out
    assert ended.document["base"] == f"hf:org/gated@{'a' * 40}"
    assert hub.tokens["hub"] == {hubs.TOKEN} and hub.tokens.get("store", {""}) == {""}
    leaked = [path for path in stack.home.parent.rglob("*") if path.is_file() and holds_it(path)]
    assert leaked == [stack.home / "secrets/agreed"], "logs, records, the store, what the market's machines keep"
    assert hubs.TOKEN not in histories(stack)


@pytest.mark.long
def test_deployed_in_one_flag_it_answers_as_tuned_beside_its_base(stack: Stack) -> None:
    ended = deployed(stack, "talker", "talk", base_says="five")
    assert ended.code == 0, ended.err + ended.out
    (compared,) = ended.document["release"]["compared"]
    assert (compared["base"], compared["tuned"], compared["trained"]) == ("five", "four", "four")
    for told in (stack("finetune", "show", "talker"), stack("deployment", "show", "talk")):
        assert "asked talk-v1: two?" in told.out and "base:  five" in told.out and "tuned: four" in told.out, told.out
    document = stack("deployment", "show", "talk", "--json").document
    assert document["serving"] == "talk-v1" and document["releases"][0]["compared"] == [compared]
    view = stack("model", "show", "talker", "--json").document
    assert view["recipe"] == "vllm" and view["memory"]["total"] > 0, "what its base takes"
    assert [each["path"] for each in view["model"]["contents"]] == ["adapter_model.safetensors", "training.json"]
    assert stack("deployment", "retire", "talk").code == 0


@pytest.mark.long
def test_a_server_that_forgets_the_adapter_never_has_the_traffic(stack: Stack) -> None:
    ended = deployed(stack, "forgotten", "forgetful", base_says="four")
    assert ended.code == 29, ended.err + ended.out
    assert ended.document["phase"] == "failed" and ended.document["registered"]["version"] == 1
    assert "as the base does: what was learned is not served" in ended.document["reason"]
    assert stack("deployment", "show", "forgetful", "--json").document["serving"] is None


def deployed(stack: Stack, name: str, behind: str, *, base_says: str) -> Ran:
    """Trained, and put behind a name; how the fine-tuning ended."""
    server = shlex.join(["python3", "-c", SERVER, base_says])
    options = ("--deploy-option", "image=python:3.12", "--deploy-option", f"command=exec {server}")
    how = ("--deploy", behind, "--deploy-recipe", "command", *options, "--json")
    submitted = stack(*submission(stack, name, *how, base="hf:org/open"))
    assert submitted.code == 0, submitted.err
    assert submitted.document["deployment"] == behind and submitted.document["token"]
    here = stack.home.parent / f"{name}.here"
    until(lambda: here.exists() and bool(here.read_text()))
    here.unlink()
    return stack("finetune", "wait", name, "--json")


def holds_it(path: Path) -> bool:
    try:
        return hubs.TOKEN.encode() in path.read_bytes()
    except OSError:  # a socket's, or it was removed just now
        return False


def histories(stack: Stack) -> str:
    """Every event of the workflows of the fine-tuning, as the server has them, with what their payloads hold."""
    address = ("--address", stack.state()["settings"]["embedded_temporal"]["address"])
    told = ""
    for workflow in ("fine-tune/let-in", "job/let-in", "workload/let-in-a1"):
        command = [SCRIPT.with_name("temporal"), "workflow", "show", "--workflow-id", workflow, "-o", "json", *address]
        told += subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    payloads = [b64decode(each).decode(errors="replace") for each in re.findall(r'"data": "([^"]*)"', told)]
    assert "stage_input" in told and any("hf:org/gated" in each for each in payloads)
    return "\n".join([told, *payloads])
