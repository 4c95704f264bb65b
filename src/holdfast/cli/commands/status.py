"""`holdfast status NAME`: one workload, its machine, its freshest telemetry."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.session import DataDir, Json, Name, with_holdfast

if TYPE_CHECKING:
    from datetime import datetime

    from holdfast.client.holdfast import Holdfast
    from holdfast.client.status import SaveTrouble, WorkloadView
    from holdfast.contracts.activities import Telemetry
    from holdfast.contracts.machines import Lease
    from holdfast.contracts.workload import DeadlineStatus, WorkloadStatus

REFRESH_SECONDS = 2
_CLEAR = "\033[H\033[2J"


def status(
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds, until it ends.")] = (
        False
    ),
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what a workload is doing now.

    For a workload that the server no longer remembers, the records answer.

    \b
    Examples:
      holdfast status train
      holdfast status train --watch
      holdfast status train --json | jq .status.lease.hourly
    """

    async def show(holdfast: Holdfast) -> None:
        while True:
            view = await holdfast.status(name)
            if as_json:
                console.print_json(view)
                return
            if watch and sys.stdout.isatty():
                console.answer(_CLEAR, end="")
            console.facts(describe(view))
            if view.ended_by_force:
                console.say(f"hint: {_what_is_left(view)}")
            if not watch or view.status.phase.is_final or view.ended_by_force:
                return
            await asyncio.sleep(REFRESH_SECONDS)

    with_holdfast(data_dir, show)


def describe(view: WorkloadView) -> dict[str, str]:
    """A view as named facts for a person."""
    from holdfast.contracts.workload import Phase  # noqa: PLC0415 (temporalio and pydantic; `--help` needs neither)

    told = view.status
    facts = {
        "workload": told.name,
        "state": _end(view) if view.ended_by_force else _state(told),
        "epoch": f"{told.epoch}, {words.count(told.incidents, 'incident')}",
        ("left" if told.phase is Phase.FAILING_OVER else "machine"): _machine(told.lease),
        "checkpoint": "none yet",
    }
    if told.head:
        head = told.head
        facts["checkpoint"] = (
            f"{head.sequence} ({head.reason.value}), taken {words.age(head.taken_at)}, "
            f"{words.count(head.files, 'file')}, {words.size(head.bytes_total)}"
        ) + (f", at {head.progress}" if head.progress else "")
    if told.disk:
        facts["disk"] = f"a copy taken {words.age(told.disk.taken_at)} at {told.disk.provider}, {told.disk.name}"
    if told.deadline:
        facts["deadline"] = _deadline(told.deadline, told.since if told.phase.is_final else None)
    if view.save_trouble:
        facts["saving"] = _trouble(view.save_trouble)
    if view.live:
        facts.update(_live(view.live))
    if view.from_records:
        facts["source"] = "the records; the server can no longer tell this workload"
    return facts


def _end(view: WorkloadView) -> str:
    if view.from_records:
        known = "knows no more of it" if view.run_id else "no longer knows it"
        return f"{view.ended_by_force}: Temporal {known}, and its record is still open"
    return f"{view.ended_by_force}; its last word: {_state(view.status)}"


def _what_is_left(view: WorkloadView) -> str:
    if not view.left_behind:
        return "no machine of it is on record as one that still costs money"
    remedy = "`holdfast run` under the same name lets go of it; or destroy it at its provider"
    return f"what may still bill: {', '.join(view.left_behind)}; {remedy}"


def _state(told: WorkloadStatus) -> str:
    age = words.age(told.since)
    since = age if told.phase.is_final else f"for {age.removesuffix(' ago')}"
    reason = words.without_raw_words(told.reason)
    return f"{told.phase.value} {since}" + (f": {reason}" if reason else "")


def _deadline(told: DeadlineStatus, ended_at: datetime | None) -> str:
    if ended_at is not None:
        left = told.ends_at - ended_at
        verdict = "before it" if left.total_seconds() >= 0 else "after it"
        return f"{words.clock(told.ends_at)}, and it ended {words.duration(abs(left))} {verdict}"
    late = told.slack.total_seconds() < 0
    slack = f"{words.duration(-told.slack)} too little" if late else f"{words.duration(told.slack)} of slack"
    return (
        f"{words.clock(told.ends_at)}, {words.duration(told.done)} of {words.duration(told.work)} done and saved, "
        f"{slack}\n{told.reason}"
    )


def _trouble(trouble: SaveTrouble) -> str:
    when = f"attempt {trouble.attempt}" if trouble.attempt is not None else "the last one was given up"
    return f"{when}: {console.one_line(trouble.reason)}"


def _machine(lease: Lease | None) -> str:
    if lease is None:
        return "none"
    where = f" in {lease.region}" if lease.region else ""
    return (
        f"{lease.gpu_count}x {lease.gpu} at {lease.provider}{where}, {words.rate(lease.hourly)} "
        f"{lease.terms.value.replace('_', '-')}\n"
        f"instance {lease.instance_id} ({lease.label}), rented {words.age(lease.since)}"
    )


def _live(live: Telemetry) -> dict[str, str]:
    use = {
        "GPU": live.gpu_percent,
        "CPU": live.cpu_percent,
    }
    load = [f"{what} {percent:.0f} %" for what, percent in use.items() if percent is not None]
    if live.memory_mb is not None:
        load.append(f"memory {words.size(live.memory_mb * 2**20)}")
    if live.disk_free_mb is not None:
        load.append(f"disk free {words.size(live.disk_free_mb * 2**20)}")
    facts = {"seen": words.age(live.at)}
    if live.progress:
        facts["progress"] = f"{live.progress} ({words.age(live.progress_at)})"
    if load:
        facts["load"] = ", ".join(load)
    return facts
