"""What the stack remembers in its data directory, so that any of its processes can be replaced.

`stack.json` says what runs (process ids with start times), on which ports, and which settings the others find
through `holdfast.settings`. `secrets.json` holds the keys that belong to this stack alone. `stack.lock` is held
by the supervisor and its guardian for as long as either lives. All are readable by their owner only.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from holdfast.embedded import GOOGLE_KEY_FILE, MARKET_FOLDER, SECRETS_FILE, STACK_FILE, process_lives, start_time
from holdfast.workers.stack.errors import AlreadyRunning, StackError

LOCK_FILE = "stack.lock"


class Phase(StrEnum):
    """How far the stack is. `STOPPING` survives the supervisor: its successor goes on stopping."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class ProcessRecord:
    """One process; `started` tells it from a later one that got the same pid."""

    pid: int
    started: str
    restarts: int = 0

    @classmethod
    def of(cls, pid: int, *, restarts: int = 0) -> "ProcessRecord":
        return cls(pid=pid, started=start_time(pid), restarts=restarts)

    def lives(self) -> bool:
        return process_lives(self.pid, self.started)


@dataclass(frozen=True, kw_only=True)
class StackState:
    """The content of `stack.json`. Written by the supervisor alone once there is one."""

    phase: Phase
    plan: Mapping[str, Any]
    settings: Mapping[str, Any]
    keepers: tuple[ProcessRecord, ...] = ()
    processes: Mapping[str, ProcessRecord] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    """What workers need before they can work."""
    ready: tuple[str, ...] = ()
    """What has been ready once since the supervisor started."""
    failure: str | None = None


class Home:
    """The data directory of one stack."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir.expanduser().absolute()

    def create(self) -> None:
        """Make it and its logs folder, unless they are there. Raises `StackError` where that is not possible."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
            (self.path / LOCK_FILE).touch(mode=0o600)
        except OSError as err:
            message = f"the data directory {self.path} cannot be used: {err.strerror}"
            raise StackError(message, remedy="choose another one with --data-dir or HOLDFAST_DATA_DIR") from err

    def read(self) -> StackState | None:
        """The state as last written, or None where no stack ever ran."""
        try:
            raw = json.loads((self.path / STACK_FILE).read_text())
        except FileNotFoundError:
            return None
        return StackState(
            phase=Phase(raw["phase"]),
            plan=raw["plan"],
            settings=raw["settings"],
            keepers=tuple(ProcessRecord(**each) for each in raw["keepers"]),
            processes={name: ProcessRecord(**each) for name, each in raw["processes"].items()},
            servers=tuple(raw.get("servers", ())),
            ready=tuple(raw.get("ready", ())),
            failure=raw["failure"],
        )

    def write(self, state: StackState) -> None:
        """Replace the state; a reader sees the old or the new one, never half of it."""
        write_private(self.path / STACK_FILE, asdict(state))

    def secrets(self) -> dict[str, Any]:
        """The keys of this stack, drawn at random the first time; laid out as `holdfast.settings` reads them."""
        path = self.path / SECRETS_FILE
        known = dict(json.loads(path.read_text())) if path.exists() else _drawn()
        # An older stack's file may not know every provider that is simulated by now.
        found = known | {"providers": self._accounts(known["market_key"]) | known["providers"]}
        if found != known or not path.exists():
            write_private(path, found)
        return found

    def _accounts(self, key: str) -> dict[str, dict[str, str]]:
        """One key opens the simulated market in each language; Google's is a file that the market itself makes."""
        return {
            "gcp": {"key_file": str(self.path / MARKET_FOLDER / GOOGLE_KEY_FILE)},
            "tensordock": {"api_key": key, "legacy_key": key, "legacy_token": key},
            "vast": {"api_key": key},
        }

    def lock(self) -> int:
        """Take the stack's lock; the descriptor may be handed on. Raises `AlreadyRunning`."""
        fd = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise AlreadyRunning(
                f"a stack already runs in {self.path}",
                remedy="use it as it is, end it with `holdfast down`, or choose another --data-dir",
            ) from None
        return fd


def _drawn() -> dict[str, Any]:
    return {
        "store": {"access_key_id": secrets.token_hex(10), "secret_access_key": secrets.token_hex(20)},
        "providers": {},
        "market_key": secrets.token_hex(32),
    }


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step, readable by its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(content, out, indent=2)
    draft.replace(path)


def without_processes(state: StackState, *, phase: Phase, failure: str | None = None) -> StackState:
    """The state once nothing runs any more."""
    return replace(state, phase=phase, keepers=(), processes={}, ready=(), failure=failure)
