"""`holdfast market history`: what a GPU cost, provider by provider."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.commands.market import app, asking
from holdfast.cli.errors import UsageProblem
from holdfast.cli.picture import require_drawable
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.market import Asking, MarketPoint
    from holdfast.market.histories import PriceHistory

_HEADERS = ("GPU", "PROVIDER", "REGION", "KIND", "LAST", "CHEAPEST", "LOW", "HIGH", "CHANGE", "MISSING", "PRICE")


@app.command("history")
def history(
    gpu: asking.Gpu,
    *,
    since: asking.Since = "7d",
    until: asking.Until = None,
    provider: asking.Providers = None,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", help="A region, or all; may be repeated [default: each provider as a whole]."),
    ] = None,
    kind: asking.Kind = None,
    paid: Annotated[
        bool, typer.Option("--paid", help="What was rented, as providers tell it, instead of what is on offer.")
    ] = False,
    held: Annotated[
        bool, typer.Option("--held", help="The points that are held back as too wild, instead of the others.")
    ] = False,
    plot: asking.Plot = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what a GPU cost: USD per GPU and hour, median of what was on offer, by provider and kind.

    The line is the price from the beginning of the time to its end; · is a gap, of which nobody knows the price. A
    price that did not move is called unchanged. MISSING is how much of the time between first and last point has none.

    Exit codes: 0 done; 2 a time, a kind or a file that cannot be used; 4 no price of such a GPU, or none in this time;
    8, 11 or 14 when Temporal, a worker or the records do not answer.

    \b
    Examples:
      holdfast market history "RTX 4090"
      holdfast market history H100 --since 30d --kind spot --plot h100.png
      holdfast market history "RTX 4090" --provider vast --region all --json
    """
    require_drawable(plot)
    begin, end = asking.stretch(since, until)
    wanted = asking.terms(kind)
    regions = () if region and "all" in region else tuple(region or ("",))

    async def ask(holdfast: Holdfast) -> tuple[tuple[MarketPoint, ...], tuple[Asking, ...], list[str]]:
        from holdfast.contracts.market import AskingsInput, Basis  # noqa: PLC0415 (not for `--help`)

        found = await holdfast.prices(
            gpu,
            providers=tuple(provider or ()),
            regions=regions,
            kind=wanted,
            basis=Basis.PAID if paid else Basis.ASKED,
            since=begin,
            until=end,
            held=held,
        )
        order = AskingsInput(providers=tuple(provider or ()), since=begin, unanswered=True)
        return found, await holdfast.askings(order), await asking.hidden(holdfast, (gpu,))

    with console.working("reading prices"):
        points, silent, hidden = with_holdfast(data_dir, ask)
    asking.tell_of_hidden(hidden)
    _show(points, silent, begin=begin, end=end, gpu=gpu, plot=plot, as_json=as_json)


def _show(
    points: tuple[MarketPoint, ...],
    silent: tuple[Asking, ...],
    *,
    begin: datetime,
    end: datetime,
    gpu: str,
    plot: Path | None,
    as_json: bool,
) -> None:
    from holdfast.client.prices import require  # noqa: PLC0415 (not for `--help`)
    from holdfast.market.histories import histories  # noqa: PLC0415

    require(points, f"{gpu} from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC for what was asked")
    found = histories(points, since=begin, until=end)
    if plot is not None:
        draw(plot, found, title=f"{gpu}: median price from {begin:%d %b %Y} to {end:%d %b %Y}")
    if as_json:
        console.print_json(found)
        return
    console.table(_HEADERS, [_row(each) for each in found], spare=("MISSING", "LOW", "HIGH", "CHEAPEST", "REGION"))
    console.answer(f"from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, USD per GPU and hour")
    tell_of_silence(silent)
    if plot is not None:
        console.say(f"drawn in {plot}")


def draw(plot: Path, found: list[PriceHistory], *, title: str) -> None:
    """Raises UsageProblem when the file cannot be written."""
    from holdfast.cli import price_plots  # noqa: PLC0415 (not for `--help`)

    try:
        price_plots.draw(plot, found, title=title)
    except OSError as err:
        raise UsageProblem(f"{plot} cannot be written: {err}", remedy="give a --plot file that can be") from err


def tell_of_silence(silent: tuple[Asking, ...]) -> None:
    """Why there are gaps, as far as that is known; the newest reason for each provider."""
    newest: dict[str, Asking] = {}
    count: dict[str, int] = {}
    for each in silent:
        newest.setdefault(each.provider, each)
        count[each.provider] = count.get(each.provider, 0) + 1
    for name, each in sorted(newest.items()):
        often = words.count(count[name], "survey")
        console.answer(f"{name} did not answer {often}, last at {each.at:%Y-%m-%d %H:%M} UTC: {each.detail}")


def _row(each: PriceHistory) -> tuple[str, ...]:
    return (
        each.gpu,
        each.provider,
        each.region or "all",
        asking.kind_word(each.kind),
        asking.price(each.last),
        asking.price(each.minimum),
        asking.price(each.low),
        asking.price(each.high),
        asking.change(each.change, unchanged=each.unchanged),
        asking.missing(each),
        asking.spark(each),
    )
