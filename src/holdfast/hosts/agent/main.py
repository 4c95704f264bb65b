"""The agent's roles: `connect` and `serve` for control, `run` for itself."""

import argparse
import importlib
from typing import List, Optional

from .home import Home

# Loaded only when asked for: a bridge is started for every connection and needs a tenth of what the daemon needs.
ROLES = {"connect": "bridge", "serve": "daemon", "run": "runner"}


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one role; returns its exit code."""
    parser = argparse.ArgumentParser(prog="holdfast-agent")
    parser.add_argument("role", choices=sorted(ROLES))
    parser.add_argument("--home", required=True)
    parser.add_argument("--start", action="store_true", help="connect: start the daemon if there is none")
    options = parser.parse_args(arguments)
    role = importlib.import_module(f".{ROLES[options.role]}", __package__)
    code: int = role.main(Home(options.home), start=options.start)
    return code
