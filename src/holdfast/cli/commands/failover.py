"""`holdfast failover NAME`: leave a machine on purpose."""

from typing import Annotated

import typer

from holdfast.cli.orders import carry_out
from holdfast.cli.session import DataDir, Json, Name, Wait
from holdfast.contracts.spec import Strategy
from holdfast.contracts.workload import Phase


def failover(
    name: Name,
    *,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save a checkpoint on the old machine first.")] = True,
    strategy: Annotated[
        Strategy | None, typer.Option("--strategy", help="By this way alone; without it as the policy says.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the report.")] = "requested",
    wait: Wait = True,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Move a workload to another machine, and wait until the work runs there.

    A workload that has moved as often today as its policy allows, and waits, goes on at once.

    \b
    Examples:
      holdfast failover train
      holdfast failover train --strategy regional
      holdfast failover train --no-save --reason "this host is slow"
    """
    return carry_out(
        name,
        lambda holdfast: holdfast.failover(name, reason=reason, save_first=save, strategy=strategy),
        doing="moving",
        reached=lambda before, now: now.phase is Phase.RUNNING and now.epoch > before.epoch,
        wait=wait,
        as_json=as_json,
        data_dir=data_dir,
    )
