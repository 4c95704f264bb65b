"""`holdfast savings`: what sleeping saved, against the same machines always awake."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import against as shown_against
from holdfast.cli import console, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.moments import moment
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from holdfast.contracts.references import Reference
    from holdfast.contracts.savings import Savings, SavingsLine, Stretch

_HEADERS = ("NAME", "AWAKE", "STOPPED", "LET GO", "PAID", "ASLEEP", "ALWAYS AWAKE", "SAVED", "%")
_ROW_HEADERS = ("NAME", "FROM", "UNTIL", "MODE", "RATE", "ALWAYS AWAKE", "PAID", "SAVED", "SOURCE")
_COLUMNS = (
    "name",
    "workload",
    "since",
    "until",
    "mode",
    "hourly",
    "reference_hourly",
    "paid",
    "reference",
    "saved",
    "label",
    "meter",
    "uncounted",
)


def savings(
    *,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="An endpoint or a workload; left out, all.", show_default=False),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on, such as 2026-01-31 or 7d (ago).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Up to then [default: now]; UTC without a zone.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="List the stretches that the sums are made of.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="WHOM",
            help="All that was paid, against list prices: cheapest, a provider such as aws, or aws:us-east-1.",
        ),
    ] = None,
    monthly: Annotated[
        bool, typer.Option("--monthly", help="Against list prices, by month; the cheapest unless --against says whose.")
    ] = False,
    egress: Annotated[
        str, typer.Option("--egress-per-gb", metavar="USD", help="For what was sent to the store, with --against.")
    ] = "0",
    reference_file: Annotated[
        Path | None, typer.Option("--reference-file", metavar="FILE", help="More list prices, in CSV.")
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write the stretches, or the comparison, there; amounts unrounded."),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what sleeping saved, or with --against what renting here saved: by workload or endpoint, and in all.

    It is shown against always being awake: each moment asleep at the price, as last charged while it ran, of the
    machine that was slept from. PAID is all that was paid, ASLEEP the part of it that was paid for disks of stopped
    machines. A stretch whose price is not known is listed, and counted nowhere. docs/money.md has the arithmetic.

    With --against all that was paid, for disks, starts that failed and work that was done twice too, stands beside what
    the useful hours would have cost at a list price; each price with its source, its date and what speaks against it.

    Exit codes: 0 done, also when nothing slept; 2 a time, a price or a file that cannot be used; 4 no such NAME ever
    had a machine, or no such list price is known; 8, 11 or 14 when Temporal, a worker or the records do not answer.

    \b
    Examples:
      holdfast savings
      holdfast savings chat --since 30d
      holdfast savings --since 2026-01-01 --until 2026-02-01 --csv january.csv
      holdfast savings --monthly --since 2026-01-01 --csv for-my-boss.csv
      holdfast savings train --against aws --egress-per-gb 0.09
      holdfast savings --rows --json | jq '.rows[] | select(.mode == "let_go")'
    """
    from holdfast.contracts.savings import SavingsOrder  # noqa: PLC0415 (not for `--help`)

    whom = (against or "").strip().lower() or ("cheapest" if monthly else "")
    order = SavingsOrder(
        since=None if since is None else moment(since, "--since"),
        until=None if until is None else moment(until, "--until"),
        name=name,
        rows=rows or (csv_file is not None and not whom),
        against=whom,
        monthly=monthly,
        egress_per_gb=_price(egress),
        references=_references(reference_file),
    )
    with console.working("adding up"):
        found = with_holdfast(data_dir, lambda holdfast: holdfast.savings(order))
    if csv_file is not None:
        if found.against is not None:
            shown_against.write(csv_file, found.against)
        else:
            _write(csv_file, found.rows)
    if as_json:
        console.print_json(found)
        return
    if found.against is not None:
        shown_against.show(found.against)
        return
    if rows:
        console.table(_ROW_HEADERS, [_row(each) for each in found.rows], spare=("RATE", "SOURCE", "PAID"))
        console.answer("")
    console.table(_HEADERS, [_line(each) for each in (*found.lines, found.total)], spare=("PAID", "ASLEEP"))
    _end(found)


def _price(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found < 0:
        raise UsageProblem(f"--egress-per-gb {text!r} is no price", remedy="give USD per GB, such as 0.09")
    return found


def _references(file: Path | None) -> tuple[Reference, ...]:
    from holdfast.market.references import BadReferences, read  # noqa: PLC0415 (not for `--help`)

    try:
        return () if file is None else read(file)
    except BadReferences as err:
        raise UsageProblem(str(err), remedy="docs/money.md has the columns") from err


def _line(line: SavingsLine) -> tuple[str, ...]:
    return (
        line.name,
        words.duration(line.awake),
        words.duration(line.stopped),
        words.duration(line.let_go),
        words.money(line.paid),
        words.money(line.paid_asleep),
        words.money(line.reference),
        words.money(line.saved),
        _percent(line.percent),
    )


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f}%"


def _row(row: Stretch) -> tuple[str, ...]:
    source = f"{row.label}, row {row.meter} of its meter" if row.meter else f"{row.label}, let go"
    return (
        row.workload,
        words.clock(row.since),
        words.clock(row.until),
        row.mode.value.replace("_", " "),
        words.rate(row.hourly),
        words.rate(row.reference_hourly),
        words.money(row.paid),
        f"not counted: {row.uncounted}" if row.uncounted else words.money(row.saved),
        source,
    )


def _end(found: Savings) -> None:
    console.answer(f"against {found.basis}")
    if found.total.uncounted:
        time, paid = words.duration(found.total.uncounted), words.money(found.total.paid_uncounted)
        console.answer(f"not counted: {time}, for which {paid} was paid; --rows says why")


def _write(file: Path, rows: Iterable[Stretch]) -> None:
    try:
        with file.open("w", newline="") as out:
            table = csv.writer(out)
            table.writerow(_COLUMNS)
            table.writerows([console.plain(getattr(row, each)) for each in _COLUMNS] for row in rows)
    except OSError as err:
        raise UsageProblem(f"{file} cannot be written: {err}", remedy="give a --csv file that can be") from err
