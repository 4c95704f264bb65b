"""`holdfast market movers`: which prices moved most."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from holdfast.cli import console, words
from holdfast.cli.commands.market import app, asking
from holdfast.cli.moments import moment
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from holdfast.contracts.market import MarketPoint
    from holdfast.market.histories import PriceMove


@app.command("movers")
def movers(
    *,
    over: Annotated[str, typer.Option("--over", metavar="TIME", help="In how long, such as 24h or 7d.")] = "24h",
    provider: asking.Providers = None,
    kind: asking.Kind = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Also what did not move.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show whose prices moved most, up or down, between two moments: the median of each provider's offers.

    What did not move is counted, and listed with --all. A series of which either moment is not known is left out.

    Exit codes: 0 answered; 2 a time or kind that is none; 4 no price is known at both moments.

    \b
    Examples:
      holdfast market movers
      holdfast market movers --over 7d --kind spot
      holdfast market movers --all --json
    """
    from holdfast.contracts.market import Basis  # noqa: PLC0415 (not for `--help`)
    from holdfast.market.histories import moves  # noqa: PLC0415

    now = datetime.now(UTC)
    length = now - moment(over, "--over")
    wanted = asking.terms(kind)
    with console.working("reading prices"):
        points: tuple[MarketPoint, ...] = with_holdfast(
            data_dir,
            lambda holdfast: holdfast.prices(
                providers=tuple(provider or ()),
                regions=("",),
                kind=wanted,
                basis=Basis.ASKED,
                since=now - 2 * length,
            ),
        )
    found = moves(points, over=length, now=now)
    if not found:
        _refuse(words.duration(length))
    moved = [each for each in found if everything or not each.unchanged]
    if as_json:
        console.print_json(moved[:limit])
        return
    if moved:
        headers = ("GPU", "PROVIDER", "KIND", "WAS", "IS", "CHANGE")
        console.table(headers, [_row(each) for each in moved[:limit]])
    _end(found, len(moved) - limit, length=words.duration(length))


def _refuse(length: str) -> NoReturn:
    from holdfast.client.errors import NoPrices  # noqa: PLC0415 (not for `--help`)

    raise NoPrices(
        f"no price is known both now and {length} ago",
        remedy="`holdfast market ls` tells from when to when there are prices; --over asks for another time",
    )


def _end(found: list[PriceMove], more: int, *, length: str) -> None:
    still = sum(1 for each in found if each.unchanged)
    console.answer(f"in {length}: {still} of {len(found)} series unchanged")
    if more > 0:
        console.say(f"{more} more; --limit shows them")


def _row(each: PriceMove) -> tuple[str, ...]:
    return (
        each.gpu,
        each.provider,
        asking.kind_word(each.kind),
        asking.price(each.was),
        asking.price(each.now),
        asking.change(each.change, unchanged=each.unchanged),
    )
