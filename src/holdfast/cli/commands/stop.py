"""`holdfast stop NAME`: end the work and let the machine go."""

from typing import Annotated

import typer

from holdfast.cli.orders import carry_out
from holdfast.cli.session import DataDir, Json, Name, Wait


def stop(
    name: Name,
    *,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save a last checkpoint before the end.")] = True,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the report.")] = "requested",
    wait: Wait = True,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """End a workload: save its state, destroy its machine, close its cost line.

    Waits until the provider no longer knows the machine. The checkpoints stay.

    \b
    Examples:
      holdfast stop train
      holdfast stop train --no-save
    """
    return carry_out(
        name,
        lambda holdfast: holdfast.stop(name, reason=reason, save=save),
        doing="stopping",
        reached=lambda _, now: now.phase.is_final,
        wait=wait,
        as_json=as_json,
        data_dir=data_dir,
    )
