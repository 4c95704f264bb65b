"""`holdfast resume NAME`: start a paused workload again."""

from holdfast.cli.orders import carry_out
from holdfast.cli.session import DataDir, Json, Name, Wait
from holdfast.contracts.workload import Phase


def resume(name: Name, *, wait: Wait = True, as_json: Json = False, data_dir: DataDir = None) -> int:
    """Start a paused workload's machine again, or find another one when its GPU was taken.

    \b
    Example:
      holdfast resume train
    """
    return carry_out(
        name,
        lambda holdfast: holdfast.resume(name),
        doing="resuming",
        reached=lambda _, now: now.phase is Phase.RUNNING,
        wait=wait,
        as_json=as_json,
        data_dir=data_dir,
    )
