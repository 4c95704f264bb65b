"""What most commands share: their options, and one connection for the length of the command."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from holdfast.client.holdfast import Holdfast
from holdfast.settings import Settings, load_settings

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


def settings_for(data_dir: Path | None) -> Settings:
    """The settings as this command line asks for them."""
    chosen: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
    return load_settings(**chosen)


def with_holdfast(data_dir: Path | None, work: Callable[[Holdfast], Awaitable[Result]]) -> Result:
    """Connect, do the work and return its result."""

    async def connected() -> Result:
        async with Holdfast.connect(settings_for(data_dir)) as holdfast:
            return await work(holdfast)

    return asyncio.run(connected())
