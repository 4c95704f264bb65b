"""`holdfast logs NAME`: the work's output, from all its machines in order."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console
from holdfast.cli.session import DataDir, Name, only_watching, with_holdfast

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast


def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the workload has ended.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=1, help="Only the last N lines so far.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a workload's output; that of machines long gone too.

    \b
    Examples:
      holdfast logs train
      holdfast logs train --tail 20 --follow
    """

    async def show(holdfast: Holdfast) -> None:
        await holdfast.status(name)  # an unknown name is an error, not an empty log
        with only_watching(name) if follow else nullcontext():
            await read(holdfast)

    async def read(holdfast: Holdfast) -> None:
        reader = holdfast.logs(name)
        if tail is not None:
            console.output(await reader.tail(tail))
        else:
            async for text in reader.so_far():
                console.output(text)
        if follow:
            async for text in reader.follow():
                console.output(text)

    with_holdfast(data_dir, show)
