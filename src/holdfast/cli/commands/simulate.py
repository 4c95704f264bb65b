"""`holdfast simulate`: what a policy would have cost on spot machines as they really came and went."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from holdfast.cli import console, picture, progress, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import Json
from holdfast.policy.deadline import Rule

if TYPE_CHECKING:
    from holdfast.simcloud.studies.results import Study, StudyRow
    from holdfast.simcloud.studies.study import Order
    from holdfast.simcloud.studies.traces import Trace

Result = TypeVar("Result")
_YOUNG_DALY = "young-daly"
_CHOICES = ("longest_up", "recent", "static")
_ZONES = ("both", "apart", "together")
_A_DAY = timedelta(hours=24)
_HEADERS = ("ZONES", "SPOT", "POLICY", "JOBS", "COST", "P90", "SAVING", "MISSED", "MOVES", "LOST", "IDLE", "WORK LOST")


def simulate(
    *,
    trace: Annotated[
        list[Path],
        typer.Option("--trace", metavar="PATH", help="A trace, or a folder of traces; may be given again."),
    ],
    policy: Annotated[
        list[Rule] | None,
        typer.Option("--policy", metavar="NAME", help=f"{', '.join(Rule)}; may be given again; all if left out."),
    ] = None,
    compute: Annotated[str, typer.Option(metavar="TIME", help="The work of one job, without breaks.")] = "48h",
    deadline: Annotated[str, typer.Option(metavar="TIME", help="When it must be done, from its start.")] = "60h",
    changeover: Annotated[
        str, typer.Option(metavar="TIME", help="From renting a machine to progress on it; paid for.")
    ] = "6m",
    price_ratio: Annotated[
        float, typer.Option(min=0, max=10, help="The spot price as a share of the price on demand.")
    ] = 0.3,
    machines: Annotated[int, typer.Option(min=1, help="How many machines the job needs at once in one zone.")] = 1,
    zones: Annotated[
        str, typer.Option(metavar="WORD", help="Each zone `apart`, all zones of a folder `together`, or `both`.")
    ] = "both",
    choice: Annotated[
        str, typer.Option(metavar="WORD", help="Of several zones: `longest_up`, `recent` (last 24 h) or `static`.")
    ] = "longest_up",
    cadence: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Save so often, or `young-daly`; left out, a loss loses no work."),
    ] = None,
    save_cost: Annotated[str, typer.Option(metavar="TIME", help="How long one save stops the work.")] = "30s",
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start a job so often [default: 6h; 3h for work under a day].")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Start so many jobs, at moments drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds draw equal moments.")] = 0,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the job of middle cost, as .png or .svg.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run jobs with a deadline on traces of real spot machines, by the policies that workloads use.

    COST is a share of the work's price on demand, SAVING what is saved against on demand from start to end. MOVES are
    machines after the first, LOST those that were taken away, IDLE is the time without progress. The picture shows the
    last policy on the largest set of zones. Formats and results: docs/studies.md.

    \b
    Examples:
      holdfast simulate --trace examples/traces --machines 24 --compute 2h --deadline 3h --every 30m
      holdfast simulate --trace my-zone.json.gz --policy thrifty --policy greedy --draw run.png
      holdfast simulate --trace traces/ --policy spot_only --cadence young-daly --save-cost 45s
      holdfast simulate --trace traces/ --jobs 500 --seed 7 --json
    """
    from holdfast.simcloud.studies.study import Order, Together  # noqa: PLC0415 (not for --help)
    from holdfast.simcloud.studies.study import simulate as run_study  # noqa: PLC0415
    from holdfast.simcloud.studies.world import Choice  # noqa: PLC0415

    picture.require_drawable(draw)
    work = _span("--compute", compute)
    order = Order(
        compute=work,
        deadline=_span("--deadline", deadline),
        changeover=_span("--changeover", changeover, zero=True),
        price_ratio=price_ratio,
        policies=tuple(policy or Rule),
        machines=machines,
        choice=Choice(_one_of("--choice", choice, _CHOICES)),
        together=Together(_one_of("--zones", zones, _ZONES)),
        cadence=None if cadence in (None, _YOUNG_DALY) else _span("--cadence", str(cadence)),
        save_cost=None if cadence is None else _span("--save-cost", save_cost, zero=True),
        every=_every(every, work),
        jobs=jobs,
        seed=seed,
    )
    _can_be_met(order)
    traces = _traces(trace)
    with progress.bar() as tell:
        study = _or_refuse(lambda: run_study(traces, order, tell=tell))
    if draw is not None:
        _draw(draw, traces, order)
    if as_json:
        console.print_json(study)
    else:
        _print(study)


def _can_be_met(order: "Order") -> None:
    least = order.compute + order.changeover
    if order.deadline < least:
        raise UsageProblem(
            f"no machine meets a deadline of {words.duration(order.deadline)}: work and one changeover take "
            f"{words.duration(least)}",
            remedy="give a later --deadline",
        )


def _traces(paths: Sequence[Path]) -> "list[Trace]":
    from holdfast.simcloud.studies.traces import find, read  # noqa: PLC0415

    return _or_refuse(lambda: [read(path) for path in find(paths)])


def _or_refuse(what: Callable[[], Result]) -> Result:
    """The answer of `what`; its own errors become a wrong command line."""
    from holdfast.simcloud.studies.study import TooShort  # noqa: PLC0415
    from holdfast.simcloud.studies.traces import TraceUnreadable  # noqa: PLC0415

    try:
        return what()
    except (TooShort, TraceUnreadable) as err:
        raise UsageProblem(str(err), remedy=err.remedy) from err


def _draw(path: Path, traces: "Sequence[Trace]", order: "Order") -> None:
    from holdfast.simcloud.studies.picture import draw  # noqa: PLC0415
    from holdfast.simcloud.studies.study import a_typical_job, largest  # noqa: PLC0415

    zones, rule = largest(traces, order), order.policies[-1]
    outcome = _or_refuse(lambda: a_typical_job(zones, order, rule))
    cost = outcome.cost / order.compute.total_seconds()
    title = f"{rule.value} on {zones.name}: {cost:.0%} of the price on demand, {outcome.launches} machines"
    try:
        draw(path, zones.world, order.plan(zones.world, outcome.start), outcome, title=title)
    except OSError as err:
        raise UsageProblem(f"{path} cannot be written: {err.strerror or err}") from err
    console.say(f"drawn: {path} ({rule.value} on {zones.name})")


def _span(option: str, text: str, *, zero: bool = False) -> timedelta:
    from holdfast.contracts.written import parse_duration  # noqa: PLC0415 (it brings pydantic)

    try:
        span = parse_duration(text)
    except ValueError as err:
        raise UsageProblem(f"{option}: {err}") from err
    if not isinstance(span, timedelta) or span < timedelta() or (not span and not zero):
        raise UsageProblem(f"{option}: {text!r} is not a duration to simulate; write it like 90s, 5m, 1h30m or 2d")
    return span


def _every(text: str | None, compute: timedelta) -> timedelta:
    if text is not None:
        return _span("--every", text)
    return timedelta(hours=6 if compute >= _A_DAY else 3)


def _one_of(option: str, word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise UsageProblem(f"{option}: {word!r} is none of {', '.join(known)}")
    return word


def _print(study: "Study") -> None:
    shown = [_cells(row) for row in study.rows]
    lost_work = study.cadence != "off"
    headers = _HEADERS if lost_work else _HEADERS[:-1]
    console.table(headers, [row[: len(headers)] for row in shown], spare=("P90", "JOBS", "IDLE"))
    for each in study.left_out:
        console.say(f"left out: {each}")


def _cells(row: "StudyRow") -> tuple[str, ...]:
    return (
        row.zones,
        f"{row.available:.0%}",
        row.policy,
        str(row.jobs),
        f"{row.cost:.3f}",
        f"{row.cost_p90:.3f}",
        f"{row.saving:+.1%}",
        str(row.missed) if row.missed else "none",
        f"{row.moves:.1f}",
        f"{row.losses:.1f}",
        words.duration(row.idle),
        words.duration(row.lost_work),
    )
