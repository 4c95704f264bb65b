"""`holdfast market compare`: who is cheapest, now and lately."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.commands.market import app, asking
from holdfast.cli.commands.market.history import draw
from holdfast.cli.picture import require_drawable
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from decimal import Decimal

    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.market import MarketPoint
    from holdfast.market.histories import PriceHistory

_HEADERS = ("GPU", "PROVIDER", "KIND", "LAST", "ABOVE", "CHEAPEST", "OFFERS", "LOW", "HIGH", "AS OF", "PRICE")
_OLD = timedelta(hours=6)


@app.command("compare")
def compare(
    gpu: Annotated[list[str], typer.Argument(metavar="GPU...", help="One or more, such as H100 'A100 SXM4'.")],
    *,
    since: asking.Since = "7d",
    until: asking.Until = None,
    provider: asking.Providers = None,
    kind: asking.Kind = None,
    plot: asking.Plot = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Compare providers, and GPUs: the cheapest first by the median of the last offers, USD per GPU and hour.

    ABOVE is how much dearer than the first line. AS OF says from when a price is that is not of the last hours.

    \b
    Examples:
      holdfast market compare H100
      holdfast market compare "RTX 4090" "RTX 5090" --kind spot --plot compared.svg
      holdfast market compare H100 --json
    """
    from holdfast.client.prices import require  # noqa: PLC0415 (not for `--help`)
    from holdfast.contracts.market import Basis  # noqa: PLC0415
    from holdfast.market.histories import histories  # noqa: PLC0415

    require_drawable(plot)
    begin, end = asking.stretch(since, until)
    wanted = asking.terms(kind)

    async def ask(holdfast: Holdfast) -> tuple[list[MarketPoint], list[str]]:
        found: list[MarketPoint] = []
        for each in gpu:
            found += await holdfast.prices(
                each,
                providers=tuple(provider or ()),
                regions=("",),
                kind=wanted,
                basis=Basis.ASKED,
                since=begin,
                until=end,
            )
        return found, await asking.hidden(holdfast, gpu)

    with console.working("reading prices"):
        points, hidden = with_holdfast(data_dir, ask)
    asking.tell_of_hidden(hidden)
    require(points, f"{', '.join(gpu)} from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    found = sorted(histories(points, since=begin, until=end), key=lambda each: (each.last, each.provider))
    if plot is not None:
        draw(plot, found, title=f"{', '.join(gpu)}: median prices from {begin:%d %b %Y} to {end:%d %b %Y}")
    if as_json:
        console.print_json(found)
        return
    least = found[0].last
    console.table(_HEADERS, [_row(each, least) for each in found], spare=("LOW", "HIGH", "OFFERS", "CHEAPEST"))
    console.answer(f"from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, USD per GPU and hour")
    if plot is not None:
        console.say(f"drawn in {plot}")


def _row(each: PriceHistory, least: Decimal) -> tuple[str, ...]:
    above = each.last / least - 1
    age = datetime.now(UTC) - each.last_at  # not at --until
    return (
        each.gpu,
        each.provider,
        asking.kind_word(each.kind),
        asking.price(each.last),
        "—" if above == 0 else f"{above:+.0%}",
        asking.price(each.minimum),
        "—" if each.offers is None else str(each.offers),
        asking.price(each.low),
        asking.price(each.high),
        "now" if age < _OLD else f"{words.duration(age)} ago",
        asking.spark(each),
    )
