"""`holdfast pause NAME`: save, and stop the machine at its provider."""

from holdfast.cli.orders import carry_out
from holdfast.cli.session import DataDir, Json, Name, Wait
from holdfast.contracts.workload import Phase


def pause(name: Name, *, wait: Wait = True, as_json: Json = False, data_dir: DataDir = None) -> int:
    """Save a checkpoint, then stop the machine at its provider.

    The disk is kept and billed; the GPU is not. Somebody else may rent it meanwhile: `resume` then finds another one.

    \b
    Example:
      holdfast pause train
    """
    return carry_out(
        name,
        lambda holdfast: holdfast.pause(name),
        doing="pausing",
        reached=lambda _, now: now.phase is Phase.PAUSED,
        # A machine that cannot be stopped is looked at as if it were lost, and goes on if it is not.
        given_up=lambda now: now.phase is not Phase.PAUSING,
        wait=wait,
        as_json=as_json,
        data_dir=data_dir,
    )
