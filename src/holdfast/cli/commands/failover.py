"""`holdfast failover NAME`: leave a machine on purpose."""

import asyncio
from typing import Annotated

import typer

from holdfast.cli import console
from holdfast.cli.session import DataDir, Json, Name, with_holdfast
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.workload import Ack, Phase


def failover(
    name: Name,
    *,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save a checkpoint on the old machine first.")] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until the work runs again.")] = True,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the report.")] = "requested",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Move a workload to another machine.

    \b
    Examples:
      holdfast failover train
      holdfast failover train --no-save --reason "this host is slow"
    """

    async def move(holdfast: Holdfast) -> int:
        before = (await holdfast.status(name)).status
        answer = await holdfast.failover(name, reason=reason, save_first=save)
        if wait:
            with console.working(f"moving {name} to another machine"):
                answer = await _settled(holdfast, name, before.epoch)
        if as_json:
            console.print_json(answer)
        else:
            console.say(f"{name}: {answer.phase.value}" + (f", {answer.detail}" if answer.detail else ""))
        return 0 if answer.phase is not Phase.FAILED else 1

    return with_holdfast(data_dir, move)


async def _settled(holdfast: Holdfast, name: str, old_epoch: int) -> Ack:
    """Wait until the work runs on a newer epoch's machine, or no longer tries to."""
    while True:
        now = (await holdfast.status(name)).status
        if now.phase.is_final or now.phase is Phase.WAITING or (now.phase is Phase.RUNNING and now.epoch > old_epoch):
            return Ack(phase=now.phase, detail=f"epoch {now.epoch}: {now.reason}".rstrip(": "))
        await asyncio.sleep(1)
