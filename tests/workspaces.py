"""Workspaces that are hard to copy, and a way to compare two of them in everything that is kept."""

import hashlib
import json
import os
import random
import stat
import struct
from pathlib import Path
from typing import Any

MEBIBYTE = 1024 * 1024
OLD = 1_600_000_000_123_456_789  # nanoseconds; restored times must be equal to the last digit


def plant_nasty_tree(root: Path, *, small_files: int = 200) -> None:
    """Everything that other tools lose: empty folders, links, modes, holes, odd names, old times."""
    seed = random.Random(7)
    (root / "empty" / "deeper").mkdir(parents=True)
    (root / "nothing").write_bytes(b"")
    (root / "model.safetensors").write_bytes(safetensors(seed.randbytes(17 * MEBIBYTE), note="a"))
    (root / "log.txt").write_text("step done\n" * 20_000)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "secret").write_text("token")
    (root / "secret").chmod(0o400)
    (root / "link").symlink_to("log.txt")
    (root / "dangling").symlink_to("/nowhere/at all")
    (root / "folder-link").symlink_to("empty")
    for name in (b"blank and\nnewline", b"\xff\xfe not utf-8", "schön-日本".encode(), b"-rf", b"quo\"te'$HOME"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
    with (root / "sparse").open("wb") as file:
        file.seek(40 * MEBIBYTE)
        file.write(b"the end")
    many = root / "many"
    many.mkdir()
    for number in range(small_files):
        (many / f"{number:05d}.json").write_bytes(seed.randbytes(seed.randrange(1, 3000)))
    os.utime(root / "log.txt", ns=(OLD, OLD))
    os.utime(root / "link", ns=(OLD, OLD), follow_symlinks=False)
    (root / "locked").mkdir()
    (root / "locked" / "inside").write_text("x")
    (root / "locked").chmod(0o555)
    os.utime(root / "empty", ns=(OLD, OLD))


def safetensors(payload: bytes, *, note: str) -> bytes:
    """A safetensors file: a header of any length, then the payload."""
    header = json.dumps({"__metadata__": {"note": note}, "w": {"data_offsets": [0, len(payload)]}}).encode()
    return struct.pack("<Q", len(header)) + header + payload


def portrait(root: Path) -> dict[str, Any]:
    """What a checkpoint promises to bring back, path by path."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = _features(path)
    return found


def _features(path: Path) -> tuple[Any, ...]:
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        return "link", str(path.readlink()), facts.st_mtime_ns
    if stat.S_ISDIR(facts.st_mode):
        return "folder", stat.S_IMODE(facts.st_mode), facts.st_mtime_ns
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return "file", stat.S_IMODE(facts.st_mode), facts.st_mtime_ns, facts.st_size, digest
