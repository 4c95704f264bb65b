"""`holdfast market risk`: how likely interruptible machines are to be taken back."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.commands.market import app
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from holdfast.contracts.memory import PlaceRisk
    from holdfast.market.risk import ZoneRisk

_CHANCES = ("1 H", "6 H", "24 H")


@app.command("risk")
def risk(
    *,
    provider: Annotated[str | None, typer.Option("--provider", help="Only regions of this one.")] = None,
    trace: Annotated[
        list[Path] | None,
        typer.Option("--trace", metavar="PATH", help="A trace, or a folder of traces; may be given again."),
    ] = None,
    machines: Annotated[int, typer.Option(min=1, help="With --trace: how many machines are needed at once.")] = 1,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="With --trace: so long after its start, not at its end.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show the chance that an interruptible machine is taken back within 1, 6 and 24 hours.

    By region and GPU, from what became of the machines that were rented there in the last two weeks; with --trace by
    zone, from a record of when machines could be had, the safest first. How it is computed, and how right:
    docs/market.md.

    \b
    Examples:
      holdfast market risk
      holdfast market risk --trace examples/traces --machines 24
      holdfast market risk --trace my-zone.json.gz --at 10d --json
    """
    if trace:
        zones = _of_traces(trace, machines, at)
        console.print_json(zones) if as_json else _print_zones(zones)
        return
    if at is not None or machines != 1:
        raise UsageProblem("--at and --machines belong to a trace", remedy="give --trace as well")
    from holdfast.client import places  # noqa: PLC0415 (not for --help)

    known = with_holdfast(data_dir, lambda holdfast: places.risks(holdfast.temporal))
    found = [each for each in known if provider in (None, each.provider)]
    if as_json:
        console.print_json(found)
    elif known and not found:
        there = ", ".join(sorted({each.provider for each in known}))
        console.say(f"no interruptible machine was rented at {provider} in the last two weeks; there were at {there}")
    else:
        show_places(found)


def _of_traces(paths: Sequence[Path], machines: int, at: str | None) -> "list[ZoneRisk]":
    from holdfast.contracts.written import parse_duration  # noqa: PLC0415 (not for --help)
    from holdfast.market.risk import History, TooLittle, stands  # noqa: PLC0415
    from holdfast.simcloud.studies.traces import TraceUnreadable, find, read  # noqa: PLC0415

    try:
        until = None if at is None else parse_duration(at)
    except ValueError as err:
        raise UsageProblem(f"--at: {err}") from err
    found = []
    try:
        for each in map(read, find(paths)):
            tick = timedelta(seconds=each.tick)
            kept = len(each.counts) if not isinstance(until, timedelta) else int(until / tick)
            if kept > len(each.counts):
                length = words.duration(len(each.counts) * tick)
                raise UsageProblem(
                    f"--at {at} is beyond the end of {each.zone}: it has {length}", remedy="ask for less"
                )
            up = [count >= machines for count in each.counts[:kept]]
            found.append(stands(History(zone=each.zone, tick=tick, up=up)))
    except (TraceUnreadable, TooLittle) as err:
        raise UsageProblem(str(err), remedy=err.remedy) from err
    return sorted(found, key=lambda each: (not each.up, each.six_hours or 0.0, each.zone))


def _print_zones(zones: "Sequence[ZoneRisk]") -> None:
    headers = ("ZONE", "NOW", "FOR", *_CHANCES, "LOSSES IN 7 D", "RELIABLE")
    rows = [
        (
            each.zone,
            "up" if each.up else "down",
            words.duration(each.age),
            *_shares(each.hour, each.six_hours, each.day),
            str(each.losses),
            f"{each.reliability:.0%}",
        )
        for each in zones
    ]
    console.table(headers, rows, spare=("LOSSES IN 7 D", "RELIABLE"))


def show_places(places: "Sequence[PlaceRisk]") -> None:
    """What is known of the regions that we rented in."""
    if not places:
        console.say("no interruptible machine was rented in the last two weeks: nothing is known of any region")
        return
    headers = ("PROVIDER", "REGION", "GPU", "LAST LOSS", *_CHANCES, "LOSSES IN 7 D", "WATCHED")
    rows = [
        (
            each.provider,
            each.region or "not told",
            each.gpu or "any",
            "none" if each.lost_at is None else words.age(each.lost_at),
            *_shares(each.hour, each.six_hours, each.day),
            str(each.losses),
            words.duration(each.watched),
        )
        for each in places
    ]
    console.table(headers, rows, spare=("WATCHED", "LOSSES IN 7 D"))


def _shares(*chances: float | None) -> tuple[str, ...]:
    return tuple("-" if each is None else f"{each:.0%}" for each in chances)
