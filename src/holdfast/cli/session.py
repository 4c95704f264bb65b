"""What most commands share: their options, and one connection for the length of the command.

The client is imported when a command connects, so that `--help` and a wrong option are answered at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from holdfast.cli import console

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast
    from holdfast.settings import Settings

Result = TypeVar("Result")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The workload's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, and nothing else.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it has taken effect.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="HOLDFAST_DATA_DIR",
        show_default=".holdfast",
        help="The directory that `holdfast up` keeps its state in.",
    ),
]


def settings_for(data_dir: Path | None) -> "Settings":
    """The settings as this command line asks for them."""
    from holdfast.settings import load_settings  # noqa: PLC0415 (see above)

    chosen: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
    return load_settings(**chosen)


def with_holdfast(data_dir: Path | None, work: Callable[["Holdfast"], Awaitable[Result]]) -> Result:
    """Connect, do the work and return its result."""

    from holdfast.client.holdfast import Holdfast  # noqa: PLC0415 (see above)

    async def connected() -> Result:
        async with Holdfast.connect(settings_for(data_dir)) as holdfast:
            return await work(holdfast)

    return asyncio.run(connected())


@contextmanager
def only_watching(name: str, doing: str = "") -> Iterator[None]:
    """Ctrl-C inside ends the watching, not the work, nor what is being done to it, and says so."""
    try:
        yield
    except asyncio.CancelledError:  # how Ctrl-C arrives in a coroutine
        if doing:
            console.say(f"\n{doing} {name} goes on; `holdfast status {name}` tells how it fares")
        else:
            console.say(f"\n{name} goes on; `holdfast logs {name} --follow` watches it, `holdfast stop {name}` ends it")
        raise
