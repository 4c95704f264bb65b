"""Our own key pair, by which rented machines let us in."""

import os
import tempfile
from pathlib import Path

import asyncssh

_NAME = "ssh_key"


def load_or_create_key(folder: Path) -> asyncssh.SSHKey:
    """The ed25519 key of this data directory, made at the first call. The file has mode 0600.

    Safe beside other threads and processes that call it at the same time: all get the same key.
    """
    path = folder / _NAME
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _create(path)
    return asyncssh.read_private_key(path)


def public_key_line(key: asyncssh.SSHKey) -> str:
    """The public half as one line of authorized_keys format."""
    return " ".join([*key.export_public_key().decode().split()[:2], "holdfast"])


def _create(path: Path) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its own name for each thread; mode 0600
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(asyncssh.generate_private_key("ssh-ed25519", comment="holdfast").export_private_key())
        os.link(fresh, path)  # unlike a rename it never replaces the key that another caller has just made
    except FileExistsError:
        return
    finally:
        fresh.unlink()
