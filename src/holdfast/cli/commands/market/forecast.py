"""`holdfast market forecast`: what a GPU will cost, how sure that is, and who says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console
from holdfast.cli.commands.market import app, choosing, kept
from holdfast.cli.errors import UsageProblem
from holdfast.cli.picture import require_drawable
from holdfast.cli.session import DataDir, Json

if TYPE_CHECKING:
    from holdfast.market.forecast import LeadSkill, PriceForecast
    from holdfast.market.series import Series

_SHOWN = (1, 6, 24, 72, 168)
_HEADERS = ("AHEAD", "AT (UTC)", "PRICE", "80 % BETWEEN", "95 % BETWEEN", "IN CHARGE", "SKILL", "JUDGED ON")


@app.command("forecast")
def forecast(
    gpu: choosing.Gpu,
    *,
    source: choosing.From = None,
    hours: Annotated[int, typer.Option(min=1, max=168, help="So many hours ahead.")] = 168,
    provider: choosing.Provider = None,
    region: choosing.Region = None,
    kind: choosing.Kind = None,
    measure: choosing.Measure = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Show the forecast that was made after the last survey, not a new one.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it there as well: a name in .png or .svg.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Forecast a price from the end of its history, with ranges that hold, and say whether there is any skill in it.

    IN CHARGE is the model that led on this series' own past; the last price leads unless another beats it by 3 %.
    SKILL is how much smaller the forecasts' own past error was than the last price's. Not enough data and no skill are
    answers too, not errors. After each survey every series is forecast; --recorded shows those, on which placement
    stands.

    Exit codes: 0 answered; 2 a file cannot be read or drawn; 4 no price of such a GPU.

    \b
    Examples:
      holdfast market forecast H100
      holdfast market forecast H100 --recorded
      holdfast market forecast H100 --from vast.csv.gz
      holdfast market forecast H100 --from vast.csv.gz --measure median --hours 48 --plot h100.png
      holdfast market forecast "RTX 4090" --from prices.csv --provider vast --json
    """
    require_drawable(plot)
    if recorded:
        if source is not None or plot is not None or region is not None or measure not in (None, "min"):
            what = "--recorded shows the forecast of a provider's cheapest offers as it was made"
            raise UsageProblem(what, remedy="leave out --from, --plot, --region and --measure")
        kept.show(gpu, provider=provider, kind=kind, as_json=as_json, data_dir=data_dir)
        return
    series, rest = choosing.choose(
        choosing.histories(source, gpu, data_dir, measure=measure),
        gpu,
        provider=provider,
        region=region,
        kind=kind,
        measure=measure,
    )
    from holdfast.market.forecast import forecast as look_ahead  # noqa: PLC0415 (numpy; not for `--help`)

    found = look_ahead(series, hours=hours)
    if plot is not None:
        _draw(plot, series, found)
    if as_json:
        console.print_json(found)
        return
    _print(found)
    if old := choosing.age(series, source):
        console.say(old)
    if also := choosing.others(rest):
        console.say(also)


def _draw(plot: Path, series: Series, found: PriceForecast) -> None:
    from holdfast.cli import forecast_plots  # noqa: PLC0415 (not for `--help`)

    try:
        forecast_plots.draw(plot, series, found)
    except OSError as err:
        raise UsageProblem(f"{plot} cannot be written: {err}", remedy="give a --plot file that can be") from err


def _print(found: PriceForecast) -> None:
    console.answer(f"{found.key}: {found.answer.value}")
    console.answer(found.why)
    if found.last is not None:
        console.answer(f"last price ${found.last:.4f}/h, known until {found.at:%Y-%m-%d %H:%M} UTC")
    if found.drift:
        console.answer(f"drift: {found.drift}; trust the ranges less than usual")
    if found.hours:
        console.answer("")
        ahead = sorted({each for each in (*_SHOWN, *best_lead(found)) if each < len(found.hours)} | {len(found.hours)})
        console.table(_HEADERS, [_row(found, each) for each in ahead], spare=("JUDGED ON", "95 % BETWEEN"))


def best_lead(found: PriceForecast) -> tuple[int, ...]:
    """The lead that `why` speaks of."""
    from holdfast.market.forecast import best_of  # noqa: PLC0415 (numpy; not for `--help`)

    led = [each for each in found.skills if each.gain > 0]
    return (best_of(led).lead,) if led else ()


def _row(found: PriceForecast, ahead: int) -> tuple[str, ...]:
    hour = found.hours[ahead - 1]
    skill = min(found.skills, key=lambda each: abs(each.lead - ahead))
    return (
        f"{ahead} h",
        f"{hour.at:%a %d %b %H:%M}",
        f"${hour.price:.4f}",
        f"${hour.low80:.4f} and ${hour.high80:.4f}",
        f"${hour.low95:.4f} and ${hour.high95:.4f}",
        skill.model,
        _skill(skill),
        f"{skill.judged} hours",
    )


def _skill(skill: LeadSkill) -> str:
    return "—" if skill.skill is None else f"{skill.skill:+.0%}"
