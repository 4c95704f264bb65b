"""`holdfast market when`: start now, or wait for a better price."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.commands.market import app, choosing
from holdfast.cli.errors import UsageProblem
from holdfast.cli.moments import moment
from holdfast.cli.session import DataDir, Json

if TYPE_CHECKING:
    from holdfast.market.start import StartAdvice


_DEADLINES = "write 2026-01-31T12:00, UTC without a zone, or how long from the last price on: 36h, 3d"


@app.command("when")
def when(
    gpu: choosing.Gpu,
    *,
    hours: Annotated[float, typer.Option(min=0.01, max=10_000, help="How long the work takes.")],
    deadline: Annotated[
        str, typer.Option(metavar="TIME", help="When it must be done: a moment, or from the last price on, 3d.")
    ],
    source: choosing.From = None,
    provider: choosing.Provider = None,
    region: choosing.Region = None,
    kind: choosing.Kind = None,
    measure: choosing.Measure = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say whether to start work now, or to watch the price until it is low enough.

    Ask again each hour, with the newest prices. The advice is to wait only where that promises 3 % or more, and only
    where paying more in the end is unlikely; at the reserve price or below, start. The stated chance of paying more is
    that of the whole watch: docs/market.md tells how true it is.

    Exit codes: 0 answered; 2 a deadline that cannot be met, or a file that cannot be read; 4 no price of such a GPU.

    \b
    Examples:
      holdfast market when H100 --hours 12 --deadline 36h
      holdfast market when H100 --hours 12 --deadline 36h --from vast.csv.gz
      holdfast market when H100 --hours 12 --deadline 2026-04-18T06:00 --from vast.csv.gz --json
    """
    series, rest = choosing.choose(
        choosing.histories(source, gpu, data_dir, measure=measure),
        gpu,
        provider=provider,
        region=region,
        kind=kind,
        measure=measure,
    )
    from holdfast.market.start import advise, priced  # noqa: PLC0415 (numpy; not for `--help`)

    slack = moment(deadline, "--deadline", after=series.last, remedy=_DEADLINES) - series.last - timedelta(hours=hours)
    if slack < timedelta():
        why = f"{hours:g} hours of work are not done by then: {words.duration(-slack)} are missing"
        raise UsageProblem(why, remedy="give a later --deadline")
    advice = None if choosing.age(series, source) else advise(series, within=slack // timedelta(hours=1))
    if as_json:
        console.print_json(priced(advice, hours))
        return
    if advice is None:
        console.answer(f"{series.key}: not enough data; start now")
    else:
        _print(advice, hours)
    if old := choosing.age(series, source):
        console.say(old)
    if also := choosing.others(rest):
        console.say(also)


def _print(advice: StartAdvice, hours: float) -> None:
    console.answer(f"{advice.key}: {'wait' if advice.wait else 'start now'}: {advice.why}")
    facts = {
        "price now": f"${advice.now:.4f}/h, ${advice.now * hours:.2f} for the work (at {advice.at:%d %b %H:%M} UTC)"
    }
    if advice.wait:
        facts |= {
            "reserve price": f"${advice.reserve:.4f}/h: start at this or below in the next hour, ask again above it",
            "watch until": f"{advice.until:%Y-%m-%d %H:%M} UTC at the latest",
            "expected": f"${advice.expected:.4f}/h, ${advice.expected * hours:.2f} for the work",
            "80 % between": f"${advice.low:.4f} and ${advice.high:.4f}",
            "paying more": f"a chance of {advice.chance:.0%}",
        }
    console.facts(facts)
