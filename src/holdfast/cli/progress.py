"""A progress bar on stderr, for work that takes minutes; silent where nobody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def drawn(share: float, places: int) -> str:
    """A bar of so many places, for a share from 0 to 1."""
    full = round(share * places)
    return f"[{'#' * full}{'.' * (places - full)}]"


@contextmanager
def bar() -> Iterator[Callable[[str, int, int], None]]:
    """What the block is given is told what runs now, and how much of how much is done."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _all: None
        return
    from rich.console import Console  # noqa: PLC0415 (only where somebody watches)
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, of: progress.update(task, description=what, completed=done, total=of)
