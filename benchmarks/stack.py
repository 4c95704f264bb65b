"""What the benchmarks that run a whole stack have in common."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.workers.stack.commands import down, up
from holdfast.workers.stack.plan import UpOptions


@contextmanager
def running_stack(home: Path, profile: Path, *, gateway: bool = False) -> Iterator[None]:
    """Temporal, a store, a market like the profile, and one worker, until the block ends; a gateway if it is wanted."""
    up(UpOptions(data_dir=home, detach=True, auto_ports=True, market_profile=profile, gateway=gateway), say)
    try:
        yield
    finally:
        down(home, say)


def clock(seconds: float) -> str:
    """Minutes and seconds, for people."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def say(text: str) -> None:
    """To those who wait; the figures go to standard output."""
    print(text, file=sys.stderr, flush=True)
