"""`holdfast market backtest`: how good the forecasts would have been."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, progress
from holdfast.cli.commands.market import app
from holdfast.cli.session import Json

if TYPE_CHECKING:
    from holdfast.market.backtest import Backtest, BacktestRow

_HEADERS = ("GROUP", "LEAD", "SERIES", "SCORED", "MAE", "80 %", "95 %", "WIDTH 80", "WIDTH 95", "LED")


@app.command("backtest")
def backtest(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A CSV file of prices, or a folder of them.")],
    *,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help="Only this group of series; may be repeated.", show_default=False),
    ] = None,
    origins: Annotated[
        int | None, typer.Option(min=24, help="Forecasts of each series [default: 48, and more in small groups].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Forecast from many past hours, on what was known then, and compare with what came.

    MAE is the mean error relative to that of the last price: below 1 is skill. 80 % and 95 % are how often the price
    was inside the range that was stated, WIDTH is the range's width as a share of the price. LED is how often another
    than the last price was in charge. Hours without a price are never scored.

    Exit codes: 0 done; 2 a file cannot be read; 4 there is no price in it.

    \b
    Examples:
      holdfast market backtest prices/
      holdfast market backtest vast.csv.gz --group vast --json
    """
    from holdfast.market.backtest import backtest as run  # noqa: PLC0415 (numpy; not for `--help`)
    from holdfast.market.datasets import chosen, read  # noqa: PLC0415
    from holdfast.market.errors import NoHistory  # noqa: PLC0415

    found = read(data, unknown=lambda path: console.say(f"{path.name} is no price history that is known here"))
    series = chosen(found, group or ())
    if not series:
        known = ", ".join(sorted({each.group for each in found}))
        raise NoHistory(f"{data} has no group {', '.join(group or ())}", remedy=f"it has {known}")
    with progress.bar() as tell:
        report = run(series, origins=origins, tell=tell)
    if as_json:
        console.print_json(report)
    else:
        _print(report)


def _print(report: Backtest) -> None:
    if report.rows:
        console.table(_HEADERS, [_row(each) for each in report.rows], spare=("WIDTH 95", "SCORED", "LED"))
    console.answer(f"{report.forecasts} forecasts of {report.series} series; {report.left_out} were too short to judge")
    if report.flat:
        console.answer(
            f"{report.flat} series never moved; {report.flat_held} were forecast as that very price, exactly"
        )
    if report.cpu_median is not None:
        console.answer(f"one forecast took {1000 * report.cpu_median:.0f} ms of CPU in the middle")


def _row(row: BacktestRow) -> tuple[str, ...]:
    return (
        row.group or "—",
        f"{row.lead} h",
        str(row.series),
        str(row.scored),
        "—" if row.mae is None else f"{row.mae:.3f}",
        f"{row.cover80:.1%}",
        f"{row.cover95:.1%}",
        f"{row.width80:.1%}",
        f"{row.width95:.1%}",
        f"{row.led:.0%}",
    )
