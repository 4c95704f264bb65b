"""`holdfast market forecast --recorded`: what was forecast after the last survey, and what placement makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli import console, words
from holdfast.cli.commands.market import asking
from holdfast.cli.session import with_holdfast

if TYPE_CHECKING:
    from holdfast.contracts.forecasts import LeadForecast, RecordedForecast

_SHOWN = (1, 6, 24, 72, 168)
_HEADERS = ("AHEAD", "PRICE", "80 % BETWEEN", "95 % BETWEEN", "IN CHARGE", "SKILL")


def show(gpu: str, *, provider: str | None, kind: str | None, as_json: bool, data_dir: Path | None) -> None:
    """All that fit, one after the other. Raises NoPrices where there is none."""
    from holdfast.client.errors import NoPrices  # noqa: PLC0415 (not for `--help`)
    from holdfast.market.shapes import provider_name  # noqa: PLC0415

    wanted, at = asking.terms(kind), None if provider is None else provider_name(provider)
    found = [
        each
        for each in with_holdfast(data_dir, lambda holdfast: holdfast.forecasts(gpu))
        if wanted in (None, each.key.kind) and at in (None, each.key.provider)
    ]
    if not found:
        raise NoPrices(
            f"no forecast of {gpu} is on record",
            remedy="one is made after a survey, by an analysis worker, of a price of 24 hours or more; "
            f"`holdfast market forecast '{gpu}'` makes one now",
        )
    if as_json:
        console.print_json(found)
        return
    for number, each in enumerate(found):
        if number:
            console.answer("")
        _print(each)


def _print(found: RecordedForecast) -> None:
    key = found.key
    console.answer(f"{key.gpu} {key.provider} {asking.kind_word(key.kind)}: {found.answer.value}")
    console.answer(found.why)
    last = "no price" if found.last is None else f"last price ${found.last:.4f}/h"
    until, made = f"{found.known_until:%Y-%m-%d %H:%M} UTC", words.age(found.made_at)
    console.answer(f"{last}, known until {until}; made {made}")
    if found.alarm:
        console.answer(f"drift: {found.alarm}; trust the ranges less than usual")
    console.answer(f"placement expects {_expected(found)} over a usual stay")
    if found.leads:
        console.answer("")
        console.table(_HEADERS, [_row(each) for each in found.leads if each.lead in _SHOWN], spare=("95 % BETWEEN",))


def _expected(found: RecordedForecast) -> str:
    from holdfast.policy.price_ahead import expected_change  # noqa: PLC0415 (not for `--help`)

    change = expected_change(found)
    return f"{change:+.1%}" if change else "no change"


def _row(each: LeadForecast) -> tuple[str, ...]:
    return (
        f"{each.lead} h",
        f"${each.price:.4f}",
        f"${each.low80:.4f} and ${each.high80:.4f}",
        f"${each.low95:.4f} and ${each.high95:.4f}",
        each.model,
        "—" if each.skill is None else f"{each.skill:+.0%}",
    )
