"""`holdfast pool create|ls|show|resize|drain|rm`: machines that stand ready to take over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, with_holdfast

if TYPE_CHECKING:
    from holdfast.contracts.pools import PoolStatus

app = typer.Typer(help="Keep machines ready to take over.", no_args_is_help=True, rich_markup_mode=None)

PoolName = Annotated[str, typer.Argument(metavar="NAME", help="The pool's name.")]


@app.command("create")
def create(
    spec: Annotated[Path, typer.Argument(metavar="POOL.yaml", help="The pool's spec: docs/warm-pools.md.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Start a pool; it fills by itself, and costs money from then on.

    \b
    Examples:
      holdfast pool create pool.yaml
      holdfast pool create pool.yaml --json | jq -r .run_id
    """
    from holdfast.client.specs import read_pool_spec  # noqa: PLC0415 (pydantic and yaml; `--help` needs neither)

    try:
        text = spec.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise UsageProblem(f"{spec} cannot be read: {err}", remedy="give the path of a pool's spec in YAML") from err
    checked = read_pool_spec(text, source=str(spec))
    run_id = with_holdfast(data_dir, lambda holdfast: holdfast.create_pool(checked))
    if as_json:
        console.print_json({"name": checked.name, "run_id": run_id})
    else:
        console.say(f"the pool {checked.name} is started; `holdfast pool show {checked.name}` shows how it fills")


@app.command("ls")
def ls(as_json: Json = False, data_dir: DataDir = None) -> None:
    """List the pools that exist.

    \b
    Examples:
      holdfast pool ls
      holdfast pool ls --json
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.pools())
    if as_json:
        console.print_json(found)
    elif found:
        rows = [
            (each.name, each.phase, f"{len(each.standbys)}/{each.target}", str(each.taken), words.rate(each.hourly))
            for each in found
        ]
        console.table(("pool", "phase", "ready", "taken", "price"), rows)
    else:
        console.say("there is no pool; `holdfast pool create FILE` starts one")


@app.command("show")
def show(name: PoolName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show one pool, its standbys, what is on them, and what they cost.

    \b
    Examples:
      holdfast pool show spare
      holdfast pool show spare --json
    """
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.pool(name)), as_json)


@app.command("resize")
def resize(
    name: PoolName,
    target: Annotated[int | None, typer.Argument(metavar="N", min=0, help="Standbys to keep ready.")] = None,
    demand: Annotated[bool, typer.Option("--demand", help="As many as losses call for: `size: demand`.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Keep another number of standbys ready, between the spec's minimum and maximum. It holds until the next resize.

    \b
    Examples:
      holdfast pool resize spare 3
      holdfast pool resize spare --demand
    """
    if (target is None) != demand:
        raise UsageProblem("give a number of standbys, or --demand", remedy=f"`holdfast pool resize {name} 3`")
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.resize_pool(name, target)), as_json)


@app.command("drain")
def drain(name: PoolName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Let every standby go, and keep none until the pool is resized. Machines that were taken stay.

    \b
    Examples:
      holdfast pool drain spare
    """
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.drain_pool(name)), as_json)


@app.command("rm")
def rm(name: PoolName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """End a pool; every standby is let go, however long its provider takes. Machines that were taken stay.

    \b
    Examples:
      holdfast pool rm spare
    """
    _tell(with_holdfast(data_dir, lambda holdfast: holdfast.remove_pool(name)), as_json)


def _tell(status: PoolStatus, as_json: bool) -> None:
    if as_json:
        console.print_json(status)
        return
    console.say(f"pool {status.name}: {status.phase}, {len(status.standbys)} of {status.target} ready")
    console.say(f"{words.rate(status.hourly)}; {status.taken} taken, {status.lost} lost before they were needed")
    if status.target_because:
        console.say(f"sized by demand: {status.target_because}")
    if status.standbys:
        console.table(("machine", "provider", "region", "state", "price", "keeps", "seen"), _rows(status))


def _rows(status: PoolStatus) -> Sequence[tuple[str, ...]]:
    return [
        (
            each.lease.label,
            each.lease.provider,
            each.lease.region,
            "stopped" if each.stopped else "running",
            words.rate(each.hourly),
            f"{each.synced.workload} {each.synced.sequence}" if each.synced else "—",
            words.age(each.seen_at),
        )
        for each in status.standbys
    ]
