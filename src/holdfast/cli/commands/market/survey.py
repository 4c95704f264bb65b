"""`holdfast market survey`: ask every provider for prices now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console
from holdfast.cli.commands.market import app, asking
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.client.holdfast import Holdfast
    from holdfast.contracts.market import SurveyLine, SurveyResult


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
    wanted = tuple(gpu or ())

    async def ask(holdfast: Holdfast) -> tuple[SurveyResult, tuple[str, ...]]:
        found = await holdfast.survey_prices(providers=tuple(provider or ()), gpus=wanted)
        return found, await holdfast.priced_gpus() if wanted else ()

    with console.working("asking the providers"):
        done, known = with_holdfast(data_dir, ask)
    if nobodys := unoffered(wanted, done.lines, known):
        names = " or ".join(nobodys)
        console.say(f"nobody who answered offers {names}; `holdfast market ls` lists the GPUs on record")
    if as_json:
        console.print_json(done)
        return
    headers = ("PROVIDER", "ANSWERED", "OFFERS", "NEW", "CHANGED", "HELD", "DETAIL")
    console.table(headers, [_row(each) for each in done.lines], spare=("CHANGED", "HELD"))
    console.answer(f"prices of {done.at:%Y-%m-%d %H:%M} UTC")
    if done.refits is not None and done.refits.due:
        console.answer(f"forecast anew: {done.refits.fitted} of {done.refits.due}, {done.refits.skilled} with skill")
        if done.refits.detail:
            console.say(done.refits.detail)


def unoffered(gpus: Sequence[str], lines: Sequence[SurveyLine], known: Sequence[str]) -> list[str]:
    """Those that nobody offers: there is no offer at all, or not even now a price of such a name on record."""
    from holdfast.policy import gpu_names  # noqa: PLC0415 (not for `--help`)

    if any(each.answered for each in lines) and not any(each.offers for each in lines):
        return list(gpus)
    told = {each for each in gpus for name in known if gpu_names.same(name, each)}
    return [each for each in gpus if each not in told and any(line.answered for line in lines)]


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
