"""`holdfast report NAME`: incidents with their phases, objectives, cost."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import console, picture, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, Name, with_holdfast
from holdfast.client.errors import UnknownIncident
from holdfast.contracts.incidents import Incident, Phases
from holdfast.contracts.reports import Part, Spread, WorkloadReport

BAR_WIDTH = 60
SCALE_WIDTH = 50
FEW = 3
"""Incidents below which a percentile says nothing that they do not say themselves."""
METER = "by our meter; `holdfast cost` compares it with the provider's bill"
_MARKS = {  # one letter per phase; the bar reads from the last sign of life to the first progress
    "detect": "d",
    "decide": "c",
    "provision": "p",
    "boot": "b",
    "connect": "n",
    "restore": "r",
    "start": "s",
    "progress": "g",
}


def report(  # noqa: PLR0917 (each is an option of the command line)
    name: Name,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Its lists from their beginning, however long they are.")
    ] = False,
    incident: Annotated[
        int | None, typer.Option(metavar="EPOCH", min=1, help="Only the one in which this epoch's machine was lost.")
    ] = None,
    drawn: Annotated[
        Path | None, typer.Option("--draw", metavar="FILE", help="Draw the recoveries, as .png or .svg.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show a workload's incidents, where their recovery time went, what was lost, and what everything cost.

    With three incidents or more it also shows how the recoveries are spread, by each strategy. P50 and P95 are recovery
    times of the record itself, the smallest that half or 95 % of all do not exceed.

    \b
    Examples:
      holdfast report train
      holdfast report train --incident 3
      holdfast report train --all --draw recoveries.svg
      holdfast report train --json | jq '.incidents[].recovery_time'
    """
    picture.require_drawable(drawn)
    whole = everything or incident is not None
    found = with_holdfast(data_dir, lambda holdfast: holdfast.report(name, everything=whole))
    chosen = found.incidents if incident is None else (_the_one(found, incident),)
    if drawn is not None:
        _draw(drawn, found, chosen)
    if as_json:
        console.print_json(found if incident is None else chosen[0])
    elif incident is None:
        show(found)
    else:
        _show_incident(chosen[0], found)
    if drawn is not None:
        console.say(f"drawn: {drawn}")


def _the_one(found: WorkloadReport, epoch: int) -> Incident:
    known = [each.epoch_lost for each in found.incidents]
    if epoch not in known:
        lost = f"those of which were lost: {', '.join(map(str, known))}" if known else "it has lost no machine"
        raise UnknownIncident(f"{found.workload!r} lost no machine of epoch {epoch}; {lost}")
    return next(each for each in found.incidents if each.epoch_lost == epoch)


def _draw(path: Path, found: WorkloadReport, incidents: Sequence[Incident]) -> None:
    if not incidents:
        raise UnknownIncident(f"{found.workload!r} has lost no machine: there is nothing to draw")
    noun = words.count(len(incidents), "incident")
    try:
        picture.draw(path, incidents, title=f"{found.workload}: {noun}, and where the time went", objective=found.rto)
    except OSError as err:
        raise UsageProblem(f"{path} cannot be written: {err.strerror or err}", remedy="give another --draw") from err


def show(found: WorkloadReport) -> None:
    """The report for a person."""
    console.facts(_summary(found))
    if found.recovery is not None and found.recovery.measured >= FEW:
        console.answer("")
        _show_spreads(found)
    for incident in found.incidents:
        console.answer("")
        for line in tell(incident):
            console.answer(line)
    if found.leases:
        console.answer("")
        _show_leases(found)
    for part, noun in ((Part.INCIDENTS, "incidents"), (Part.LEASES, "machines")):
        if (shown := len(found.told(part))) < found.total(part):
            part_of = f"the newest {shown} of {found.total(part)} {noun}"
            console.say(f"{part_of}; `holdfast report {found.workload} --all` shows them all")


def _show_spreads(found: WorkloadReport) -> None:
    """Fewer incidents than that speak for themselves."""
    rows = [
        (name, str(spread.measured), *map(words.duration, (spread.p50, spread.p95, spread.max)), _kept(spread))
        for name, spread in (("recovery time", found.recovery), ("work lost", found.loss))
        if spread is not None
    ]
    console.table(("MEASURE", "INCIDENTS", "P50", "P95", "WORST", "KEPT THE OBJECTIVE"), rows)
    console.answer("")
    lines = [
        (each.strategy, str(each.tries), str(each.successes), words.duration(each.p50), words.duration(each.p95))
        for each in found.strategies
    ]
    console.table(("STRATEGY", "MACHINES TRIED", "RECOVERIES", "P50", "P95"), lines)


def _kept(spread: Spread) -> str:
    return "no objective" if spread.met is None else f"{spread.met} of {spread.measured}"


def _show_incident(incident: Incident, found: WorkloadReport) -> None:
    """One incident, phase by phase, each at its time and to scale."""
    for line in tell(incident):
        console.answer(line)
    console.answer("")
    show_timeline(incident)
    console.answer("")
    console.answer(f"RTO {_against(incident.recovery_time, found.rto, _kept_by(incident.recovery_time, found.rto))}")
    console.answer(f"RPO {_against(incident.work_lost, found.rpo, _kept_by(incident.work_lost, found.rpo))}")


def show_timeline(incident: Incident) -> None:
    """Its phases, each at its time and to scale."""
    console.table(("PHASE", "FROM", "TOOK", "TO SCALE"), list(_timeline(incident)))


def _kept_by(measured: timedelta | None, objective: timedelta | None) -> bool | None:
    return None if measured is None or objective is None else measured <= objective


def _timeline(incident: Incident) -> Iterator[tuple[str, str, str, str]]:
    since, total = timedelta(), incident.phases.total()
    for name, took in _parts(incident.phases):
        if not took:
            continue
        before = round(since / total * SCALE_WIDTH)
        length = max(1, round(took / total * SCALE_WIDTH))
        at = (incident.silent_since + since).astimezone()
        yield name, f"{at:%H:%M:%S}.{at.microsecond // 100_000}", words.duration(took), " " * before + "▇" * length
        since += took


def _summary(found: WorkloadReport) -> dict[str, str]:
    lived = (found.closed_at - found.opened_at) if found.closed_at else None
    return {
        "workload": found.workload,
        "state": found.phase + (f": {words.without_raw_words(found.reason)}" if found.reason else ""),
        "opened": words.clock(found.opened_at) + (f", lived {words.duration(lived)}" if lived else ""),
        "incidents": str(found.total(Part.INCIDENTS)),
        "RTO": _against(found.worst_recovery_time, found.rto, found.rto_met),
        "RPO": _against(found.worst_work_lost, found.rpo, found.rpo_met),
        "cost": f"{words.money(found.cost)} over {words.count(found.total(Part.LEASES), 'machine')}, {METER}",
    }


def _against(worst: timedelta | None, objective: timedelta | None, met: bool | None) -> str:
    measured = f"worst {words.duration(worst)}" if worst is not None else "nothing measured"
    if objective is None:
        return f"{measured}, no objective"
    if worst is None:
        return f"{measured}, objective {words.duration(objective)}"
    verdict = {True: "met", False: "MISSED", None: "not tested"}[met]
    return f"{measured}, objective {words.duration(objective)}: {verdict}"


def tell(incident: Incident) -> Iterator[str]:
    """One incident as a person likes to read it: what, why, a bar of time, what it cost."""
    gained = f"e{incident.epoch_gained}" if incident.epoch_gained is not None else "nothing yet"
    yield f"e{incident.epoch_lost} → {gained}  {incident.cause.value} at {words.clock(incident.silent_since)}"
    yield f"  {words.without_raw_words(incident.reason)}"
    if incident.epoch_gained is None:
        yield "  no other machine yet"
        return
    yield (
        f"  recovered by {incident.strategy} in {words.duration(incident.recovery_time)}, "
        f"work lost {words.duration(incident.work_lost)}, cost {words.money(incident.cost)}"
    )
    yield f"  |{bar(incident.phases)}|"
    yield "  " + "  ".join(
        f"{_MARKS[name]}={name} {words.duration(value)}" for name, value in _parts(incident.phases) if value
    )
    for attempt in incident.attempts:
        yield (
            f"  tried e{attempt.epoch} {attempt.strategy} on machine {attempt.machine_id} of {attempt.provider} at "
            f"{words.rate(attempt.hourly)}: {console.one_line(attempt.outcome)} ({words.duration(attempt.took)})"
            + (f", on a copy of the disk, {attempt.began_with}" if attempt.began_with else "")
        )


def bar(phases: Phases, width: int = BAR_WIDTH) -> str:
    """The phases to scale, each with its letter; a phase that took any time gets at least one place."""
    total = phases.total()
    if not total:
        return " " * width
    parts = [(_MARKS[name], value) for name, value in _parts(phases) if value]
    places = [max(1, round(value / total * width)) for _, value in parts]
    # Rounding and the minimum may add up to another width: the longest phase takes the difference.
    places[places.index(max(places))] += width - sum(places)
    return "".join(mark * max(1, count) for (mark, _), count in zip(parts, places, strict=True))


def _parts(phases: Phases) -> list[tuple[str, timedelta]]:
    return [(each.name, getattr(phases, each.name)) for each in fields(phases)]


def _show_leases(found: WorkloadReport) -> None:
    headers = ("MACHINE", "PROVIDER", "INSTANCE", "GPU", "PRICE", "HELD", "COST", "ENDED BECAUSE")
    rows = [
        (
            lease.label,
            lease.provider,
            lease.instance_id or "—",
            lease.gpu,
            words.rate(lease.hourly),
            words.duration(lease.closed_at - lease.opened_at) if lease.closed_at else "still",
            words.money(lease.cost),
            lease.closed_because or "—",
        )
        for lease in found.leases
    ]
    console.table(headers, rows, spare=("PROVIDER", "GPU"))
