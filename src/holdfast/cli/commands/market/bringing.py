"""`holdfast market import` and `export`: price histories as CSV."""

from __future__ import annotations

import asyncio
import csv
import shlex
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from holdfast.cli import console, words
from holdfast.cli.commands.market import app, asking
from holdfast.cli.errors import UsageProblem
from holdfast.cli.moments import moment
from holdfast.cli.progress import bar
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.market import RecordedPrices
    from holdfast.market.importing import Reading

_COLUMNS = "docs/market.md has the columns of each kind of file"
SHOWN = 5
"""Refused lines of each kind that are told one by one."""


@app.command("import")
def bring(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A CSV file; .gz is unpacked.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only read it, and say what would be done.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Bring a price history in: columns time, gpu, provider, region, kind, price (USD per GPU and hour), offers.

    Lines of one hour become one point. What is not used is told with its reason: broken lines, times that have not
    come, clock jumps (a line among lines of another time), the same twice, another price for the same moment. A point
    far from its neighbours is held back until the next one confirms it. Imported twice, a file changes nothing; where a
    survey of ours has a price, that stands. docs/market.md names the other files that can be read.

    Exit codes: 0 done, also when lines were refused; 2 the file cannot be read, or nothing in it can be used;
    8, 11 or 14 when Temporal, a worker or the records do not answer.

    \b
    Examples:
      holdfast market import prices.csv
      holdfast market import history.csv.gz --dry-run
      holdfast market import prices.csv --json
    """
    from holdfast.market.importing import NotReadable, known_shapes, read  # noqa: PLC0415 (not for `--help`)

    with bar() as told:
        try:
            reading = read(file, now=datetime.now(UTC), told=lambda done, of: told("reading", done, of))
        except NotReadable as err:
            remedy = f"docs/market.md has the columns of each kind of file: {', '.join(known_shapes())}"
            raise UsageProblem(str(err), remedy=remedy) from err
        recorded = None

        async def write(holdfast: Holdfast) -> RecordedPrices:
            try:
                return await holdfast.bring_in_prices(reading.points, lambda done, of: told("writing", done, of))
            except asyncio.CancelledError:  # how Ctrl-C arrives in a coroutine
                again = f"`holdfast market import {shlex.quote(str(file))}`"
                console.say(f"\nstopped; what is written stays, and {again} goes on where this stopped")
                raise

        if reading.points and not dry_run:
            recorded = with_holdfast(data_dir, write)
    if not reading.points:
        _tell_refused(reading)
        raise UsageProblem(
            f"{file} has no line that could be used, of {words.count(reading.lines, 'line')}",
            remedy=f"what is wrong with the first is told above; {_COLUMNS}" if reading.refused else _COLUMNS,
        )
    if as_json:
        console.print_json(_document(reading, recorded))
    else:
        _tell(file, reading, recorded)


def _document(reading: Reading, recorded: RecordedPrices | None) -> dict[str, object]:
    return {
        "shape": reading.shape,
        "lines": reading.lines,
        "points": len(reading.points),
        "folded": reading.folded,
        "refused": reading.refused,
        "recorded": recorded,
    }


def _tell(file: Path, reading: Reading, recorded: RecordedPrices | None) -> None:
    series = len({(each.gpu, each.provider, each.region, each.kind) for each in reading.points})
    console.answer(f"{file}: {words.count(reading.lines, 'line')}, read as {reading.shape}")
    first, last = min(each.at for each in reading.points), max(each.at for each in reading.points)
    facts = {
        "points": f"{len(reading.points)} in {series} series",
        "from": f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
    }
    if reading.folded:
        facts["folded"] = f"{words.count(reading.folded, 'line')} of the same hour, day or moment as another"
    for kind, many in sorted(reading.reasons().items()):
        facts[f"refused, {kind}"] = words.count(many, "line")
    if recorded is not None:
        kept = f", {recorded.kept} where our own survey stands" if recorded.kept else ""
        facts["written"] = f"{recorded.new} new, {recorded.changed} changed, {recorded.known} known already{kept}"
        if recorded.held:
            gpus = {each.gpu for each in reading.points}
            gpu = shlex.quote(gpus.pop()) if len(gpus) == 1 else "GPU"
            show = f"`holdfast market history {gpu} --held --since {first:%Y-%m-%d}` shows them"
            facts["held back"] = f"{words.count(recorded.held, 'point')} too far from the others; {show}"
        if recorded.confirmed:
            facts["confirmed"] = f"{words.count(recorded.confirmed, 'point')} that had been held back before"
    else:
        facts["written"] = "nothing"
    console.facts(facts)
    _tell_refused(reading)


def _tell_refused(reading: Reading) -> None:
    shown: Counter[str] = Counter()
    for each in reading.refused:
        shown[each.kind] += 1
        if shown[each.kind] <= SHOWN:
            console.say(f"line {each.line}: {each.kind}: {each.reason}")
    for kind, many in sorted(shown.items()):
        if many > SHOWN:
            more = "; --json lists all" if reading.points else ""
            console.say(f"{many - SHOWN} more: {kind}{more}")


@app.command("export")
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.csv", help="Where to; left out, to stdout.", show_default=False)
    ] = None,
    *,
    gpu: Annotated[str | None, typer.Option("--gpu", help="Only this one; H100 is every kind of H100.")] = None,
    provider: asking.Providers = None,
    kind: asking.Kind = None,
    regions: Annotated[bool, typer.Option("--regions", help="Also each region for itself.")] = False,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="From then on [default: all].")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write prices on record as CSV, in the columns that `market import` reads; `price` is the median.

    \b
    Examples:
      holdfast market export prices.csv
      holdfast market export --gpu "RTX 4090" --since 30d > rtx4090.csv
    """
    from holdfast.client.prices import require  # noqa: PLC0415 (not for `--help`)
    from holdfast.contracts.market import Basis  # noqa: PLC0415
    from holdfast.market.importing import written  # noqa: PLC0415

    begin = None if since is None else moment(since, "--since")
    wanted = asking.terms(kind)
    with console.working("reading prices"):
        points = with_holdfast(
            data_dir,
            lambda holdfast: holdfast.prices(
                gpu,
                providers=tuple(provider or ()),
                regions=() if regions else ("",),
                kind=wanted,
                basis=Basis.ASKED,
                since=begin,
            ),
        )
    rows = written(require(points, gpu or "anything"))
    if file is None:
        _write(sys.stdout, rows)
        return
    try:
        with file.open("w", newline="") as out:
            _write(out, rows)
    except OSError as err:
        raise UsageProblem(f"{file} cannot be written: {err}", remedy="give a file that can be") from err
    console.say(f"{words.count(len(points), 'point')} in {file}")


def _write(out: TextIO, rows: Iterable[list[str]]) -> None:
    csv.writer(out, lineterminator="\n").writerows(rows)
