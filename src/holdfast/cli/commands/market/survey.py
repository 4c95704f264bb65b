"""`holdfast market survey`: ask every provider for prices now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console
from holdfast.cli.commands.market import app, asking
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from holdfast.contracts.market import SurveyLine


@app.command("survey")
def survey(
    *,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            "--gpu", help="Only this one; may be repeated [default: HOLDFAST_MARKET__GPUS].", show_default=False
        ),
    ] = None,
    provider: asking.Providers = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Ask the providers now what their GPUs cost, and write it down, as the schedule does every hour.

    Two surveys of one hour give one point: the newer. A provider that does not answer leaves a gap, with the reason.
    Where a search shows only some of the offers, every GPU takes two searches, at half of the provider's own pace: at
    Vast.ai all of them take up to ten minutes.

    \b
    Examples:
      holdfast market survey
      holdfast market survey --gpu "RTX 4090" --provider vast --json
    """
    with console.working("asking the providers"):
        done = with_holdfast(
            data_dir, lambda holdfast: holdfast.survey_prices(providers=tuple(provider or ()), gpus=tuple(gpu or ()))
        )
    if as_json:
        console.print_json(done)
        return
    headers = ("PROVIDER", "ANSWERED", "OFFERS", "NEW", "CHANGED", "HELD", "DETAIL")
    console.table(headers, [_row(each) for each in done.lines], spare=("CHANGED", "HELD"))
    console.answer(f"prices of {done.at:%Y-%m-%d %H:%M} UTC")


def _row(each: SurveyLine) -> tuple[str, ...]:
    feed = "" if each.feed is None else f"its own history: {each.feed.new} points"
    return (
        each.provider,
        "yes" if each.answered else "no: a gap",
        str(each.offers),
        str(each.recorded.new),
        str(each.recorded.changed),
        str(each.recorded.held),
        "; ".join(part for part in (each.detail, feed) if part) or "—",
    )
