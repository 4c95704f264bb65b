"""`holdfast demo`: a play, shown and checked. Its exit code is 0 only if all of it held."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.cli import console
from holdfast.cli.demo import training
from holdfast.cli.demo.findings import Finding, tell
from holdfast.cli.demo.serverless import show as serverless
from holdfast.workers.stack.commands import down, up
from holdfast.workers.stack.plan import UpOptions

Show = Callable[[Path], Coroutine[Any, Any, list[Finding]]]
"""What is played on a stack that runs in this directory."""


def run_demo(*, data_dir: Path | None, keep: bool, port: str, endpoints: bool = False) -> int:
    """Play it in `data_dir`, or in a fresh folder that is removed after a success: training, or endpoints.

    Whatever interrupts it, no process is left behind, unless asked to keep everything.
    """
    home = data_dir or Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    options = UpOptions(data_dir=home, workers=1, detach=True, auto_ports=port == "auto", ports={}, gateway=endpoints)
    held = False
    try:
        held = _play(options, serverless.show if endpoints else training.show, keep=keep)
    finally:
        _leave(home, remove=held and not keep and data_dir is None, runs=keep)
    return 0 if held else 1


def _play(options: UpOptions, show: Show, *, keep: bool) -> bool:
    """Whether everything held that the demo promises."""
    began = time.monotonic()
    with _stack(options, keep=keep):
        held = tell(asyncio.run(show(options.data_dir)))
    console.say(f"\ndemo {'passed' if held else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return held


@contextmanager
def _stack(options: UpOptions, *, keep: bool) -> Iterator[None]:
    up(options, console.say)
    console.say("")
    try:
        yield
    finally:
        if not keep:
            down(options.data_dir, lambda line: None)


def _leave(home: Path, *, remove: bool, runs: bool) -> None:
    if remove:
        shutil.rmtree(home)
    elif runs:
        console.say(f"everything is kept in {home}; `holdfast down --data-dir {home}` ends what runs")
    else:
        console.say(f"nothing runs any more; what was written is kept in {home}")
