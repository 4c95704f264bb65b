"""The agent's roles: `connect` and `serve` for control, `run` for itself."""

import argparse
from typing import List, Optional

from . import bridge, daemon, runner
from .home import Home


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one role; returns its exit code."""
    parser = argparse.ArgumentParser(prog="holdfast-agent")
    parser.add_argument("role", choices=["connect", "serve", "run"])
    parser.add_argument("--home", required=True)
    parser.add_argument("--start", action="store_true", help="connect: start the daemon if there is none")
    options = parser.parse_args(arguments)
    home = Home(options.home)
    if options.role == "connect":
        return bridge.main(home, options.start)
    return daemon.main(home) if options.role == "serve" else runner.main(home)
