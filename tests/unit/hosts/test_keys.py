"""Our own key pair."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import asyncssh

from holdfast.hosts.keys import load_or_create_key, public_key_line


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first, second = load_or_create_key(folder), load_or_create_key(folder)
    assert public_key_line(first) == public_key_line(second)
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_callers_at_the_same_time_get_the_same_key(tmp_path: Path) -> None:
    together = Barrier(8)

    def call(_: int) -> str:
        together.wait()
        return public_key_line(load_or_create_key(tmp_path))

    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(call, range(8)))
    assert len(keys) == 1
    assert len(list(tmp_path.iterdir())) == 1  # no draft stays behind


def test_the_public_line_is_what_authorized_keys_wants(tmp_path: Path) -> None:
    line = public_key_line(load_or_create_key(tmp_path))
    assert line.startswith("ssh-ed25519 ") and line.endswith(" holdfast")
    asyncssh.import_authorized_keys(line)
