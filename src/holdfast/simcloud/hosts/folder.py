"""The files of one simulated machine.

```text
<data>/instances/<id>/
├── home/             what the renter sees: HOME, and the working directory of every command
├── spec.json         how to start the host (mode 0600: it holds the machine's own API key)
├── host.json         which process is the host and on which port it answers, while it runs
├── host_key          the SSH host key: made once, kept over restarts
├── authorized_keys   read again at every login
├── link.json         the state of the network link; the host reads it again on SIGUSR1
├── facts.json        what the machine can ask about itself, where the provider lets it; read again likewise
└── host.lock         held by the host for as long as it lives
```
"""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from holdfast.simcloud.hosts.processes import ProcessRef, is_alive


@dataclass(frozen=True, kw_only=True)
class HostSpec:
    """What a host process must know at its start."""

    instance: int
    folder: str
    environment: dict[str, str]
    onstart: str | None = None
    market_pid_file: str
    orphan_after: float | None  # seconds without a market after which the host ends itself; None: never
    address: str = "127.0.0.1"
    port: int = 0  # 0: any that is free


@dataclass(frozen=True, kw_only=True)
class Running:
    """A host that answered: its process and its SSH port."""

    process: ProcessRef
    port: int


@dataclass(frozen=True, kw_only=True)
class Link:
    """The network between a host and the world."""

    cut: bool = False
    bytes_per_second: int | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a machine is told by its provider while it runs."""

    tree: dict[str, Any]
    going_down: bool = False  # its system is to shut down


@dataclass(frozen=True)
class HostFolder:
    """Typed access to the files of one machine. Every write is atomic."""

    path: Path
    home: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.path / "home")

    @property
    def mark(self) -> str:
        """What the machine's processes carry in their environment."""
        return str(self.path)

    def create(self) -> None:
        """Make the folders. Idempotent."""
        for folder in (self.home / "bin", self.home / "tmp", self.home / ".ssh"):
            folder.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def remove(self) -> None:
        """Remove everything, as a provider wipes a disk. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=False, onerror=tolerate_missing)

    def write_spec(self, spec: HostSpec) -> None:
        """Store how to start the host."""
        write_private(self.path / "spec.json", json.dumps(asdict(spec)))

    def read_spec(self) -> HostSpec:
        """Read how to start the host."""
        return HostSpec(**json.loads((self.path / "spec.json").read_text()))

    def write_keys(self, keys: Iterable[str]) -> None:
        """Authorise exactly these public keys from the next login on."""
        text = "".join(f"{key.strip()}\n" for key in keys)
        path = self.path / "authorized_keys"
        if not path.exists() or path.read_text() != text:
            write_private(path, text)

    def write_running(self, running: Running) -> None:
        """Called by the host when it listens."""
        write_private(self.path / "host.json", json.dumps(asdict(running)))

    def running(self) -> Running | None:
        """The live host of this machine, if there is one."""
        found = _read_json(self.path / "host.json")
        if found is None:
            return None
        running = Running(process=ProcessRef(**found["process"]), port=found["port"])
        return running if is_alive(running.process) else None

    def last_process(self) -> ProcessRef | None:
        """The last host process that reported, dead or alive."""
        found = _read_json(self.path / "host.json")
        return None if found is None else ProcessRef(**found["process"])

    def forget_running(self) -> None:
        """Called once nothing of the machine runs any more. Idempotent."""
        (self.path / "host.json").unlink(missing_ok=True)

    def write_link(self, link: Link) -> None:
        """Change the network link; the host must be signalled to see it."""
        write_private(self.path / "link.json", json.dumps(asdict(link)))

    def write_facts(self, facts: Facts) -> None:
        """Change what the machine is told; the host must be signalled to see it."""
        write_private(self.path / "facts.json", json.dumps(asdict(facts)))

    def facts(self) -> Facts | None:
        """What the machine is told, where its provider tells it anything."""
        found = _read_json(self.path / "facts.json")
        return None if found is None else Facts(**found)

    def link(self) -> Link:
        """The network link as last written; whole if never written."""
        found = _read_json(self.path / "link.json")
        return Link() if found is None else Link(**found)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def tolerate_missing(_function: object, _path: str, error: tuple[Any, BaseException, Any]) -> None:
    """For removals of trees in which others remove, too."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
