"""`holdfast down`: end the stack, keep the data."""

from holdfast.cli import console
from holdfast.cli.session import DataDir, settings_for
from holdfast.workers.stack.commands import down as stop_stack


def down(data_dir: DataDir = None) -> int:
    """End what `holdfast up` started on this data directory. Waits until no process is left; may be repeated.

    Rented machines are not destroyed: workloads go on as soon as workers are back. `holdfast stop NAME` ends them.

    \b
    Example:
      holdfast down
    """
    return stop_stack(settings_for(data_dir).data_dir, console.say)
