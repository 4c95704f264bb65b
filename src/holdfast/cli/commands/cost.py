"""`holdfast cost`: what every machine cost, and whether the providers' bills agree."""

from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.session import DataDir, Json, with_holdfast
from holdfast.contracts.money import By, CostLine, Costs, Drift


def cost(
    *,
    by: Annotated[By | None, typer.Option("--by", help="Add the lines up by this.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show a cost line for every machine ever rented, by our own meter, and compare it with the providers' bills.

    Each state of a machine is charged at its own rate: all of it while it runs, the disk while it is stopped. A
    difference that rounding does not explain is told in a line of its own.

    \b
    Examples:
      holdfast cost
      holdfast cost --by day
      holdfast cost --by workload --json
    """
    with console.working("adding up"):
        found = with_holdfast(data_dir, lambda holdfast: holdfast.costs(by=by))
    if as_json:
        console.print_json(found)
        return
    if by is None:
        headers = ("MACHINE", "PROVIDER", "INSTANCE", "GPU", "PRICE", "DISK", "RAN", "STOPPED", "COST")
        console.table(headers, [_row(each) for each in found.lines], spare=("GPU", "INSTANCE", "DISK"))
    else:
        rows = [(each.name, str(each.machines), words.money(each.cost)) for each in found.groups]
        console.table((by.value.upper(), "MACHINES", "COST"), rows)
    _end(found)


def _row(line: CostLine) -> tuple[str, ...]:
    return (
        line.label,
        line.provider,
        line.instance_id or "—",
        line.gpu,
        words.rate(line.hourly),
        words.rate(line.storage_hourly),
        words.duration(line.running),
        words.duration(line.stopped),
        words.money(line.cost) + ("" if line.closed_at else " so far"),
    )


def _end(found: Costs) -> None:
    console.answer(f"total  {words.money(found.total)}, by our meter")
    for each in found.drift:
        console.answer(_told(each))


def _told(drift: Drift) -> str:
    if drift.detail:
        return f"{drift.provider}: not compared with its bill: {drift.detail}"
    bill = (
        f"its bill says {words.money(drift.charged)} for {words.count(drift.machines, 'machine')}, "
        f"our meter {words.money(drift.metered)}"
    )
    strangers = f"; not in the records: {words.count(drift.unknown, 'machine')} on it" if drift.unknown else ""
    if drift.beyond:
        return f"{drift.provider}: DRIFT: {bill}; {drift.worst} differs most{strangers}"
    return f"{drift.provider}: {bill}{strangers}"
