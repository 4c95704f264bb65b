"""`holdfast pause NAME`: save, and stop the machine at its provider, or let it go."""

from typing import Annotated

import typer

from holdfast.cli.orders import carry_out
from holdfast.cli.session import DataDir, Json, Name, Wait
from holdfast.contracts.spec import PauseMode
from holdfast.contracts.workload import Phase


def pause(
    name: Name,
    *,
    mode: Annotated[
        PauseMode, typer.Option("--mode", help="stop: the disk is kept and billed; checkpoint: the machine is let go.")
    ] = PauseMode.STOP,
    wait: Wait = True,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Save a checkpoint, then stop the machine at its provider; or let it go.

    Stopped, its disk is kept and billed, and its GPU is not. Somebody else may rent that meanwhile: `resume` then finds
    another machine. With `--mode checkpoint` the checkpoint is read back, then the machine is let go, and nothing is
    billed: `resume` rents another one and restores.

    \b
    Examples:
      holdfast pause train
      holdfast pause train --mode checkpoint
    """
    return carry_out(
        name,
        lambda holdfast: holdfast.pause(name, mode=mode),
        doing="pausing",
        reached=lambda _, now: now.phase is Phase.PAUSED,
        # A machine that cannot be stopped is looked at as if it were lost, and goes on if it is not.
        given_up=lambda now: now.phase is not Phase.PAUSING,
        wait=wait,
        as_json=as_json,
        data_dir=data_dir,
    )
