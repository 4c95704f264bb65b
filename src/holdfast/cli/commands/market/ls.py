"""`holdfast market ls`: of what there are prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console
from holdfast.cli.commands.market import app, asking
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from holdfast.contracts.market import PricedSeries


@app.command("ls")
def ls(
    *,
    regions: Annotated[bool, typer.Option("--regions", help="Also each region for itself.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the series of prices on record: from when to when, and how many points.

    HELD are points too far from their neighbours to be believed at once; `market history GPU --held` shows them.

    \b
    Examples:
      holdfast market ls
      holdfast market ls --regions --json
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.priced_series())
    shown = [each for each in found if regions or not each.region]
    if as_json:
        console.print_json(shown)
    elif shown:
        headers = ("GPU", "PROVIDER", "REGION", "KIND", "PRICES", "POINTS", "HELD", "FROM", "TO")
        console.table(headers, [_row(each) for each in shown], spare=("REGION", "HELD"))
    else:
        console.say("no price is on record yet; `holdfast market survey` asks the providers now")


def _row(each: PricedSeries) -> tuple[str, ...]:
    return (
        each.gpu,
        each.provider,
        each.region or "all",
        asking.kind_word(each.kind),
        each.basis.value,
        str(each.points),
        str(each.held),
        f"{each.first:%Y-%m-%d %H:%M}",
        f"{each.last:%Y-%m-%d %H:%M}",
    )
