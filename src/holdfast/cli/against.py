"""How savings against references are shown: by name, by month, and each reference with what speaks against it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli import console, words
from holdfast.cli.errors import UsageProblem

if TYPE_CHECKING:
    from holdfast.contracts.references import CheckedReference
    from holdfast.contracts.savings import Against, Comparison

_HEADERS = ("NAME", "GPU", "USEFUL", "IN VAIN", "LOSSES", "WORK", "DISKS", "FAILED", "PAID", "REFERENCE", "SAVED", "%")
_MONTHS = ("MONTH", "GPU HOURS", "USEFUL", "MACHINES", "LOSSES", "PAID", "REFERENCE", "SAVED", "%")
_REFERENCES = ("", "REFERENCE", "GPU", "USD/GPU/H", "DATED", "REGION", "SAVED", "OF WHAT", "REMARKS")
_CSV = (
    "month",
    "name",
    "gpu",
    "gpus",
    "machines",
    "failed_starts",
    "losses",
    "ran",
    "work_lost",
    "recovering",
    "useful",
    "bytes_sent",
)
_PAID = ("work", "booting", "storage", "failed_starts", "egress")
_AFTER = ("paid_total", "of_which_wasted", "would_have_cost", "saved", "percent")
_OF_REFERENCE = ("provider", "gpu", "region", "hourly", "dated", "seen_until", "unit", "includes", "source")


def show(found: Against) -> None:
    """The months where they were asked for, else the names; then what they are shown against."""
    if found.months:
        console.table(_MONTHS, [_month(each) for each in (*found.months, found.total)], spare=("GPU HOURS", "MACHINES"))
    else:
        lines = [_line(each) for each in (*found.lines, found.total)]
        console.table(_HEADERS, lines, spare=("FAILED", "DISKS", "LOSSES", "WORK"))
    _explain(found)
    if found.references:
        console.answer("")
        show_references(found.references)


def show_references(references: Sequence[CheckedReference]) -> None:
    """Each on a line, the chosen one marked; what it is of and what speaks against it below the table."""
    rows = [_reference(each) for each in references]
    console.table(_REFERENCES, rows, spare=("OF WHAT", "REGION"))
    for each in references:
        if each.chosen:
            told = each.reference
            console.answer(f"* {told.provider} {told.gpu}: {told.unit}; {told.includes}; source: {told.source}")
    if any("CC BY 4.0" in each.reference.licence for each in references):
        console.answer("GPU rental price data by gpurentalprices.com, CC BY 4.0")


def write(file: Path, found: Against) -> None:
    """Every line, by month where there are months, with what it is shown against; amounts unrounded."""
    try:
        with file.open("w", newline="") as out:
            table = csv.writer(out)
            paid, told = (f"paid_{each}" for each in _PAID), (f"reference_{each}" for each in _OF_REFERENCE)
            table.writerow([*_CSV, *paid, *_AFTER, *told, "remarks"])
            table.writerows(_csv_row(row) for row in found.rows or found.lines)
    except OSError as err:
        raise UsageProblem(f"{file} cannot be written: {err}", remedy="give a --csv file that can be") from err


def _csv_row(row: Comparison) -> list[object]:
    told = row.reference
    return [
        *(console.plain(getattr(row, each)) for each in _CSV),
        *(console.plain(getattr(row.paid, each)) for each in _PAID),
        *(console.plain(getattr(row, each)) for each in _AFTER),
        *("" if told is None else console.plain(getattr(told, each)) for each in _OF_REFERENCE),
        "; ".join(row.remarks),
    ]


def _explain(found: Against) -> None:
    egress = f", ${found.egress_per_gb}/GB" if found.egress_per_gb else ", for which no price was given"
    console.answer(
        f"saved = reference for the useful hours − all that was paid; {words.size(found.total.bytes_sent)} sent to the "
        f"store{egress}"
    )
    without = [each for each in found.lines if each.would_have_cost is None]
    if without:
        gpus = ", ".join(sorted({each.gpu for each in without}))
        paid = words.money(sum((each.paid.total for each in without), Decimal(0)))
        console.answer(
            f"not counted: {paid} paid for {gpus}, for which no reference is known; --reference-file adds one"
        )


def _line(each: Comparison) -> tuple[str, ...]:
    paid = each.paid
    return (
        each.name,
        f"{each.gpus}x {each.gpu}" if each.gpu else "",
        words.duration(each.useful),
        words.duration(each.ran - each.useful),
        str(each.losses),
        words.money(paid.work + paid.booting),
        words.money(paid.storage),
        words.money(paid.failed_starts),
        words.money(each.paid_total),
        words.money(each.would_have_cost),
        words.money(each.saved),
        percent(each.percent),
    )


def _month(each: Comparison) -> tuple[str, ...]:
    return (
        each.month or "total",
        words.duration(each.ran),
        words.duration(each.useful),
        str(each.machines),
        str(each.losses),
        words.money(each.paid_total),
        words.money(each.would_have_cost),
        words.money(each.saved),
        percent(each.percent),
    )


def _reference(each: CheckedReference) -> tuple[str, ...]:
    told = each.reference
    return (
        "*" if each.chosen else "",
        told.provider,
        told.gpu,
        f"${told.hourly.normalize():f}",
        told.dated.isoformat() if told.dated == told.seen_until else f"{told.dated} to {told.seen_until}",
        told.region or "not said",
        percent(each.percent),
        told.unit,
        "; ".join(each.flags) or "—",
    )


def percent(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f}%"
