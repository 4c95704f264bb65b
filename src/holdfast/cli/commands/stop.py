"""`holdfast stop NAME`: end the work and let the machine go."""

from typing import Annotated

import typer

from holdfast.cli import console
from holdfast.cli.commands.pause import show
from holdfast.cli.session import DataDir, Json, Name, with_holdfast
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.workload import Ack


def stop(
    name: Name,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save a last checkpoint before the end.")] = True,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the report.")] = "requested",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """End a workload: save its state, destroy its machine, close its cost line.

    Answers when the provider no longer knows the machine. The checkpoints stay.

    \b
    Examples:
      holdfast stop train
      holdfast stop train --no-save
    """

    async def order(holdfast: Holdfast) -> Ack:
        with console.working(f"stopping {name}"):
            return await holdfast.stop(name, reason=reason, save=save)

    show(name, with_holdfast(data_dir, order), as_json)
