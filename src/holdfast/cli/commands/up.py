"""`holdfast up`: everything on this machine, in one process tree."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import console
from holdfast.cli.errors import UsageProblem
from holdfast.settings import load_settings
from holdfast.workers.stack.commands import up as start_stack
from holdfast.workers.stack.plan import UpOptions

PORTS = ("temporal", "ui", "s3", "market", "gateway")


def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return as soon as everything is ready.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Worker processes.")] = 1,
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port",
            metavar="auto|PART=N",
            help=f"'auto' takes free ports; or set one: {', '.join(PORTS)}. Repeatable.",
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option("--profile", metavar="FILE", help="YAML of the simulated market: machines, prices, delays."),
    ] = None,
    gateway: Annotated[bool, typer.Option(help="Take the calls for endpoints: docs/gateway.md.")] = True,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", envvar="HOLDFAST_DATA_DIR", show_default=".holdfast", help="Where all state lives."),
    ] = None,
) -> int:
    """Start a Temporal server with its Web UI, an S3 store, records, the simulated market, workers and a gateway.

    All state lies in one directory; a second `up` on it carries on with everything that was running. Servers that the
    settings place elsewhere are used, not started.

    \b
    Examples:
      holdfast up --detach
      holdfast up --port auto --data-dir /tmp/try
      holdfast up --port temporal=7300 --port ui=8300
      holdfast up --profile quick.yaml
    """
    auto, ports = _ports(port or [])
    chosen = load_settings(**({} if data_dir is None else {"data_dir": data_dir})).data_dir
    options = UpOptions(
        data_dir=chosen,
        workers=workers,
        detach=detach,
        auto_ports=auto,
        ports=ports,
        market_profile=profile,
        gateway=gateway,
    )
    return start_stack(options, console.say)


def _ports(given: list[str]) -> tuple[bool, dict[str, int]]:
    """`auto`, and `part=number` for single parts."""
    chosen: dict[str, int] = {}
    for word in given:
        part, equals, number = word.partition("=")
        if word == "auto":
            continue
        if not equals or part not in PORTS or not number.isdecimal() or not 0 < int(number) < 65_536:
            raise UsageProblem(
                f"--port {word!r} is not understood",
                remedy=f"give auto, or PART=NUMBER with one of {', '.join(PORTS)}, such as temporal=7300",
            )
        chosen[part] = int(number)
    return "auto" in given, chosen
