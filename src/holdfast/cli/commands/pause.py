"""`holdfast pause NAME` and `holdfast resume NAME`: stop and start at the provider."""

from holdfast.cli import console
from holdfast.cli.session import DataDir, Json, Name, with_holdfast
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.workload import Ack


def pause(name: Name, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Save a checkpoint, then stop the machine at its provider.

    The disk is kept and billed; the GPU is not. Somebody else may rent it meanwhile: `resume` then finds another one.

    \b
    Example:
      holdfast pause train
    """

    async def order(holdfast: Holdfast) -> Ack:
        with console.working(f"pausing {name}"):
            return await holdfast.pause(name)

    show(name, with_holdfast(data_dir, order), as_json)


def resume(name: Name, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Start a paused workload's machine again, or find another one.

    \b
    Example:
      holdfast resume train
    """

    async def order(holdfast: Holdfast) -> Ack:
        with console.working(f"resuming {name}"):
            return await holdfast.resume(name)

    show(name, with_holdfast(data_dir, order), as_json)


def show(name: str, ack: Ack, as_json: bool) -> None:
    """Print a workload's answer to an order."""
    if as_json:
        console.print_json(ack)
    else:
        console.say(f"{name}: {ack.phase.value}" + (f", {ack.detail}" if ack.detail else ""))
