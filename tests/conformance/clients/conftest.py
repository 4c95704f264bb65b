"""Where other people's clients are, and how they are run."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[3] / ".venv/clients/bin"


@dataclass(frozen=True)
class Client:
    """A program with a home of its own, so that it finds no key of yours and leaves nothing behind."""

    program: Path
    home: Path
    first: tuple[str, ...] = ()

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run it with these arguments."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "NO_COLOR": "1"}
        command = [str(self.program), *self.first, *arguments]
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )


def find(name: str) -> Path:
    """A client's program; skips the test where it is not installed."""
    program = CLIENTS / name
    if not program.exists():
        pytest.skip(f"the client {name} is not installed: `make clients` installs and runs it, apart from Holdfast")
    return program
