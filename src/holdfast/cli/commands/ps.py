"""`holdfast ps`: the workloads, from one question to the server's listing.

People type it all day, so it imports neither the typed settings nor the client half of the SDK.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.quick import QuickCommand
from holdfast.client.connection import connect_service, find_server
from holdfast.client.listing import WorkloadLine, list_workloads
from holdfast.embedded import temporal_of_stack

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("ps", cls=QuickCommand)
def ps(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Ended workloads too, while the server has them.")] = (
        False
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, a list.")] = False,
    data_dir: Annotated[
        str | None, typer.Option("--data-dir", envvar="HOLDFAST_DATA_DIR", help="Where `holdfast up` keeps its state.")
    ] = None,
) -> None:
    """List workloads: where each one runs, since when, at what price.

    \b
    Examples:
      holdfast ps
      holdfast ps --all --json | jq -r '.[] | select(.phase == "failed") | .name'
    """
    lines = asyncio.run(_list(Path(data_dir) if data_dir else None, everything))
    if as_json:
        console.print_json(lines)
    elif lines:
        headers = ("NAME", "STATE", "GPU", "PROVIDER", "PRICE", "EPOCH", "STARTED")
        console.table(headers, [_row(line) for line in lines])
    else:
        console.say("no workload is running" if not everything else "the server knows no workload")


async def _list(data_dir: Path | None, everything: bool) -> tuple[WorkloadLine, ...]:
    embedded = temporal_of_stack(data_dir, os.environ) or {}
    server = find_server(
        embedded_address=embedded.get("address"), embedded_namespace=embedded.get("namespace", "default")
    )
    service = await connect_service(server)
    return await list_workloads(service, server.namespace, include_closed=everything)


def _row(line: WorkloadLine) -> tuple[str, ...]:
    return (
        line.name,
        line.phase,
        line.gpu or "—",
        line.provider or "—",
        words.rate(line.hourly) if line.running else "—",
        "—" if line.epoch is None else str(line.epoch),
        words.age(line.started_at, now=datetime.now(UTC)),
    )
