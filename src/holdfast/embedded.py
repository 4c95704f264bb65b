"""What a living `holdfast up` leaves in its data directory for other processes to find.

Apart from `settings` because it needs the standard library only: `holdfast ps` finds its server here without waiting
for the import of the typed settings.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFAULT_DATA_DIR = Path(".holdfast")
STACK_FILE = "stack.json"
SECRETS_FILE = "secrets.json"
MARKET_FOLDER = "market"
"""The simulated market keeps its data here, in the data directory."""
GOOGLE_KEY_FILE = "gcp-key.json"
"""The key file of the simulated market's service account at Google, in the market's data."""
GOOGLE_SSH_PORT = 22022
"""Where each of the simulated machines of Google listens, on an address of its own."""


class StackUnreadable(Exception):
    """A file of the stack cannot be read. The message names it and the remedy."""


def offered_by_stack(data_dir: Path) -> dict[str, Any]:
    """The settings of the stack that lives in `data_dir`; empty when none does.

    Raises:
        StackUnreadable: its files are damaged, or not ours to read.
    """
    living = _of_living_stack(data_dir)
    return _merged(living, _read_json(data_dir / SECRETS_FILE)) if living else {}


def temporal_of_stack(data_dir: Path | None, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The `embedded_temporal` section that the typed settings would come to; None for a server found otherwise.

    Raises:
        StackUnreadable: as `offered_by_stack`.
    """
    if names_a_server(environ):
        return None
    folder = data_dir or Path(environ.get("HOLDFAST_DATA_DIR") or DEFAULT_DATA_DIR)
    found: dict[str, Any] | None = _of_living_stack(folder.expanduser()).get("embedded_temporal")
    return found


def names_a_server(environ: Mapping[str, str]) -> bool:
    """Whether Temporal's own variables say where the server is; then no embedded one is used."""
    return any(name.startswith("TEMPORAL_") for name in environ)


def process_lives(pid: int, started: str) -> bool:
    """Whether the process that had `pid` and this start time still runs; a reused pid does not count."""
    return started != "" and start_time(pid) == started


def start_time(pid: int) -> str:
    """When `pid` started, in the kernel's clock ticks since boot; empty if it does not run (a zombie does not)."""
    try:
        # The name, field 2, may hold spaces and brackets: count from its closing one.
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, ticks = after_name[0], after_name[19]
    return "" if state in "ZX" else ticks


def _of_living_stack(data_dir: Path) -> dict[str, Any]:
    state = _read_json(data_dir / STACK_FILE)
    if not any(process_lives(each["pid"], each["started"]) for each in state.get("keepers", [])):
        return {}
    return dict(state.get("settings", {}))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        raise StackUnreadable(f"the data directory {path.parent} is a file; choose another with --data-dir") from None
    except (OSError, ValueError) as err:
        raise StackUnreadable(f"{path} cannot be read ({err}); run `holdfast down`, then `holdfast up`") from None
    return dict(found)


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in more.items():
        deeper = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = _merged(both[key], value) if deeper else value
    return both
