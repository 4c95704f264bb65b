"""`holdfast market references`: what savings can be shown against."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import against, console
from holdfast.cli.commands.market import app
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, settings_for


@app.command("references")
def references(
    gpu: Annotated[
        str | None, typer.Argument(metavar="GPU", help="Such as 'H100 SXM'; left out, all.", show_default=False)
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--reference-file", metavar="FILE", help="Also those of this CSV file.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the prices that `holdfast savings --against` compares with, and what speaks against each.

    A price is stale when it is older than HOLDFAST_MARKET__REFERENCE_MAX_AGE, or when a newer one of the same provider
    says something else. Prices of a bare accelerator are told: vCPUs and memory come on top. It asks nobody.

    Exit codes: 0 done; 2 a file that cannot be used; 4 no reference for this GPU.

    \b
    Examples:
      holdfast market references "H100 SXM"
      holdfast market references --json
    """
    from holdfast.client.errors import UnknownGpu  # noqa: PLC0415 (not for `--help`)
    from holdfast.market.references import BadReferences, brought, read  # noqa: PLC0415
    from holdfast.policy import references as policy  # noqa: PLC0415

    try:
        known = (*(read(file) if file else ()), *brought())
    except BadReferences as err:
        raise UsageProblem(str(err), remedy="docs/money.md has the columns") from err
    names = [gpu] if gpu else sorted({each.gpu for each in known})
    age = settings_for(data_dir).market.reference_max_age
    today = datetime.now(UTC).date()
    found = [
        each
        for name in names
        for each in policy.for_gpu(known, name, against=policy.CHEAPEST, at=today, max_age=age)
        if gpu or each.reference.gpu == name
    ]
    if not found:
        there = ", ".join(sorted({each.gpu for each in known}))
        raise UnknownGpu(f"no reference price of {gpu!r} is known", remedy=f"there are references for {there}")
    if as_json:
        console.print_json(found)
    else:
        against.show_references(found)
