"""No secret reaches Temporal, a log, the records, a command line, or a rented machine's disk."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.conftest import Tell
from tests.scenarios.stage import Stage
from tests.scenarios.story import STEPS, Story

# What a presigned address and a private key look like, whoever's they are.
SIGNS = (b"X-Amz-Signature", b"PRIVATE KEY")

Found = Iterable[tuple[str, bytes]]


@pytest.mark.long
async def test_no_secret_leaves_the_process_that_needs_it(tell: Tell) -> None:
    story = tell("discreet")
    token = _make_secret(story.stage, "api_token")
    checked = f"test $(printf %s $API_TOKEN | sha256sum | cut -c1-64) = {hashlib.sha256(token).hexdigest()}"
    story.changes(environment={"API_TOKEN": {"secret": "api_token"}}, command=f"{checked} && exec {story.spec.command}")
    forbidden = (token, *_keys_of(story.stage), *SIGNS)
    await story.begins()
    await story.works()
    _assert_clean(_command_lines(story.stage), forbidden)
    _assert_clean(_files(Path(story.alive()[0]["home"])), forbidden)
    story.market.outbid(story.name)
    await story.finishes()
    await story.is_whole(steps=STEPS)
    _assert_clean(await _histories(story), forbidden)
    _assert_clean(_files(story.stage.home / "logs"), forbidden)
    _assert_clean(_files(story.stage.home, "records.db*"), forbidden)


def _make_secret(stage: Stage, name: str) -> bytes:
    """A secret that a spec can name; its value."""
    folder = stage.home / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    value = secrets.token_hex(16)
    (folder / name).touch(mode=0o600)
    (folder / name).write_text(value)
    return value.encode()


def _keys_of(stage: Stage) -> Iterator[bytes]:
    """The provider's key, the store's keys and our SSH key, as they would appear in a leak."""
    settings = stage.settings
    assert settings.store.access_key_id and settings.store.secret_access_key
    for key in (settings.providers["vast"].api_key, settings.store.access_key_id, settings.store.secret_access_key):
        yield key.get_secret_value().encode()
    _begin, *lines, _end = (stage.home / "keys" / "ssh_key").read_bytes().splitlines()
    yield lines[-2]  # the first lines say what kind of key it is


def _command_lines(stage: Stage) -> Found:
    """Of every process of the stack and of its machines."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(stage.home).encode() in (process / "environ").read_bytes():
                yield f"command line of {process.name}", (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended


def _files(folder: Path, pattern: str = "**/*") -> Found:
    for path in folder.glob(pattern):
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()


async def _histories(story: Story) -> Found:
    """Every event of every workflow that this server knows, as it is stored."""
    found = []
    async for execution in story.client.list_workflows():
        handle = story.client.get_workflow_handle(execution.id, run_id=execution.run_id)
        found += [(execution.id, event.SerializeToString()) async for event in handle.fetch_history_events()]
    return found


def _assert_clean(found: Found, forbidden: Iterable[bytes]) -> None:
    looked_at = 0
    for where, content in found:
        looked_at += 1
        leaked = [secret[:4] + b"..." for secret in forbidden if secret in content]
        assert not leaked, f"{where} holds {leaked}"
    assert looked_at, "there was nothing to look at"
