"""`holdfast model` against the real stack: a folder, a small hub, and what is refused."""

import asyncio
from pathlib import Path

import pytest

from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.settings import load_settings
from tests import hub as hubs
from tests import tiny_model

from .embedded import Stack, until


def test_a_model_is_registered_from_the_hub_and_the_same_from_a_folder_listed_shown_and_removed(
    stack: Stack, hub: hubs.Hub
) -> None:
    assert "no model is registered" in stack("model", "ls").err
    told = stack("model", "register", "tiny", "--from", "hf:org/tiny@main", "--json")
    assert told.code == 0, told.err
    assert (told.document["version"], told.document["kind"], told.document["licence"]) == (1, "llm", "apache-2.0")
    assert told.document["revision"] == "a" * 40
    assert told.document["needs"]["parameters"] == tiny_model.PARAMETERS

    folder = tiny_model.written(stack.home.parent / "folder", tiny_model.files())
    same = stack("model", "register", "tiny", "--from", str(folder), "--memory-gb", "2", "--json")
    assert same.code == 0, same.err
    assert (same.document["version"], same.document["needs"]["stated_bytes"]) == (1, 2_000_000_000)
    tiny_model.written(folder, {"tokenizer/vocab.txt": b"changed"})
    assert "tiny version 2: llm" in stack("model", "register", "tiny", "--from", str(folder)).err

    listed = stack("model", "ls")
    assert "hf:org/tiny@" + "a" * 12 in listed.out and f"folder {folder}" in listed.out
    shown = stack("model", "show", "tiny", "--version", "1")
    assert "model.safetensors" in shown.out and "as stated" in shown.out
    view = stack("model", "show", "tiny", "--context", "32", "--sequences", "4", "--json").document
    assert view["recipe"] == "vllm"
    assert view["memory"]["cache"] == 4 * 32 * 32
    assert [each["path"] for each in view["model"]["contents"]] == list(tiny_model.KEPT)

    assert stack("model", "rm", "tiny", "--version", "1").code == 0
    assert [each["version"] for each in stack("model", "ls", "--json").document] == [2]
    assert len(stack("model", "rm", "tiny", "--json").document) == 1
    assert [each["retired_at"] is None for each in stack("model", "ls", "--all", "--json").document] == [False, False]
    gone = stack("model", "rm", "tiny")
    assert gone.code == 4 and "there is no model 'tiny'" in gone.err


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (("register", "UPPER", "--from", "hf:org/tiny"), 2, "no name for a model"),
        (("register", "x", "--from", "hf:no/such/thing"), 2, "names no model"),
        (("register", "x", "--from", "nowhere"), 2, "there is no nowhere"),
        (("register", "x", "--from", "hf:org/none"), 27, "does not exist, or needs a token"),
        (("register", "x", "--from", "hf:org/gated"), 27, "is gated"),
        (("register", "x", "--from", "hf:org/tiny", "--token-secret", "NOT_THERE"), 6, "NOT_THERE"),
        (("register", "x", "--from", "s3://no-such-bucket/x"), 27, "no-such-bucket"),
        (("show", "nobody"), 4, "there is no model"),
        (("rm", "nobody", "--version", "3"), 4, "version 3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_with_what_to_do(stack: Stack, argv: tuple[str, ...], code: int, reason: str) -> None:
    refused = stack("model", *argv)
    assert refused.code == code, refused.err
    assert reason in refused.err and "hint: " in refused.err
    assert refused.out == ""


async def test_a_bucket_of_the_store_s_own_server_is_fetched_with_the_store_s_key(stack: Stack) -> None:
    ours = load_settings(data_dir=stack.home).store
    bucket = S3Store(ours.model_copy(update={"bucket": "shelf", "prefix": ""}))
    await bucket.create_bucket()
    for path, data in tiny_model.files(salt=7).items():
        assert await bucket.put(f"llm/tiny/{path}", data)
    await bucket.close()
    told = await asyncio.to_thread(stack, "model", "register", "bucketed", "--from", "s3://shelf/llm/tiny", "--json")
    assert told.code == 0, told.err
    assert (told.document["source"], told.document["revision"]) == ("s3://shelf/llm/tiny", "")
    assert (told.document["licence"], told.document["files"]) == ("apache-2.0", len(tiny_model.KEPT))


def test_a_folder_without_files_of_a_model_is_refused(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    refused = stack("model", "register", "x", "--from", str(tmp_path))
    assert refused.code == 2 and "--kind" in refused.err


def test_who_stops_watching_ends_nothing_and_the_same_command_follows_it_again(stack: Stack, hub: hubs.Hub) -> None:
    hub.models["org/slow"] = hubs.Shelf(files=tiny_model.files(salt=3))
    hub.gate.clear()
    sent = hub.asked["model.safetensors"]
    with stack.start("model", "register", "slow", "--from", "hf:org/slow") as watching:
        until(lambda: hub.asked["model.safetensors"] > sent)
        watching.terminate()
    other = stack("model", "register", "slow", "--from", "hf:org/tiny")
    assert other.code == 12 and "slow from hf:org/slow" in other.err
    hub.gate.set()
    told = stack("model", "register", "slow", "--from", "hf:org/slow", "--json")
    assert told.code == 0 and told.document["version"] == 1, told.err
    assert hub.asked["model.safetensors"] == sent + 1
