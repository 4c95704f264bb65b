"""`holdfast demo`: the main job in one command."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.demo.main import run_demo


def demo(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Use this directory instead of a fresh temporary one.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, to look around.")] = False,
    port: Annotated[str, typer.Option("--port", metavar="auto|default", help="Which ports the servers take.")] = "auto",
    serverless: Annotated[
        bool, typer.Option("--serverless", help="Show endpoints that sleep while nobody calls, instead.")
    ] = False,
) -> int:
    """Watch a training run lose its machine twice and finish all the same.

    Brings everything up in a fresh directory, trains on real data, outbids the first machine, kills the second without
    notice, and compares the final weights with those of an uninterrupted run. Exit code 0 only if they are equal, bit
    for bit, and no machine was left alive.

    With `--serverless`: deploys a small language model behind endpoints that sleep, calls them through the gateway, one
    by one and a hundred at once, outbids a machine, and tells what all that cost. Exit code 0 only if every answer was
    right, nothing was paid while nothing was there, and no machine was left alive.

    \b
    Examples:
      holdfast demo --keep
      holdfast demo --serverless
    """
    return run_demo(data_dir=data_dir, keep=keep, port=port, endpoints=serverless)
