"""`holdfast drill NAME`: rehearse a loss."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.amounts import dollars
from holdfast.cli.commands.report import show_timeline
from holdfast.cli.errors import DRILL_FAILED
from holdfast.cli.session import DataDir, Json, Name, only_watching, with_holdfast
from holdfast.contracts.reports import DrillReport
from holdfast.contracts.spec import Strategy

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast


def drill(
    name: Name,
    *,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="USD", help="It is aborted before it costs more. [default: an hour's price]"),
    ] = None,
    strategy: Annotated[
        Strategy | None, typer.Option("--strategy", help="By this way alone; without it as the policy says.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Rehearse the loss of a workload's machine: a real failover that loses nothing, and says how long it took.

    The work is stopped and saved, and moves to another machine as after a loss. Its old machine is kept until the work
    runs elsewhere; if that fails, or costs more than the budget, the work goes on where it was. What is not rehearsed
    is the time until a loss is noticed (`failover.silence`).

    \b
    Examples:
      holdfast drill train
      holdfast drill train --budget 0.10 --strategy warmpool
      holdfast drill train --json | jq .incident.phases
    """
    limit = None if budget is None else dollars(budget, above_zero=True)

    async def work(holdfast: "Holdfast") -> DrillReport:
        if (pays := limit) is None:
            lease = (await holdfast.status(name)).status.lease
            pays = lease.hourly if lease is not None else Decimal(1)
        console.say(f"a drill of {name}, for ${pays:.6f} at most; Ctrl-C ends the watching, not the drill")
        with only_watching(name, "rehearsing a loss of"):
            return await holdfast.drill(
                name, budget=pays, strategy=strategy, told=lambda step: console.say(f"  {step}")
            )

    found = with_holdfast(data_dir, work)
    if as_json:
        console.print_json(found)
    else:
        _show(found)
    return 0 if found.passed else DRILL_FAILED


def _show(found: DrillReport) -> None:
    incident = found.incident
    console.answer("")
    show_timeline(incident)
    console.answer("")
    took = words.duration(incident.recovery_time)
    if found.moved:
        how = f"moved from e{incident.epoch_lost} to e{incident.epoch_gained} by {incident.strategy}"
    else:
        how = f"went on where it was ({words.without_raw_words(incident.reason)})"
    lost = f"{words.duration(incident.work_lost)} of it is lost" if incident.work_lost else "nothing of it is lost"
    console.answer(f"the work {how}; it stood still for {took}, and {lost}")
    console.answer("(detect is the last save: how soon a loss is noticed, `failover.silence`, is not rehearsed)")
    if found.rto is not None:
        kept = "met" if found.rto_met else "MISSED"
        console.answer(f"RTO: objective {words.duration(found.rto)}: {kept}")
    console.answer(f"cost: ${found.cost:f} of ${found.budget:f}")
    console.answer("passed" if found.passed else "NOT PASSED")
