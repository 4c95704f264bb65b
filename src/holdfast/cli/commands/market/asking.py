"""What the commands on prices have in common: options, stretches of time, and words for series."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, sparks, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.moments import moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.machines import Terms
    from holdfast.market.histories import PriceHistory

SPARK_WIDTH = 32
_NAMED = 12

Gpu = Annotated[str, typer.Argument(metavar="GPU", help="Such as 'RTX 4090'; H100 is every kind of H100.")]
Since = Annotated[
    str, typer.Option("--since", metavar="TIME", help="From then on, such as 2026-01-31, or how long ago: 24h, 30d.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Up to then [default: now]; UTC without a zone.")
]
Providers = Annotated[
    list[str] | None, typer.Option("--provider", help="Only this one; may be repeated.", show_default=False)
]
Kind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="on_demand or spot [default: both].")]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw it there as well: a name in .png or .svg.")
]


def stretch(since: str, until: str | None) -> tuple[datetime, datetime]:
    """Raises UsageProblem for what is no time, and for an end before the beginning."""
    begin = moment(since, "--since")
    end = datetime.now(UTC) if until is None else moment(until, "--until")
    if begin >= end:
        raise UsageProblem(
            f"no time lies between {begin:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC",
            remedy="begin earlier, or end later",
        )
    return begin, end


def terms(kind: str | None) -> Terms | None:
    """Raises UsageProblem for another word."""
    from holdfast.market.shapes import KIND_WORDS  # noqa: PLC0415 (not for `--help`)

    if kind is None:
        return None
    found = KIND_WORDS.get(kind.strip().lower())
    if found is None:
        raise UsageProblem(f"--kind {kind!r} is neither", remedy="say on_demand or spot")
    return found


async def hidden(holdfast: Holdfast, gpus: Sequence[str]) -> list[str]:
    """Names on record that begin with one of these and are not shown with it: it is such a name itself."""
    from holdfast.client.prices import longer, meant  # noqa: PLC0415 (not for `--help`)

    known = await holdfast.priced_gpus()
    found = {name for each in gpus for name in longer(each, known)}
    shown = {name for each in gpus for name in meant(each, known)}
    return sorted(found - shown)


def tell_of_hidden(gpus: Sequence[str]) -> None:
    if gpus:
        more = f", and {len(gpus) - _NAMED} more" if len(gpus) > _NAMED else ""
        console.say(f"also on record: {', '.join(gpus[:_NAMED])}{more}")


def kind_word(kind: Terms) -> str:
    return "on demand" if kind.value == "on_demand" else "spot"


def price(value: Decimal | None) -> str:
    """US dollars per hour and GPU, to a tenth of a cent."""
    return "—" if value is None else f"${value:.3f}"


def change(value: float | None, *, unchanged: bool) -> str:
    if value is None:
        return "one point"
    if unchanged:
        return "unchanged"
    return f"{value:+.1%}"


def missing(history: PriceHistory) -> str:
    """How much of the time between first and last point has none."""
    if not history.missing:
        return "none"
    return f"{words.duration(history.missing)} ({history.missing_share:.0%})"


def spark(history: PriceHistory) -> str:
    """The stretch from its beginning; before its first point there is nothing, not a gap."""
    from holdfast.market.histories import columns  # noqa: PLC0415 (not for `--help`)

    parts = columns(history.points, since=history.since, until=history.until, many=SPARK_WIDTH)
    begun = sum(1 for _, has in parts if not has)
    return " " * begun + sparks.spark([value for value, has in parts if has])
