"""`holdfast report NAME`: incidents with their phases, objectives, cost."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.session import DataDir, Json, Name, with_holdfast
from holdfast.contracts.incidents import Incident, Phases
from holdfast.contracts.reports import Part, WorkloadReport

BAR_WIDTH = 60
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


def report(
    name: Name,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Its lists from their beginning, however long they are.")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show a workload's incidents, where their recovery time went, what was lost, and what everything cost.

    \b
    Examples:
      holdfast report train
      holdfast report train --json | jq '.incidents[].recovery_time'
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.report(name, everything=everything))
    if as_json:
        console.print_json(found)
        return
    show(found)


def show(found: WorkloadReport) -> None:
    """The report for a person."""
    console.facts(_summary(found))
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
