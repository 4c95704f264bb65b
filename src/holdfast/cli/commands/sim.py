"""`holdfast sim`: what happens to machines in the simulated market, and what they cost."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import console, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, settings_for
from holdfast.embedded import MARKET_FOLDER
from holdfast.simcloud.control import SimControl

app = typer.Typer(
    help="Act on the simulated market that `holdfast up` or `holdfast sim serve` runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Target = Annotated[str, typer.Argument(metavar="TARGET", help="A workload's name, a label, or an instance id.")]
Lasting = Annotated[float | None, typer.Option("--seconds", min=0.1, help="For so long; for good if left out.")]


@app.command("kill")
def kill(
    target: Target,
    late: Annotated[float, typer.Option("--late", min=0, help="Seconds until the provider says so.")] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="The provider says offline instead of exited.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """The host dies without notice, with everything on it.

    \b
    Examples:
      holdfast sim kill train
      holdfast sim kill train.e2 --late 30 --offline
    """
    word = "offline" if offline else "exited"
    _pull(data_dir, as_json, "killed", lambda sim: sim.kill(target, word_lag=timedelta(seconds=late), word=word))


@app.command("outbid")
def outbid(
    target: Target,
    bid: Annotated[str | None, typer.Option("--bid", metavar="USD", help="The rival's bid per hour.")] = None,
    seconds: Lasting = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """A rival bids more: the machine is taken away.

    \b
    Example:
      holdfast sim outbid train --seconds 60
    """
    offered = None if bid is None else _usd(bid)
    _pull(data_dir, as_json, "outbid", lambda sim: sim.outbid(target, bid=offered, lasting=_time(seconds)))


@app.command("take")
def take(target: Target, seconds: Lasting = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """A rival rents the GPUs on demand: a resume finds them taken.

    \b
    Example:
      holdfast sim take train
    """
    _pull(data_dir, as_json, "taken", lambda sim: sim.take(target, lasting=_time(seconds)))


@app.command("release")
def release(target: Target, as_json: Json = False, data_dir: DataDir = None) -> None:
    """The rival of `outbid` or `take` leaves.

    \b
    Example:
      holdfast sim release train
    """
    _pull(data_dir, as_json, "released", lambda sim: sim.release(target))


@app.command("preempt")
def preempt(
    target: Target,
    notice: Annotated[
        float | None,
        typer.Option("--notice", min=0, help="Seconds from being asked to shut down until it is down; Google's 30."),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Google takes a Spot machine back: it is asked to shut down first.

    \b
    Examples:
      holdfast sim preempt train
      holdfast sim preempt train.e2 --notice 0
    """
    _pull(data_dir, as_json, "preempted", lambda sim: sim.preempt(target, notice=_time(notice)))


@app.command("capacity")
def capacity(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="A zone of Google's, such as us-central1-a.")],
    *,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="One machine type; each if left out.")
    ] = None,
    left: Annotated[
        int | None, typer.Option("--left", min=0, help="For so many machines; the usual room if left out.")
    ] = None,
    seconds: Lasting = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Set what room a zone has for more machines. Machines that run keep theirs.

    \b
    Examples:
      holdfast sim capacity us-central1-a --left 0 --seconds 60
      holdfast sim capacity us-central1-a
    """
    with _control(data_dir) as sim:
        changed = sim.set_capacity(zone, kind=kind, available=left, lasting=_time(seconds))
    if as_json:
        console.print_json({"changed": changed})
    else:
        console.say(f"{zone}: {changed} {'slot' if changed == 1 else 'slots'} {'freed' if left is None else 'taken'}")


@app.command("disassociate")
def disassociate(target: Target, as_json: Json = False, data_dir: DataDir = None) -> None:
    """The provider sells the GPUs that a stopped machine still holds.

    \b
    Example:
      holdfast sim disassociate train
    """
    _pull(data_dir, as_json, "disassociated", lambda sim: sim.disassociate(target))


@app.command("partition")
def partition(target: Target, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Cut the machine's network: connections hang, the work goes on.

    \b
    Example:
      holdfast sim partition train
    """
    _pull(data_dir, as_json, "cut off", lambda sim: sim.partition(target))


@app.command("slow")
def slow(
    target: Target,
    rate: Annotated[int, typer.Option("--bytes-per-second", min=1, help="What the network still carries.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Throttle the machine's network.

    \b
    Example:
      holdfast sim slow train --bytes-per-second 100000
    """
    _pull(data_dir, as_json, "slowed", lambda sim: sim.slow(target, bytes_per_second=rate))


@app.command("heal")
def heal(target: Target, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Undo `partition` and `slow`.

    \b
    Example:
      holdfast sim heal train
    """
    _pull(data_dir, as_json, "healed", lambda sim: sim.heal(target))


@app.command("instances")
def instances(as_json: Json = False, data_dir: DataDir = None) -> None:
    """The living machines: the truth beside the provider's word.

    \b
    Example:
      holdfast sim instances --json
    """
    with _control(data_dir) as sim:
        found = sim.instances()
    if as_json:
        console.print_json(found)
    else:
        _table(found, ("id", "label", "gpu", "region", "state", "said", "partitioned", "ssh_port"))


@app.command("offers")
def offers(as_json: Json = False, data_dir: DataDir = None) -> None:
    """Every slot of the market, rented ones too.

    \b
    Example:
      holdfast sim offers
    """
    with _control(data_dir) as sim:
        found = sim.offers()
    if as_json:
        console.print_json(found)
    else:
        _table(found, ("slot", "offer", "gpu", "region", "price", "min_bid", "flaw", "tenants"))


@app.command("bill")
def bill(as_json: Json = False, data_dir: DataDir = None) -> None:
    """What every machine that ever existed has cost, to the started second.

    \b
    Example:
      holdfast sim bill --json | jq -r .total
    """
    with _control(data_dir) as sim:
        found = sim.bill()
    if as_json:
        console.print_json(found)
        return
    console.table(
        ("INSTANCE", "LABEL", "RAN", "GPU", "DISK", "TOTAL", "UNTIL"), [_bill_row(row) for row in found["lines"]]
    )
    console.answer(f"total {words.money(Decimal(found['total']))}")


@app.command("serve")
def serve(
    folder: Annotated[Path, typer.Option("--data-dir", help="Where the market keeps everything.")] = Path(".market"),
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8433,
    profile: Annotated[Path | None, typer.Option("--profile", help="A YAML file of machines, prices, delays.")] = None,
) -> None:
    """Run the simulated market by itself, until Ctrl-C.

    Its API key is HOLDFAST_SIM_API_KEY, or the one that it keeps in `api.key` of its data directory.

    \b
    Example:
      holdfast sim serve --data-dir ./market --port 0
    """
    # Imported here: the levers above talk to a market, only this one is it.
    from holdfast.simcloud.config import SimConfig  # noqa: PLC0415
    from holdfast.simcloud.server import serve as serve_market  # noqa: PLC0415

    key = os.environ.get("HOLDFAST_SIM_API_KEY")
    serve_market(SimConfig(data_dir=folder.absolute(), port=port, profile=profile, api_key=key))


def _control(data_dir: Path | None) -> SimControl:
    return SimControl.of_data_dir(settings_for(data_dir).data_dir / MARKET_FOLDER)


def _pull(data_dir: Path | None, as_json: bool, done: str, lever: Callable[[SimControl], list[int]]) -> None:
    with _control(data_dir) as sim:
        hit = lever(sim)
    if as_json:
        console.print_json({"instances": hit})
    else:
        console.say(f"{done}: {', '.join(f'instance {each}' for each in hit) or 'nothing'}")


def _bill_row(line: Mapping[str, Any]) -> tuple[str, ...]:
    ended = datetime.fromisoformat(line["until"]) if line["until"] else None
    return (
        str(line["instance"]),
        line["label"] or "—",
        words.duration(timedelta(seconds=line["running_seconds"])),
        *(words.money(Decimal(line[part])) for part in ("gpu", "storage", "total")),
        words.clock(ended) if ended else "still",
    )


def _time(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _usd(given: str) -> Decimal:
    try:
        return Decimal(given)
    except InvalidOperation:
        raise UsageProblem(f"{given!r} is not a price", remedy="give USD per hour, such as 0.45") from None


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    console.table([each.upper() for each in columns], [[_cell(row, each) for each in columns] for row in rows])


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "—"
    return "—" if value in (None, "") else str(value)
